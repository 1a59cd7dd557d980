internal import Audit
internal import AuditStore
internal import Broker
internal import JSON
internal import Kernel
internal import Policy
internal import Rings

/// One request that the table permits, with what the kernel says of who asks.
///
/// Where its answer goes when that takes time is told by numbers: a request that is kept keeps no connection.
struct BrokerCall {
  let request: BrokerRequest
  let peer: BrokerPeer
  /// The number of the connection, which no other has.
  let client: UInt64
  /// Of its socket, while it is open.
  let descriptor: Int32
  let policyWatch: PolicyWatch?
  let now: UInt64
  let desk: Desk

  /// One for all calls of a service, which may be gone when an answer comes.
  final class Desk {
    weak var service: BrokerService?
  }

  typealias Step = (inout BrokerCounters) throws(BrokerError) -> BrokerReply

  /// Takes the result of what takes time.
  func later(_ result: JSONValue) { desk.service?.conclude(self, result) }

  /// The same, when it comes to nothing.
  func laterRefused(_ error: BrokerError) { desk.service?.conclude(self, error) }

  /// The same, with a descriptor.
  func laterGives(_ result: JSONValue, _ donation: DonatedDescriptor) {
    desk.service?.conclude(self, result, donation)
  }

  /// Goes on after something was waited for, as `BrokerMethods.answer` does. Not from inside of it.
  func goOn(_ step: @escaping Step) { desk.service?.goOn(self, step) }

  /// Whether anybody is there for the answer.
  func isOpen() -> Bool { desk.service?.connection(of: self) != nil }

  /// Tells the other side how far its request is; false when it does not read.
  func tellProgress(_ params: JSONObject) -> Bool {
    desk.service?.tellProgress(self, params) ?? false
  }

  /// Room for one more descriptor on its way to the other side.
  func descriptorRoom() throws(BrokerError) -> DescriptorRoom {
    if let room = desk.service?.room(for: self) { return room }
    throw BrokerError(.busy, "take the descriptors that were sent or asked for, and ask then")
  }
}

/// What a method gives.
struct BrokerReply {
  enum Result {
    case now(JSONValue)
    /// The same, as JSON.
    case written([UInt8])
    /// With what the refusal sets off.
    case refused(BrokerError)
    /// `BrokerCall.later` will have it.
    case later
  }
  let result: Result
  /// Of policies, to be carried out after the answer.
  var triggers: [ViolationTrigger] = []
  /// Told to the log once the answer is on its way.
  var judgement: BrokerMethods.Judgement?
}

/// What each method of the table does: judge, and then answer or begin.
final class BrokerMethods {
  private let run: String
  private let profile: String
  private let workspace: String
  /// What requests count as: that of the run, or what a policy's `demote` has made of it.
  private(set) var ring: UInt8
  private let limits: JSONObject
  private let agent: String?
  private let policies: PolicySet
  let tools: ToolRunner?
  let sagas: AgentSagas
  let approvals: Approvals
  let notifier: ApprovalNotifier
  let elevations: Elevations
  let blocking: BlockingCalls
  /// Nil when nothing may be reached.
  let network: NetworkService?
  /// Opened for approvals, until whoever waits gets them.
  var donations: [String: DonatedDescriptor] = [:]
  let environment: [[UInt8]]
  private let findObeyed: () -> [String]
  /// Files and folders that decide what runs may do.
  private(set) lazy var obeyed = findObeyed()
  /// A descriptor is no more than what it was opened for.
  let isBoundByLandlock: Bool
  let audit: RunAudit
  private let events: RunEvents
  private var buckets = TokenBuckets()
  private(set) var decisions: UInt64 = 0
  /// Of the last question that was allowed.
  private var lastAllowed: AllowedAnswer?
  /// Nothing begins any more, whenever it was asked for and approved.
  var isOnHold = false
  /// Why the loop has everything denied.
  var held: () -> BrokerError? = { nil }
  /// Why nothing begins, whatever was allowed before; nil when it may.
  var obstacle: BrokerError? { isOnHold ? Self.onHold : held() }

  func mayBegin() throws(BrokerError) { if let obstacle { throw obstacle } }

