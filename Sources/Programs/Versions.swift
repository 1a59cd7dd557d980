/// The name of an installed version, as a version file or variable gives it.
///
/// Version files lie in working directories, so an agent may have written them, and the name
/// becomes part of a path (CVE-2022-35861 was such a path traversal in pyenv).
struct VersionName: Equatable {
  let text: String

  /// The longest known names (`graalpy-community-24.1.1-…`) have below 40.
  static let bytesMax = 96

  /// Letters, digits and `. _ + - @`; no leading `.` or `-`.
  init?(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, bytes.count <= VersionName.bytesMax, bytes[0] != dot, bytes[0] != dash,
      bytes.allSatisfy({ VersionName.isAllowed($0) })
    else { return nil }
    text = String(decoding: bytes, as: UTF8.self)
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "._+-@".utf8.contains(byte)
    }
  }
}

/// Whether `a` is a later version than `b`: runs of digits compare as numbers.
func isLaterVersion(_ a: [UInt8], than b: [UInt8]) -> Bool {
  let left = versionParts(a)
  let right = versionParts(b)
  for (l, r) in zip(left, right) where l != r {
    switch (digits(l), digits(r)) {
    case (let m?, let n?):
      if m.count != n.count { return m.count > n.count }
      if m != n { return n.lexicographicallyPrecedes(m) }
    case (.some, nil): return true
    case (nil, .some): return false
    case (nil, nil): return r.lexicographicallyPrecedes(l)
    }
  }
  return left.count > right.count
}

private func versionParts(_ version: [UInt8]) -> [[UInt8]] {
  var parts: [[UInt8]] = []
  for byte in version {
    let isDigit = (48...57).contains(byte)
    if let last = parts.last?.last, (48...57).contains(last) == isDigit {
      parts[parts.count - 1].append(byte)
    } else {
      parts.append([byte])
    }
  }
  return parts
}

/// The number without leading zeros; nil for other text.
private func digits(_ part: [UInt8]) -> [UInt8]? {
  guard let first = part.first, (48...57).contains(first) else { return nil }
  return Array(part.drop { $0 == 48 })
}

extension Resolution {
  /// What chose a version.
  struct VersionChoice: Equatable {
    /// As written; validated when used.
    var versions: [[UInt8]]
    /// For messages: `.python-version in /work` or `PYENV_VERSION`.
    var origin: String
    /// An agent may have written it.
    var untrusted: Bool
  }

  /// Version files hold a few lines.
  static let versionFileBytesMax = 64 * 1024
  /// Versions in one file that are considered.
  static let versionsMax = 32

  /// The working directory and those above it.
  var directoriesUpwards: [Path] {
    var result: [Path] = [scope.workingDirectory]
    while let last = result.last, last != "/" { result.append(last.parent) }
    return result
  }

  /// A small file of configuration with whether an agent may have written it. A link in the
  /// workspace to a file outside is not followed: messages quote what is read.
  mutating func readSettings(_ path: Path) -> (text: [UInt8], untrusted: Bool)? {
    guard let walked = files.walkIfAny(path), walked.entry.kind == .regular else { return nil }
    let untrusted = scope.isUntrusted(walked.real)
    if crossesWorkspace(walked.links) && !untrusted {
      trail.append("\(path) is not read: it is a link out of the workspace")
      return nil
    }
    guard
      let text = try? files.read(walked.real, offset: 0, limit: Resolution.versionFileBytesMax)
    else { return nil }
    return (text, untrusted)
  }

  /// The nearest file of one of these names, from the working directory upwards.
  mutating func nearestSettings(
    _ names: [String]
  ) -> (path: Path, text: [UInt8], untrusted: Bool)? {
    for directory in directoriesUpwards {
      for name in names {
        let path = directory.appending(name)
        if let found = readSettings(path) { return (path, found.text, found.untrusted) }
      }
    }
    return nil
  }

  /// A valid name, or the error that names where it is written.
  func validated(
    _ version: [UInt8], _ manager: String, _ choice: VersionChoice
  ) throws(ProgramError) -> VersionName {
    if let name = VersionName(version) { return name }
    throw ProgramError(
      .versionMalformed,
      "\(manager): \"\(shown(version.prefix(64)))\" cannot be a version (from \(choice.origin))",
      hint: "write the name of an installed version there, such as 3.12.1")
  }

  /// The directory of an installed version: by its exact name, else the latest that begins with
  /// the name and a dot or dash. nil when none is installed.
  ///
  /// A version that an agent may have chosen must lie in the manager's own store, whatever links
  /// are there.
  func installedVersion(
    _ version: VersionName, in store: Path, _ manager: String, _ choice: VersionChoice
  ) throws(ProgramError) -> Path? {
    guard let realStore = files.walkIfAny(store)?.real else { return nil }
    var candidates = [Array(version.text.utf8)]
    if let names = try? files.names(in: realStore, limit: Resolution.directoryNamesMax) {
      let wanted = Array(version.text.utf8)
      candidates += names.filter { isRelease($0, of: wanted) }
        .sorted { isLaterVersion($0, than: $1) }
    }
    for candidate in candidates {
      let path = realStore.appending(candidate)
      guard let walked = files.walkIfAny(path), walked.entry.kind == .directory else { continue }
      guard !choice.untrusted || walked.real.isWithin(realStore) else {
        throw ProgramError(
          .leavesWorkspace,
          "\(manager): \(path) leads out of \(realStore), and \(choice.origin) chose it",
          hint: "name the program by its path in \(walked.real)")
      }
      return path
    }
    return nil
  }

  /// pyenv-latest: final releases only, with the prefix ended by a dot or dash; `latest` means any.
  private func isRelease(_ name: [UInt8], of prefix: [UInt8]) -> Bool {
    let isLatest = prefix.isText("latest")
    let rest = isLatest ? name[...] : name.dropFirst(prefix.count)
    guard isLatest || name.starts(with: prefix) && (rest.first == dot || rest.first == dash)
    else { return false }
    guard VersionName(name) != nil, (48...57).contains(name[0]) || !isLatest else { return false }
    for ending in ["-dev", "-src", "-latest"]
    where name.suffix(ending.utf8.count).elementsEqual(ending.utf8) {
      return false
    }
    let letters = rest.drop { $0 == dot || $0 == dash || (48...57).contains($0) }
    return letters.isEmpty || letters.contains(dash) || letters.contains(dot)
  }
}
