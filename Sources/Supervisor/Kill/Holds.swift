internal import Glibc
public import JSON
internal import Kernel

/// Hold marks: while one is there, no run of the agent (or none at all) starts. They are files, so that they
/// survive a reboot and hold without any process of ours.
///
/// Its user has killed a run and wants it to stay dead until somebody looked. What can go wrong: a mark that
/// cannot be read or a directory that others can change; then nothing starts. A launch must never be let
/// through because the mark's content makes no sense.
public struct Holds {
  public struct Hold: Sendable {
    /// nil holds every launch.
    public var agent: String?
    public var reason: String
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    public var sinceNanoseconds: UInt64
    /// Who set it.
    public var uid: UInt32

    public var json: JSONValue {
      .object([
        "agent": JSONValue(agent), "reason": .string(reason),
        "since": .string(Amounts.timestamp(sinceNanoseconds)), "uid": JSONValue(uid),
      ])
    }

    public var since: String { Amounts.timestamp(sinceNanoseconds) }
  }

  private static let part = "holds"
  /// Not a name that an agent can have (`Label`).
  private static let everyone = "@all"
  private static let markMaxBytes = 65536

  private let state: StateDirectory

  /// - Parameter environment: of the caller, `NAME=VALUE`.
  public init(environment: [[UInt8]]) { self.init(Caller(environment)) }

  init(_ caller: Caller) { state = StateDirectory(caller) }

  /// Throws 126 when a launch for this agent is on hold.
  func check(agent: String?) throws(RunError) {
    let place: OwnedFD
    do throws(SyscallError) {
      guard let there = try state.openExisting(Self.part) else { return }
      place = there
    } catch {
      throw RunError(
        .notConfined, "whether launches are on hold cannot be told: \(error.description)",
        hint: "see who owns it: ls -ld \(state.path(Self.part))")
    }
    for name in [Self.everyone] + [agent].compactMap({ $0 }) {
      guard let hold = Self.read(name, place.raw) else { continue }
      let what = hold.agent.map { "agent \($0) is" } ?? "every launch is"
      throw RunError(
        .notConfined,
        "\(what) on hold since \(hold.since): \(hold.reason)",
        hint: "agt release" + (hold.agent.map { " --agent \($0)" } ?? ""))
    }
  }

  /// - Returns: nil when there is no mark. One that cannot be read holds as well.
  private static func read(_ name: String, _ place: Int32) -> Hold? {
    let agent = name == everyone ? nil : name
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Files.readRegular(
        ByteString(name + ".json"), limit: markMaxBytes, at: place)
    } catch {
      if error.errno == ENOENT { return nil }
      return Hold(
        agent: agent, reason: "the mark cannot be read: \(error.description)", sinceNanoseconds: 0,
        uid: 0)
    }
    let json = try? JSONParser.parse(bytes)
    return Hold(
      agent: agent, reason: json?["reason"]?.stringValue ?? "the mark says nothing",
      sinceNanoseconds: json?["sinceNanoseconds"]?.integerValue.map { UInt64(clamping: $0) } ?? 0,
      uid: json?["uid"]?.integerValue.flatMap { UInt32(exactly: $0) } ?? 0)
  }

  /// Sets a mark, or gives one that is there a new reason. It is on the disk when this returns.
  public func set(agent: String?, reason: String) throws(RunError) -> Hold {
    let hold = Hold(
      agent: agent, reason: reason, sinceNanoseconds: Clock.wallNanoseconds(),
      uid: Identity.effectiveUID)
    var object: JSONObject = ["version": 1, "sinceNanoseconds": JSONValue(hold.sinceNanoseconds)]
    for member in hold.json.objectValue!.members { object[member.name] = member.value }
    do throws(SyscallError) {
      try state.write(
        JSONWriter.compact(.object(object)) + [10], to: (agent ?? Self.everyone) + ".json",
        in: Self.part)
    } catch { throw failure("setting a hold", error) }
    return hold
  }

  /// - Returns: false when there was no mark.
  public func release(agent: String?) throws(RunError) -> Bool {
    do throws(SyscallError) {
      guard let place = try state.openExisting(Self.part) else { return false }
      do throws(SyscallError) {
        try Files.remove(ByteString((agent ?? Self.everyone) + ".json"), at: place.raw)
      } catch {
        if error.errno == ENOENT { return false }
        throw error
      }
      try Files.sync(place.raw)
      return true
    } catch { throw failure("releasing a hold", error) }
  }

  public func list() throws(RunError) -> [Hold] {
    do throws(SyscallError) {
      guard let place = try state.openExisting(Self.part) else { return [] }
      let names = try Files.names(in: ByteString(state.path(Self.part)))
      return names.map(\.text).filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }.sorted()
        .compactMap { Self.read(String($0.dropLast(5)), place.raw) }
    } catch { throw failure("listing holds", error) }
  }

  private func failure(_ what: String, _ error: SyscallError) -> RunError {
    RunError(
      .internalFailure, "\(what) in \(state.path(Self.part)): \(error.description)",
      hint: error.errno == ENOENT || error.errno == EACCES
        ? "set XDG_STATE_HOME to a directory of your own" : nil)
  }
}