  static let onHold = BrokerError(.held, "the run is on hold: everything is denied until it ends")
  static let ending = BrokerError(.held, "the run is ending: nothing begins any more")
  static let coolsDown = BrokerError(
    .held, "too much was refused: everything is denied for a minute")
  /// What every judged request has, whatever the agent says of itself.
  private var common: JSONObject { didSet { caller = nil } }
  /// Who asked last, as far as that is the same for all that is asked.
  private var caller: KnownCaller?

  /// Asking the kernel for it costs more than a decision does.
  private let readsExecutable: Bool

  /// What only the supervisor says; an agent that says it too is refused.
  /// Policies find a member of a field under one flat name as well (`agent.id`), and the agent under two others.
  static func isReserved(_ name: String) -> Bool {
    let root = name.utf8.firstIndex(of: UInt8(ascii: ".")).map { String(name[..<$0]) } ?? name
    // By length first: each member of each request is asked.
    return switch root.utf8.count {
    case 3: root == "run" || root == "uid" || root == "pid"
    case 4: root == "kind" || root == "ring" || root == "user"
    case 5: root == "agent"
    case 8: root == "agent_id"
    case 9: root == "agent_did"
    case 10: root == "executable"
    default: false
    }
  }

  static let protocolVersion: Int64 = 1

  /// - Precondition: the run has policies.
  init(
    _ run: borrowing PreparedRun, _ options: RunOptions, _ environment: [[UInt8]],
    _ tools: ToolRunner?, _ blocking: BlockingCalls, _ network: NetworkService?,
    _ sagas: AgentSagas, _ events: RunEvents, _ audit: RunAudit
  ) {
    self.sagas = sagas
    guard let policies = run.policies else { preconditionFailure("a broker without policies") }
    self.policies = policies
    self.tools = tools
    self.audit = audit
    self.events = events
    audit.record(
      .policyLoaded, ["digest": .string(policies.digest), "files": JSONValue(policies.files)])
    notifier = ApprovalNotifier(environment, events, audit)
    approvals = Approvals(run: run.id, Caller(environment), notifier, events, audit)
    elevations = Elevations(tools, events, audit)
    self.blocking = blocking
    self.network = network
    self.environment = environment
    findObeyed = {
      OwnPlaces.obeyed(options, policies) + ((try? ProfileSource.load(options).files) ?? [])
    }
    isBoundByLandlock =
      run.profile.ring == 0 || run.request.landlockABI > 0 && !options.degraded.contains(.landlock)
    self.run = run.id
    profile = run.profile.name
    workspace = run.request.workspace.path
    ring = run.profile.ring
    agent = options.agent
    let requests = run.profile.requests
    limits = [
      "requestsPerSecond": JSONValue(requests.perSecond), "burst": JSONValue(requests.burst),
      "concurrentTools": JSONValue(requests.concurrentTools),
      "lineBytes": JSONValue(LineReader.lineMaxBytes), "depth": JSONValue(BrokerRequest.depthMax),
    ]
    common = Self.identity(run, options)
    readsExecutable =
      (policies.rules.map(\.condition) + policies.violationTriggers.map(\.condition))
      .contains { $0.contains("executable") }
  }

  /// Who a run is, for every request and event that policies judge.
  static func identity(_ run: borrowing PreparedRun, _ options: RunOptions) -> JSONObject {
    var identity: JSONObject = [
      "run": .string(run.id), "ring": JSONValue(run.profile.ring),
      "user": .string(Identity.effectiveUID == 0 ? "root" : run.request.userName),
      "uid": JSONValue(Identity.effectiveUID),
    ]
    if let agent = options.agent { identity["agent"] = .string(agent) }
    return identity
  }

