/// The dynamic loader and the shared libraries of an ELF image.
extension Resolution {
  /// Shared objects that are followed; Chromium has about 120.
  static let librariesMax = 256

  /// Mounts the loader that the image names (PT_INTERP), which must be an ELF image itself.
  mutating func mountLoader(_ image: ELFImage, of program: Path) throws(ProgramError) {
    guard let loader = image.loader else { return }
    let missing = ProgramError(
      .loaderMissing,
      "\(program): its dynamic loader \(loader) does not exist or is not an ELF program",
      hint: "it was built for another C library or distribution; install that, or rebuild it")
    guard loader.isAbsolute, files.isELFProgram(loader), let walked = files.walkIfAny(loader) else {
      throw missing
    }
    add(walked.links)
    if let store = storeRoot(walked.real), !isCovered(walked.real) {
      mount(store, why: "the dynamic loader of \(shown(program.name))")
    } else {
      mount(walked.real, why: "the dynamic loader of \(shown(program.name))")
    }
  }

  /// Mounts the libraries that the image and its libraries find by RUNPATH or RPATH outside of what
  /// is visible; those in the loader's own directories are visible or not, as the ring says.
  mutating func mountLibraries(of image: ELFImage, at program: Path, untrusted: Bool) {
    var pending = [(image: image, path: program, untrusted: untrusted)]
    var seen = [program]
    while let next = pending.popLast() {
      let untrusted = next.untrusted || scope.isUntrusted(next.path)
      for library in next.image.needed {
        guard seen.count <= Resolution.librariesMax,
          let found = find(library, next.image.libraryPath, origin: next.path.parent)
        else { continue }
        add(found.links)
        mountLibrary(
          found.real, of: next.path, untrusted: untrusted || crossesWorkspace(found.links))
        if seen.contains(found.real) { continue }
        seen.append(found.real)
        if let inner = try? readImage(found.real) {
          pending.append((inner, found.real, untrusted))
        }
      }
    }
  }

  private mutating func mountLibrary(_ library: Path, of program: Path, untrusted: Bool) {
    guard !isCovered(library) else { return }
    let why = "a shared library of \(shown(program.name))"
    let directory = library.parent
    if let store = storeRoot(library) {
      mount(store, why: why)
    } else if untrusted || scope.isBroad(directory) {
      mount(library, why: why)
    } else {
      mount(directory, why: why)
    }
  }

  /// ld.so(8): a name with a slash is a path; others are looked for in the directories, in which
  /// `$ORIGIN` is the image's own.
  private func find(_ library: [UInt8], _ directories: [[UInt8]], origin: Path) -> Walked? {
    guard !library.isEmpty else { return nil }
    var candidates: [Path] = []
    if library.contains(slash) {
      candidates = [Path(library)]
    } else {
      for directory in directories {
        for token in ["$ORIGIN", "${ORIGIN}", ""] where directory.starts(with: token.utf8) {
          let rest = Array(directory.dropFirst(token.utf8.count))
          let path = token.isEmpty ? Path(rest) : Path(origin.bytes + rest)
          candidates.append(path.appending(library))
          break
        }
      }
    }
    for candidate in candidates where candidate.isAbsolute {
      guard let walked = files.walkIfAny(candidate), walked.entry.kind == .regular,
        (try? files.read(walked.real, offset: 0, limit: 4)) == ELFImage.magic
      else { continue }
      return walked
    }
    return nil
  }
}
