/// Virtual environments and the places where Python looks for packages.
extension Resolution {
  /// A virtual environment whose base is a virtual environment, and so on.
  static let nestedEnvironmentsMax = 4
  /// pyvenv.cfg has about ten short lines.
  static let configurationBytesMax = 16 * 1024

  /// Mounts an interpreter with its libraries.
  ///
  /// - Returns: what execve(2) is given: the name in the virtual environment, whose pyvenv.cfg
  ///   Python looks for beside the path it was started by (PEP 405), else the real file.
  mutating func mountPython(
    _ invocation: Invocation, _ walked: Walked, isolated: Bool
  ) throws(ProgramError) -> Path {
    var executable = walked.real
    if let bin = files.walkIfAny(invocation.path.parentUnresolved),
      let settings = virtualEnvironment(at: bin.real)
    {
      add(bin.links)
      executable = bin.real.appending(invocation.path.name)
      putInFront(bin.real)
      mountEnvironment(
        settings, python: walked.real, name: invocation.path.name,
        untrusted: invocation.untrusted || crossesWorkspace(bin.links), depth: 0)
    } else {
      mountPrefix(of: walked.real, runtime: .python, untrusted: invocation.untrusted)
    }
    mountPythonHome()
    let hasUserSite =
      virtualEnvironment(at: executable.parent).map(\.includesSystemPackages) ?? true
    if hasUserSite && !isolated && caller["PYTHONNOUSERSITE"] == nil {
      mountUserSite(walked.real)
    }
    return executable
  }

  struct VirtualEnvironment: Equatable {
    var root: Path
    /// The directory of the base interpreter, as written.
    var home: Path?
    var includesSystemPackages = false
  }

  /// pyvenv.cfg in the directory of the interpreter or the one above (PEP 405).
  func virtualEnvironment(at bin: Path) -> VirtualEnvironment? {
    for root in [bin, bin.parent] where root != "/" {
      guard let walked = files.walkIfAny(root.appending("pyvenv.cfg")),
        walked.entry.kind == .regular,
        scope.isUntrusted(walked.real) || !crossesWorkspace(walked.links),
        let text = try? files.read(
          walked.real, offset: 0, limit: Resolution.configurationBytesMax)
      else { continue }
      var settings = VirtualEnvironment(root: root)
      for line in text.split(separator: newline) {
        guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else { continue }
        let key = line[..<equals].trimmed
        let value = line[(equals + 1)...].trimmed
        if key.isText("home"), value.first == slash, !value.contains(0) {
          settings.home = Path(value)
        } else if key.isText("include-system-site-packages") {
          settings.includesSystemPackages =
            String(decoding: value, as: UTF8.self).lowercased() == "true"
        }
      }
      return settings
    }
    return nil
  }

  /// - Parameters:
  ///   - python: the real file behind the environment's interpreter.
  ///   - untrusted: something in the workspace led here.
  private mutating func mountEnvironment(
    _ environment: VirtualEnvironment, python: Path, name: [UInt8], untrusted: Bool, depth: Int
  ) {
    let root = environment.root
    var believed = !untrusted && !scope.isUntrusted(root)
    if !untrusted && !scope.isBroad(root) {
      mount(root, why: "the virtual environment")
    } else {
      mountEnvironmentParts(root)
    }
    if !python.isWithin(root) {
      trail.append("the virtual environment \(root) runs \(python)")
      mountPrefix(of: python, runtime: .python, untrusted: !believed)
    }
    guard let home = environment.home, let base = files.walkIfAny(home) else { return }
    add(base.links)
    guard depth < Resolution.nestedEnvironmentsMax else { return }
    guard let interpreter = baseInterpreter(in: base.real, python: python, name: name) else {
      if !isCovered(base.real) {
        trail.append("home = \(home) in \(root)/pyvenv.cfg is not followed: no Python there")
      }
      return
    }
    add(interpreter.links)
    believed = believed && !crossesWorkspace(base.links + interpreter.links)
    if let outer = virtualEnvironment(at: base.real), outer.root != root {
      mountEnvironment(
        outer, python: interpreter.real, name: name, untrusted: !believed, depth: depth + 1)
    } else {
      mountPrefix(of: interpreter.real, runtime: .python, untrusted: !believed)
    }
  }

  /// The parts of an environment that Python reads, where the whole directory may hold more.
  private mutating func mountEnvironmentParts(_ root: Path) {
    for name in ["pyvenv.cfg", "bin", "lib", "lib64"] {
      guard let walked = files.walkIfAny(root.appending(name)) else { continue }
      add(walked.links)
      guard walked.real.isWithin(root), walked.entry.kind == .regular || !scope.isBroad(walked.real)
      else { continue }
      mount(walked.real, why: "part of the virtual environment \(root)")
    }
  }

  /// The executable ELF image of a Python in the directory that `home =` names.
  private func baseInterpreter(in home: Path, python: Path, name: [UInt8]) -> Walked? {
    for candidate in [python.name, name, Array("python3".utf8), Array("python".utf8)] {
      let path = home.appending(candidate)
      guard Runtime(candidate) == .python, files.isELFProgram(path),
        let walked = files.walkIfAny(path), Runtime(walked.real.name) == .python
      else { continue }
      return walked
    }
    return nil
  }

  /// PYTHONHOME, when a standard library is really there: `prefix` or `prefix:exec_prefix`.
  private mutating func mountPythonHome() {
    guard let value = caller["PYTHONHOME"] else { return }
    var prefixes: [Path] = []
    for part in value.split(separator: colon) {
      guard part.first == slash, let walked = files.walkIfAny(Path(Array(part))),
        walked.entry.kind == .directory, !pythonLibraries(walked.real).isEmpty,
        isCovered(walked.real) || !scope.isBroad(walked.real)
      else {
        trail.append("PYTHONHOME is not passed on: no Python library in \(shown(part))")
        return
      }
      add(walked.links)
      prefixes.append(walked.real)
    }
    for prefix in prefixes { mount(prefix, why: "PYTHONHOME") }
    set("PYTHONHOME", value)
  }

  /// `~/.local/lib/pythonX.Y/site-packages` (site.py, PEP 370).
  private mutating func mountUserSite(_ python: Path) {
    guard let home = scope.homes.first, let version = pythonVersion(python) else { return }
    let site = home.appending(".local/lib/python\(version)/site-packages")
    guard let walked = files.walkIfAny(site), walked.entry.kind == .directory,
      !scope.isBroad(walked.real), !crossesWorkspace(walked.links)
    else { return }
    add(walked.links)
    mount(walked.real, why: "packages that the user installed for Python \(version)")
  }

  /// `3.11`, by the name of the real file or of the library beside it.
  private func pythonVersion(_ python: Path) -> String? {
    let names = [python.name] + pythonLibraries(python.parent.parent).map(\.name)
    for name in names {
      let version = name.drop { !(48...57).contains($0) }
      let numbers = version.split(separator: dot, omittingEmptySubsequences: false)
      if numbers.count == 2, version.allSatisfy({ (48...57).contains($0) || $0 == dot }) {
        return String(decoding: version, as: UTF8.self)
      }
    }
    return nil
  }
}

extension Path {
  /// The directory part as written: `..` and links in it are for the caller to follow.
  var parentUnresolved: Path {
    guard let last = bytes.lastIndex(of: slash) else { return "." }
    return Path(last == 0 ? [slash] : Array(bytes[..<last]))
  }
}