  func answer(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    if let delay = audit.delay, MethodTable.method(call.request.method)?.isRecorded == true {
      throw BrokerError(.failed, delay)
    }
    switch call.request.method {
    case "agt.hello": return BrokerReply(result: .now(try hello(call.request.params)))
    case "policy.decide": return try decide(call, &counters)
    case "tool.list":
      return BrokerReply(result: .now(["tools": .array((tools?.tools ?? []).map(\.json))]))
    case "tool.call": return try callTool(call, &counters)
    case "ring.elevate": return try elevate(call, &counters)
    case "ring.release": return try release(call)
    case "file.open": return try openFile(call, &counters)
    case "net.connect": return try connect(call, &counters)
    case "approval.status": return try approvalStatus(call)
    case "approval.wait": return try approvalWait(call)
    case "saga.begin", "saga.step", "saga.commit", "saga.abort":
      return try saga(call, &counters)
    case "agt.cancel": return BrokerReply(result: .now(try cancel(call)))
    case "log.note": return BrokerReply(result: .now(try note(call, &counters)))
    case let other: throw BrokerError(.failed, "\(other) has no handler")
    }
  }

  private func hello(_ params: JSONObject) throws(BrokerError) -> JSONValue {
    guard params["protocol"] == .integer(Self.protocolVersion) else {
      throw BrokerError(
        .invalidParams, "protocol: this broker speaks version \(Self.protocolVersion)",
        ["protocol": .integer(Self.protocolVersion)])
    }
    if let client = params["client"], client.stringValue == nil {
      throw BrokerError(.invalidParams, "client: a text is needed")
    }
    return [
      "protocol": .integer(Self.protocolVersion), "run": .string(run), "agent": JSONValue(agent),
      "ring": JSONValue(ring), "profile": .string(profile), "policy": .string(policies.digest),
      "limits": .object(limits), "methods": JSONValue(MethodTable.names(ring: ring)),
    ]
  }

  // MARK: judging

  /// A class, because it is handed on.
  final class Judgement {
    let decision: Decision
    let triggers: [ViolationTrigger]
    fileprivate let number: UInt64
    fileprivate let fields: JSONObject
    fileprivate let caller: KnownCaller
    /// How it is told, when it is told as others are.
    fileprivate var allowed: AllowedAnswer?

    fileprivate init(
      _ decision: Decision, _ triggers: [ViolationTrigger], number: UInt64, fields: JSONObject,
      of caller: KnownCaller
    ) {
      self.decision = decision
      self.triggers = triggers
      self.number = number
      self.fields = fields
      self.caller = caller
    }
  }

  /// Judges, counts and records one request. Its fields are completed with what the kernel and the run say.
  func judge(
    _ fields: JSONObject, kind: String, _ call: BrokerCall, _ counters: inout BrokerCounters
  ) -> (decision: Decision, triggers: [ViolationTrigger]) {
    let judgement = weigh(fields, kind: kind, call, &counters)
    record(judgement)
    return (judgement.decision, judgement.triggers)
  }

  /// The same, without recording it.
  private func weigh(
    _ fields: JSONObject, kind: String, _ call: BrokerCall, _ counters: inout BrokerCounters
  ) -> Judgement {
    let caller = known(call, kind)
    let request = Request(fields, from: caller.facts)
    let decision = policies.decide(request, buckets: &buckets, nowMilliseconds: call.now)
    decisions += 1
    counters.count(decision, request, kind: kind)
    var triggers = decision.triggers
    if let target = decision.demotion { demote(to: target, by: decision) }
    if decision.verdict == .deny, let watch = call.policyWatch, !watch.isEmpty {
      triggers += watch.judge(Self.denial(of: request))
    }
    return Judgement(decision, triggers, number: decisions, fields: request.own, of: caller)
  }

  /// What comes from here on is judged as a request of that ring; the kernel's confinement of what runs stays. Nobody
  /// is promoted.
  private func demote(to target: UInt8, by decision: Decision) {
    guard target > ring else { return }
    events.emit(
      "demoted",
      [
        "ring": JSONValue(target), "from": JSONValue(ring),
        "rule": JSONValue(decision.decidingRule?.place),
      ])
    ring = target
    common["ring"] = JSONValue(target)
    elevations.demote(to: target)
  }

  /// Whether no rule says anything of it. Nothing is counted or recorded; what a rule says has to be judged.
  func isByDefault(_ fields: JSONObject, kind: String, _ call: BrokerCall) -> Bool {
    policies.decide(Request(fields, from: known(call, kind).facts)).isByDefault
  }

