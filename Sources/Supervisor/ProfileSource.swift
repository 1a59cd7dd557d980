internal import Glibc
internal import Hashing
internal import Kernel
internal import Paths
public import Rings
internal import YAML

/// The profile of a run, ready to lower: parsed and compiled once, afterwards read from a cache.
///
/// Parsing costs about a millisecond and libseccomp another one and a half, as much as the kernel's whole
/// work. What is cached is the very bytes that would be made again, under a name that says what they were
/// made from. A program in a ring must never be able to change them: see `ProfileCache`.
public enum ProfileSource {
  /// `--ring NAME`, `--profile FILE`, or ring 3.
  /// - Returns: also the files that say so.
  static func load(
    _ options: RunOptions
  ) throws(RunError) -> (profile: CompiledProfile, files: [String]) {
    if let file = options.profileFile { return try load(file: file) }
    let name = options.ring ?? "3"
    guard let ring = RingProfile.ring(named: name) else {
      throw RunError(
        .usage, "--ring \(name): there is no such ring",
        hint:
          "0 system, 1 privileged, 2 standard, 3 sandbox; a profile of your own goes to --profile FILE"
      )
    }
    let compiled = try ProfileCache.compiled(key: shippedKey + [ring]) { () throws(RunError) in
      (try compile(.shipped(ring)), mayStore: true)
    }
    return (compiled, [])
  }

  /// The digests of the profiles that ship, one after the other.
  private static var shippedKey: [UInt8] {
    var key: [UInt8] = []
    for profile in EmbeddedProfiles.all { key += profile.sha256.utf8 }
    return key
  }

  /// A ring by number or name, or a profile file, without the cache.
  public static func profile(named name: String) throws(RunError) -> RingProfile {
    if let ring = RingProfile.ring(named: name) { return .shipped(ring) }
    return try parse(read(name), file: name) { path throws(RunError) in try read(path) }
  }

  private static func parse(
    _ bytes: [UInt8], file: String,
    read: @escaping (String) throws(RunError) -> [UInt8]
  ) throws(RunError) -> RingProfile {
    do throws(RingProfileError) {
      return try RingProfile.load(yaml: bytes, file: file) { path in (try read(path), path) }
    } catch {
      throw RunError(.usage, error.description)
    }
  }

  static func load(
    file: String
  ) throws(RunError) -> (profile: CompiledProfile, files: [String]) {
    let bytes = try read(file)
    // A profile that names other files is made anew every time: their texts are not in the key.
    var others: [String] = []
    let key = shippedKey + Array(file.utf8) + [0] + bytes
    let compiled = try ProfileCache.compiled(key: key) { () throws(RunError) in
      let profile = try parse(bytes, file: file) { path throws(RunError) in
        others.append(path)
        return try read(path)
      }
      return (try compile(profile), mayStore: others.isEmpty)
    }
    return (compiled, [file] + others)
  }

  /// The bytes of a profile file: a regular file of at most what the YAML reader takes.
  static func read(_ file: String) throws(RunError) -> [UInt8] {
    do throws(SyscallError) {
      let opened = try Files.open(ByteString(file), O_RDONLY | O_NONBLOCK)
      guard try Files.status(opened.raw).kind == .regular else {
        throw RunErrorKind.notAFile
      }
      return try Descriptors.readAll(opened.raw, limit: YAMLLimits.default.sizeMaxBytes + 1)
    } catch {
      let why =
        error == RunErrorKind.notAFile
        ? "not a file" : "\(Errno.message(error.errno)) (\(Errno.name(error.errno)))"
      throw RunError(.usage, "profile \(file): \(why)", hint: "--ring 3 needs no file")
    }
  }

  private enum RunErrorKind {
    static let notAFile = SyscallError(call: "fstat", errno: EISDIR)
  }

  private static func compile(_ profile: RingProfile) throws(RunError) -> CompiledProfile {
    do throws(RingProfileError) {
      return try CompiledProfile(compiling: profile)
    } catch {
      throw RunError(.internalFailure, error.description, hint: "agt profile lint shows where")
    }
  }
}

