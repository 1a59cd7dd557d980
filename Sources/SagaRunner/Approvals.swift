internal import Glibc
internal import Hashing
public import JSON
internal import Kernel
internal import Saga
public import Supervisor

/// What people are asked to approve: exactly what will be executed.
public struct ApprovalRequest: Sendable {
  public let step: String
  public let json: JSONValue
  let group: String
  let requester: UInt32
  let countsRequester: Bool
  let expiresAt: UInt64
  var bytes: [UInt8] {
    // No number of it is a fraction or beyond 2^53.
    guard let bytes = try? JSONWriter.canonical(json) else {
      preconditionFailure("a request without canonical form")
    }
    return bytes
  }

  init(
    saga: String, machine: SagaMachine, step: Int, requester: UInt32, workspace: String,
    planDigest: String
  ) {
    let plan = machine.graph.plan.steps[step]
    let approval = plan.approval!
    self.step = plan.id.text
    group = approval.group
    self.requester = requester
    countsRequester = approval.countsRequester
    expiresAt = machine.steps[step].approval!.expiresAt
    let command = machine.commandToApprove(step)
    var environment = JSONObject()
    for (name, value) in command.environment { environment[name] = .string(value) }
    json = .object([
      "saga": .string(saga), "name": .string(machine.graph.plan.name), "step": .string(self.step),
      "arguments": JSONValue(command.arguments), "environment": .object(environment),
      "ring": plan.command.ring.map { JSONValue($0) } ?? .null,
      "profile": JSONValue(plan.command.profile), "workspace": .string(workspace),
      "workspaceMode": JSONValue(plan.command.workspace?.rawValue),
      "read": JSONValue(plan.command.reads), "write": JSONValue(plan.command.writes),
      "net": JSONValue(plan.command.network.map(\.text)),
      "irreversible": JSONValue(plan.irreversible), "planDigest": .string(planDigest),
      "group": .string(group), "quorum": JSONValue(approval.quorum),
      "requester": JSONValue(requester), "expiresAt": JSONValue(expiresAt),
    ])
  }
}

/// Requests and answers as files. Who answered is whom the kernel calls the owner of the answer's file, so an
/// answer needs no runner that listens, and outlives it.
public struct Approvals {
  public enum Verdict: String, Sendable { case approve, deny }

  struct Answer {
    let uid: UInt32
    let verdict: Verdict
    let reason: String
  }

  private let directory: SagaDirectory

  public init(_ directory: SagaDirectory) { self.directory = directory }

  private func request(_ step: String) -> String { "\(directory.requests)/\(step)" }

  func publish(_ request: ApprovalRequest) throws(SyscallError) {
    let temporary = "\(directory.path)/runs/.request"
    try? Files.remove(ByteString(temporary))
    try Files.create(ByteString(temporary), mode: 0o644, contents: request.bytes)
    try Files.rename(ByteString(temporary), to: ByteString(self.request(request.step)))
  }

  /// The request for a step, as its runner published it.
  public func pending(_ step: String) throws(RunError) -> JSONValue {
    do {
      guard SagaName.isValid(step) else { throw SagaProblem("no name of a step") }
      return try JSONParser.parse(try Files.read(ByteString(request(step)), limit: 1 << 20))
    } catch {
      throw RunError(
        .usage, "saga \(directory.id) asks for no approval of \(SagaText.quote(step))",
        hint: "agt saga show \(directory.id)")
    }
  }

  /// Answers as the calling user.
  public func answer(
    _ step: String, _ verdict: Verdict, reason: String
  ) throws(RunError) {
    let request = try pending(step)
    guard let bytes = try? JSONWriter.canonical(request),
      let expiresAt = request["expiresAt"]?.integerValue
    else { throw RunError(.usage, "the request for \(step) cannot be read") }
    let text: JSONValue = .object([
      "request": .string(SHA256.text(bytes)), "verdict": .string(verdict.rawValue),
      "reason": .string(reason),
    ])
    let uid = Identity.effectiveUID
    let prefix = "\(step).\(expiresAt)."
    do throws(SyscallError) {
      let own = try written(prefix, digest: SHA256.text(bytes)) { $0 == uid }
      if !own.isEmpty {
        throw SyscallError(call: "open", object: directory.approvals, errno: EEXIST)
      }
      // Nobody can take this name before us, and a name says nothing about who has answered.
      let name = "\(prefix)\(uid).\(String(UInt64.random(in: .min ... .max), radix: 16))"
      try Files.create(
        ByteString("\(directory.approvals)/\(name)"), mode: 0o644,
        contents: JSONWriter.compact(text))
    } catch {
      throw RunError(
        .internalFailure, "answering \(step): \(error.description)",
        hint: error.errno == EEXIST ? "you have answered already" : nil)
    }
  }