  /// What the kernel and the run say of whoever asks.
  private func known(_ call: BrokerCall, _ kind: String) -> KnownCaller {
    let peer = call.peer
    if let caller, caller.kind == kind, caller.pid == peer.pid, caller.cgroup == peer.cgroup {
      return caller
    }
    var facts: JSONObject = ["kind": .string(kind)]
    for member in common.members { facts[member.name] = member.value }
    facts["pid"] = JSONValue(peer.pid)
    if readsExecutable, let path = peer.executable { facts["executable"] = .string(path) }
    let known = KnownCaller(kind: kind, pid: peer.pid, cgroup: peer.cgroup, facts)
    // Its program is another one tomorrow.
    if !readsExecutable { caller = known }
    return known
  }

  /// As `violations:` of policies see it.
  private static func denial(of request: Request) -> JSONObject {
    var fields = request.fields
    fields["kind"] = "broker.denied"
    return fields
  }

  /// Refuses what no policy can allow. For whoever looks on it is a denial like any other.
  func forbid(
    _ fields: JSONObject, kind: String, _ error: BrokerError, _ call: BrokerCall,
    _ counters: inout BrokerCounters
  ) -> BrokerReply {
    let caller = known(call, kind)
    let request = Request(fields, from: caller.facts)
    let subject = BrokerCounters.subject(of: request.own, kind: kind)
    decisions += 1
    counters.deny(
      BrokerCounters.Denial(verdict: Verdict.deny.name, rule: "", subject: subject.text),
      reason: error.message)
    let template = DecisionTemplate(
      .deny, of: caller, rules: [], decidingRule: nil, reason: error.message, salt: audit.salt)
    _ = audit.record(.decision, template, Occurrence(request.own, number: decisions))
    var details = error.details
    details["decision"] = JSONValue(decisions)
    return BrokerReply(
      result: .refused(BrokerError(error.code, error.message, details)),
      triggers: call.policyWatch?.judge(Self.denial(of: request)) ?? [])
  }

  /// Tells the log; nobody waits for it, because nothing of ours begins with an answer alone.
  func record(_ judgement: Judgement) {
    let one = Occurrence(judgement.fields, number: judgement.number)
    if let allowed = judgement.allowed { return allowed.record(one, in: audit) }
    let template = DecisionTemplate(judgement.decision, of: judgement.caller, salt: audit.salt)
    _ = audit.record(.decision, template, one)
  }

  /// Judges an action of the agent's own; nothing is executed.
  private func decide(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    var fields = call.request.params
    let asks = try Self.asks(fields)
    if fields["approval"] != nil { fields["approval"] = nil }
    for member in fields.members where Self.isReserved(member.name) {
      throw BrokerError(.invalidParams, "\(member.name): the broker says that itself; leave it out")
    }
    let judgement = weigh(fields, kind: "policy.decide", call, &counters)
    let decision = judgement.decision
    let isPlain = AllowedAnswer.isPlain(decision)
    if isPlain, let last = lastAllowed, last.answers(decision, of: judgement.caller) {
      judgement.allowed = last
    }
    // An answer that lets is told of when it is on its way: the entry takes longer than the judging.
    if decision.verdict != .allow { record(judgement) }
    if decision.verdict == .allow, let obstacle = audit.obstacle {
      record(judgement)
      throw BrokerError(.failed, obstacle)
    }
    if let allowed = judgement.allowed {
      return BrokerReply(
        result: .written(allowed.text(number: decisions)), triggers: judgement.triggers,
        judgement: judgement)
    }
    var result = JSONObject(unique: [
      JSONObject.Member(name: "verdict", value: .string(decision.verdict.name)),
      JSONObject.Member(name: "decision", value: JSONValue(decisions)),
      JSONObject.Member(name: "rules", value: .array(decision.rules.map { .string($0.id) })),
    ])
    if !decision.reason.isEmpty { result["reason"] = .string(decision.reason) }
    for case .warn(let text) in decision.obligations { result["warning"] = .string(text) }
    if asks, decision.verdict == .requireApproval {
      do throws(BrokerError) {
        let ticket = try approvals.park(
          [decision], facts: facts(call, ["method": "policy.decide", "asked": .object(fields)]),
          client: call.client, now: call.now, execute: nil)
        result["approval"] = .string(ticket.id)
        result["expiresInMilliseconds"] = JSONValue(ticket.expiresMilliseconds - call.now)
      } catch {
        guard error.code == .denied else { throw error }
        result["verdict"] = "deny"
        result["reason"] = .string(error.message)
      }
    }
    if isPlain {
      lastAllowed = AllowedAnswer(
        decision, of: judgement.caller, result: result, salt: audit.salt)
      judgement.allowed = lastAllowed
    }
    return BrokerReply(
      result: .now(.object(result)), triggers: judgement.triggers,
      judgement: decision.verdict == .allow ? judgement : nil)
  }