/// Compiled profiles in a directory that only their user can write: /var/cache/agt for root, else
/// $XDG_CACHE_HOME/agt. It is used only when it and the file in it belong to that user and to nobody else,
/// and no ring below 0 sees it: rings 2 and 3 have no such path, ring 1 hides it.
enum ProfileCache {
  static func compiled(
    key: [UInt8], make: () throws(RunError) -> (CompiledProfile, mayStore: Bool)
  ) throws(RunError) -> CompiledProfile {
    guard let directory = directory(), let name = name(key) else { return try make().0 }
    if let bytes = read(name, in: directory), let found = try? CompiledProfile.decode(bytes) {
      return found
    }
    let (made, mayStore) = try make()
    if mayStore { write(made.encode(), name, in: directory) }
    return made
  }

  /// What made the bytes is part of the name: the profile's texts and this very executable.
  private static func name(_ key: [UInt8]) -> String? {
    guard let own = try? Files.status(of: ByteString("/proc/self/exe")) else { return nil }
    let build =
      "\(own.identity.device) \(own.identity.inode) \(own.modifiedNanoseconds) \(own.sizeBytes)\0"
    return SHA256.text(Array(build.utf8) + key) + ".profile"
  }

  private static func directory() -> String? {
    if Identity.effectiveUID == 0 { return "/var/cache/agt" }
    let caller = Caller(Vectors.environment)
    if let cache = caller.value("XDG_CACHE_HOME"), cache.hasPrefix("/") { return cache + "/agt" }
    return caller.home == "/nonexistent" ? nil : caller.home + "/.cache/agt"
  }

  private static func isOurs(_ status: FileStatus) -> Bool {
    status.uid == Identity.effectiveUID && status.mode & 0o022 == 0
  }

  private static func open(_ directory: String) -> OwnedFD? {
    guard
      let opened = try? Files.open(ByteString(directory), O_DIRECTORY | O_RDONLY | O_NOFOLLOW),
      let status = try? Files.status(opened.raw), isOurs(status)
    else { return nil }
    return opened
  }

  private static func read(_ name: String, in directory: String) -> [UInt8]? {
    guard let place = open(directory),
      let file = try? Files.open(
        ByteString(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, at: place.raw),
      let status = try? Files.status(file.raw), status.kind == .regular, status.links == 1,
      isOurs(status)
    else { return nil }
    return try? Descriptors.readAll(file.raw, limit: CompiledProfile.maximumBytes)
  }

  /// A cache that cannot be written costs time and nothing else.
  private static func write(_ bytes: [UInt8], _ name: String, in directory: String) {
    if open(directory).raw == nil {
      try? Files.makeDirectory(ByteString(PathText.parent(directory)), mode: 0o700)
      try? Files.makeDirectory(ByteString(directory), mode: 0o700)
    }
    guard let place = open(directory) else { return }
    let temporary = ByteString("\(name).\(getpid())")
    do throws(SyscallError) {
      try Files.create(temporary, mode: 0o600, contents: bytes, at: place.raw)
      try Files.rename(temporary, to: ByteString(name), at: place.raw)
    } catch {
      try? Files.remove(temporary, at: place.raw)
    }
    removeOld(place)
  }

  /// Each text of a profile and each build of agt-run leaves a file; of too many, all but the newest go.
  private static let filesMax = 128
  private static let filesKept = 64

  /// Whether we give files this name: the digest, `.profile`, and of one that was not finished the process.
  private static func isName(_ name: String) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return (parts.count == 2 || parts.count == 3 && Int32(parts[2]) != nil)
      && parts[0].utf8.count == 64 && parts[0].allSatisfy(\.isHexDigit) && parts[1] == "profile"
  }

  private static func removeOld(_ place: borrowing OwnedFD) {
    guard let again = try? place.duplicate(),
      let names = try? Files.names(in: again).filter({ isName($0.text) }), names.count > filesMax
    else { return }
    var files: [(made: Int64, name: ByteString)] = []
    for name in names {
      guard let status = try? Files.status(of: name, at: place.raw, followLink: false) else {
        continue
      }
      files.append((status.modifiedNanoseconds, name))
    }
    files.sort { $0.made > $1.made }
    for file in files.dropFirst(filesKept) { try? Files.remove(file.name, at: place.raw) }
  }
}
