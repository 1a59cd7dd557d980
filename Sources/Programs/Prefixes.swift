/// How much around a program is mounted.
extension Resolution {
  /// Mounts a program's installation, given its real path.
  ///
  /// - Parameter untrusted: something in the workspace led here: then only an interpreter's own
  ///   prefix is mounted, else the one file.
  mutating func mountPrefix(of program: Path, runtime: Runtime?, untrusted: Bool) {
    guard !isCovered(program) else { return }
    if let store = storeRoot(program) {
      mount(store, why: "\(shown(program.name)) and the packages that it refers to")
      putInFront(program.parent)
      return
    }
    let directory = program.parent
    let inHome = scope.isInHome(program) || program.isWithin("/home") || program.isWithin("/root")
    guard directory.name.isText("bin") || directory.name.isText("sbin") else {
      if !untrusted && !inHome && !scope.isBroad(directory) {
        mount(directory, why: "the directory of \(shown(program.name))")
      } else {
        mount(program, why: "the program")
      }
      return
    }
    let prefix = directory.parent
    let isRuntime =
      untrusted
      ? runtime.map { hasLibrary(of: $0, prefix) } ?? false
      : hasLibraryOfAny(prefix)
    if !scope.isBroad(prefix) && (isRuntime || !untrusted && !inHome) {
      mount(prefix, why: "the installation of \(shown(program.name))")
      putInFront(directory)
      return
    }
    mount(program, why: "the program; not \(prefix), which holds more than it")
    if runtime == .python {
      for library in pythonLibraries(prefix)
      where library.isWithin(prefix) && !scope.isBroad(library) {
        mount(library, why: "the standard library of \(shown(program.name))")
      }
    }
    guard !untrusted, !scope.isBroad(prefix) else { return }
    for name in ["lib", "lib64", "libexec", "share"] {
      guard let walked = files.walkIfAny(prefix.appending(name)),
        walked.entry.kind == .directory, walked.links.isEmpty, !scope.isBroad(walked.real)
      else { continue }
      mount(walked.real, why: "what \(shown(program.name)) comes with")
    }
  }

  /// Stores whose packages refer to each other by path and which hold nothing else: Nix, Guix and
  /// Homebrew.
  func storeRoot(_ path: Path) -> Path? {
    for store: Path in ["/nix/store", "/gnu/store"] where path.isWithin(store) {
      return scope.isBroad(store) ? nil : store
    }
    let names = path.components
    guard let index = names.firstIndex(where: { $0.isText(".linuxbrew") }) else { return nil }
    let root = Path(absolute: names.prefix(index + 1))
    return scope.isBroad(root) ? nil : root
  }

  private func hasLibraryOfAny(_ prefix: Path) -> Bool {
    [.python, .node, .ruby, .perl, .java].contains { hasLibrary(of: $0, prefix) }
      || files.isDirectory(prefix.appending("conda-meta"))
      || files.isDirectory(prefix.appending("lib/rustlib"))
      || files.isDirectory(prefix.appending("pkg/tool"))
        && files.isFile(prefix.appending("VERSION"))
  }

  /// Whether the standard library of an interpreter lies in the prefix: the landmarks that it looks
  /// for itself, or that its distribution always contains.
  func hasLibrary(of runtime: Runtime, _ prefix: Path) -> Bool {
    switch runtime {
    case .python: return !pythonLibraries(prefix).isEmpty
    case .node: return files.isFile(prefix.appending("include/node/node.h"))
    case .ruby: return files.isDirectory(prefix.appending("lib/ruby"))
    case .perl: return files.isDirectory(prefix.appending("lib/perl5"))
    case .java: return files.isFile(prefix.appending("lib/modules"))
    case .shell, .deno, .bun: return false
    }
  }

  /// Names in one directory that are looked at.
  static let directoryNamesMax = 4096

  /// The `lib/pythonX.Y` below a prefix, known by its os.py (getpath.py, STDLIB_LANDMARKS).
  func pythonLibraries(_ prefix: Path) -> [Path] {
    var found: [Path] = []
    for name in ["lib", "lib64"] {
      guard let library = files.walkIfAny(prefix.appending(name))?.real,
        let names = try? files.names(in: library, limit: Resolution.directoryNamesMax)
      else { continue }
      for name in names where name.starts(with: "python".utf8) || name.starts(with: "pypy".utf8) {
        let candidate = library.appending(name)
        if files.isFile(candidate.appending("os.py")), !found.contains(candidate) {
          found.append(candidate)
        }
      }
    }
    return found.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
  }
}