  /// Whether the agent wants a person to be asked.
  static func asks(_ params: JSONObject) throws(BrokerError) -> Bool {
    try flag(params, "approval", "true asks a person")
  }

  static func flag(
    _ params: JSONObject, _ name: String, _ meaning: String
  ) throws(BrokerError) -> Bool {
    guard let value = params[name] else { return false }
    guard let flag = value.boolValue else {
      throw BrokerError(.invalidParams, "\(name): \(meaning)")
    }
    return flag
  }

  /// What a person sees of a request, the kernel's and the run's facts first.
  func facts(_ call: BrokerCall, _ more: JSONObject) -> JSONObject {
    var facts: JSONObject = common
    facts["workspace"] = .string(workspace)
    facts["pid"] = JSONValue(call.peer.pid)
    if let path = call.peer.executable { facts["executable"] = .string(path) }
    for member in more.members { facts[member.name] = member.value }
    return facts
  }

  /// Why a request that was judged does not go ahead; nil when it does.
  func refusal(_ decision: Decision) -> BrokerError? {
    let code: BrokerError.Code
    switch decision.verdict {
    case .allow: return nil
    case .deny: code = .denied
    case .requireApproval: code = .approvalRequired
    }
    return BrokerError(
      code, decision.reason.isEmpty ? "the policy says no" : decision.reason,
      [
        "decision": JSONValue(decisions), "rules": .array(decision.rules.map { .string($0.id) }),
      ])
  }

  /// What the agent hears of a request that waits for a person.
  static func asked(
    _ ticket: ApprovalDesk.Ticket, _ decision: Decision, _ call: BrokerCall
  ) -> BrokerError {
    let now = AlarmClock.nowMilliseconds
    return BrokerError(
      .approvalRequired, decision.reason.isEmpty ? "somebody is asked" : decision.reason,
      [
        "approval": .string(ticket.id),
        "expiresInMilliseconds": JSONValue(
          ticket.expiresMilliseconds - min(now, ticket.expiresMilliseconds)),
      ])
  }

  // MARK: approvals

  private func approvalID(_ call: BrokerCall) throws(BrokerError) -> String {
    if let id = call.request.params["approval"]?.stringValue { return id }
    throw BrokerError(.invalidParams, "approval: the text that the refusal had is needed")
  }

  private func approvalStatus(_ call: BrokerCall) throws(BrokerError) -> BrokerReply {
    let id = try approvalID(call)
    return BrokerReply(result: .now(try approvals.status(id, client: call.client, now: call.now)))
  }

  private func approvalWait(_ call: BrokerCall) throws(BrokerError) -> BrokerReply {
    let id = try approvalID(call)
    let known = try approvals.wait(id, client: call.client, now: call.now) { [unowned self] end in
      if let file = donations.removeValue(forKey: id) {
        call.laterGives(end, file)
      } else {
        call.later(end)
      }
    }
    return BrokerReply(result: known.map { .now($0) } ?? .later)
  }

  private func cancel(_ call: BrokerCall) throws(BrokerError) -> JSONValue {
    guard let id = call.request.params["id"] else {
      throw BrokerError(.invalidParams, "id: that of a call that is under way")
    }
    return ["cancelled": .bool(tools?.cancel(id, client: call.client) ?? false)]
  }

  private func note(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> JSONValue {
    guard let text = call.request.params["text"]?.stringValue else {
      throw BrokerError(.invalidParams, "text: a text is needed")
    }
    counters.note(UntrustedText.cleaned(text), call.peer)
    return [:]
  }
}