  /// Answers to exactly this request, of members of its group; denials first, because whoever starts late
  /// finds all of them at once.
  func answers(_ request: ApprovalRequest) throws(SyscallError) -> [Answer] {
    let answers = try written(
      "\(request.step).\(request.expiresAt).", digest: SHA256.text(request.bytes)
    ) { Groups.isMember($0, of: request.group) }.filter { answer in
      let isOwn = answer.uid == request.requester && !request.countsRequester
      return answer.verdict == .deny || !isOwn
    }
    return answers.filter { $0.verdict == .deny } + answers.filter { $0.verdict == .approve }
  }

  /// Of root's sagas anybody may put files there: the runner, which enforces time limits as well, must not be kept busy
  /// by them.
  private static let namesMax = 16_384
  private static let answersPerUserMax = 4

  /// - Parameter counts: whether a user's answer does; asked once for each.
  private func written(
    _ prefix: String, digest: String, counts: (UInt32) -> Bool
  ) throws(SyscallError) -> [Answer] {
    var seen = 0
    let names = try Files.names(in: ByteString(directory.approvals)) { _ in
      seen += 1
      return seen > Self.namesMax
    }
    var taken: [UInt32: Int] = [:]
    return names.map(\.text).sorted().compactMap { name in
      guard name.hasPrefix(prefix),
        let uid = name.dropFirst(prefix.count).split(separator: ".").first.flatMap({ UInt32($0) })
      else { return nil }
      guard taken[uid, default: 0] < Self.answersPerUserMax,
        let answer = read(name, digest: digest, of: uid)
      else { return nil }
      // Only of users who have written something: asking for each name would take longer than reading does.
      if taken[uid] == nil, !counts(uid) {
        taken[uid] = Self.answersPerUserMax
        return nil
      }
      taken[uid, default: 0] += 1
      return answer
    }
  }

  private func read(_ name: String, digest: String, of uid: UInt32) -> Answer? {
    guard
      let file = try? Files.open(
        ByteString(directory.approvals + "/" + name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
      let status = try? Files.status(file.raw), status.kind == .regular, status.uid == uid,
      // A second name could be another file of that user; and in one that others may write, they could have
      // written the answer, and then moved it here.
      status.links == 1, status.mode & 0o022 == 0,
      let bytes = try? Descriptors.readAll(file.raw, limit: 8192),
      let json = try? JSONParser.parse(bytes), json["request"]?.stringValue == digest,
      let verdict = json["verdict"]?.stringValue.flatMap(Verdict.init)
    else { return nil }
    return Answer(
      uid: status.uid, verdict: verdict,
      reason: SagaText.plain(json["reason"]?.stringValue ?? ""))
  }
}

/// Who belongs to a group of the machine (group(5), passwd(5)).
enum Groups {
  /// A user that the machine does not know belongs to none.
  static func isMember(_ uid: UInt32, of group: String) -> Bool {
    // SAFETY: one thread; what the C library returns is read before the next call of it.
    guard let entry = unsafe getgrnam(group) else { return false }
    let gid = unsafe entry.pointee.gr_gid
    guard let user = unsafe getpwuid(uid) else { return false }
    let primary = unsafe user.pointee.pw_gid
    // More groups than any system gives a user (NGROUPS_MAX).
    var count: Int32 = 65536
    var groups = [gid_t](repeating: 0, count: Int(count))
    // SAFETY: the count is that of the array.
    guard unsafe getgrouplist(user.pointee.pw_name, primary, &groups, &count) >= 0 else {
      return false
    }
    return groups.prefix(Int(count)).contains(gid)
  }
}
