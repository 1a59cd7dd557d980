internal import Glibc
internal import Kernel
internal import Paths
internal import Rings

/// `--credential NAME`: a secret that systemd gives to a service as a file (systemd.exec(5), LoadCredential=), shown
/// to the program as a file that it can only read, in a directory that CREDENTIALS_DIRECTORY names to it.
///
/// Its user keeps keys out of environments, command lines and logs. What can go wrong: systemd has given none of that
/// name; then nothing runs. It must never show a credential that was not asked for, nor have one in an argument, a
/// variable, a log or an explanation: the bytes go from the file into the plan, which is memory, and into the ring's
/// own root.
enum Credentials {
  /// Names the directory: systemd's to us, and ours to the program.
  static let variable = "CREDENTIALS_DIRECTORY"
  /// Of all together, as systemd bounds those of a unit.
  private static let totalMaxBytes = 1 << 20

  /// Why it is no name of a credential (systemd: a name of a file, of printable ASCII, without a colon).
  static func problem(ofName name: String) -> String? {
    let isPlain = name.utf8.allSatisfy {
      $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":")
    }
    return isPlain && (1...255).contains(name.utf8.count) && name != "." && name != ".."
      ? nil : "a name of letters, digits and signs other than / and : is needed"
  }

  /// - Parameters:
  ///   - shown: parts of the host that the program sees.
  ///   - forReal: an explanation needs none of them, and gets none.
  static func read(
    _ options: RunOptions, _ caller: Caller, _ profile: RingProfile, shown: [String],
    forReal: Bool
  ) throws(RunError) -> [LaunchRequest.Credential] {
    guard let first = options.credentials.first else { return [] }
    guard profile.root == .private, !options.degraded.contains(.namespaces) else {
      throw RunError(
        .usage,
        "--credential \(first): this run has the files of the host, and not only what it is shown",
        hint: "choose --ring 2 or --ring 3, with namespaces")
    }
    for path in shown where covers(path) {
      throw RunError(
        .usage, "--credential \(first): \(path) of the host would take the place of its directory",
        hint: "show less of the host, or leave --credential out")
    }
    // What an explanation says of a file is not what is in it.
    guard forReal else { return options.credentials.map { .init(name: $0, bytes: [10]) } }
    guard let place = directory(caller) else {
      throw RunError(
        .notConfined, "--credential \(first): there is none, because \(variable) is not set",
        hint: "start it as a service that agt unit has made, or with systemd-run -p "
          + "LoadCredential=\(first):FILE")
    }
    var found: [LaunchRequest.Credential] = []
    var left = totalMaxBytes
    for name in options.credentials {
      do throws(SyscallError) {
        let home = try Files.open(ByteString(place), O_RDONLY | O_DIRECTORY)
        let bytes = try Files.readRegular(ByteString(name), limit: left + 1, at: home.raw)
        guard bytes.count <= left else {
          throw SyscallError(call: "read", object: name, errno: EFBIG)
        }
        left -= bytes.count
        found.append(.init(name: name, bytes: bytes))
      } catch {
        throw RunError(
          .notConfined,
          "--credential \(name): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))",
          hint: error.errno == EFBIG
            ? "all credentials together have at most 1 MiB"
            : "the unit needs LoadCredential=\(name):FILE")
      }
    }
    return found
  }

  private static func covers(_ path: String) -> Bool {
    meets(path, LaunchRequest.credentialsDirectory)
  }

  /// Whether one of them is in the other, or is it.
  private static func meets(_ path: String, _ other: String) -> Bool {
    PathText.isInside(other, path) || PathText.isInside(path, other)
  }

  /// What systemd has given, to this unit and to others, belongs to no ring above 0, whatever is shown of the host.
  /// - Parameter shown: parts of the host that the program sees.
  static func hidden(
    _ options: RunOptions, _ caller: Caller, _ profile: RingProfile, shown: [String]
  ) -> [String] {
    guard profile.ring > 0, !options.degraded.contains(.namespaces) else { return [] }
    var places: [String] = []
    if let place = directory(caller), let canonical = try? Files.canonical(ByteString(place)).text,
      // The ring's own is there; and whoever names a parent of it has not got it from systemd.
      !PathText.isInside(LaunchRequest.credentialsDirectory, canonical)
    {
      places.append(canonical)
    }
    let shown = profile.root == .private ? shown : shown + ["/"]
    let ofUsers =
      shown.contains { meets($0, users) }
      ? (try? Files.names(in: Files.open(ByteString(users), O_RDONLY | O_DIRECTORY))) ?? [] : []
    for place in [services] + ofUsers.map({ "\(users)/\($0.text)/credentials" }) {
      if shown.contains(where: { PathText.isInside(place, $0) }) { places.append(place) }
      // Covered itself: a rule names it.
      places += shown.filter { PathText.isInside($0, place) && !PathText.areEqual($0, place) }
    }
    return places
  }

  /// Where systemd puts those of the system's services, and of each user's (systemd.exec(5), CREDENTIALS_DIRECTORY).
  private static let services = "/run/credentials"
  private static let users = "/run/user"

  private static func directory(_ caller: Caller) -> String? {
    caller.value(variable).flatMap { $0.hasPrefix("/") ? $0 : nil }
  }
}

extension RunOptions {
  mutating func addCredential(_ name: String) throws(RunError) {
    if let problem = Credentials.problem(ofName: name) {
      throw RunError(.usage, "--credential \(name): \(problem)", hint: "--credential api-key")
    }
    if credentials.contains(name) {
      throw RunError(
        .usage, "--credential \(name) is given twice", hint: "leave one of them out")
    }
    credentials.append(name)
  }
}
