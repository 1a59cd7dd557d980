internal import Audit
internal import Broker
internal import Glibc
internal import JSON
internal import Kernel
internal import Paths
internal import Policy

/// What `file.open` never opens, whatever a policy says.
struct ClosedPlaces: Sendable {
  private let paths: [String]

  /// The kernel's own, what agt-run itself keeps, and what decides what runs and their tools do.
  init(_ environment: [[UInt8]], obeyed: [String]) {
    let named = ["/proc", "/sys", "/dev"] + OwnPlaces.all(Caller(environment)) + obeyed
    let here = (try? Files.workingDirectory().text) ?? "/"
    let absolute = named.map { PolicyPath.normalize($0.hasPrefix("/") ? $0 : here + "/" + $0) }
    paths = absolute + named.compactMap { try? Files.canonical(ByteString($0)).text }
  }

  func holds(_ path: String) -> Bool {
    paths.contains { PathText.isInside(path, $0) }
  }
}

/// `file.open`: one regular file outside of the ring, by its canonical path.
extension BrokerMethods {
  private static let pathMaxBytes = 4095

  func openFile(_ call: BrokerCall, _ counters: inout BrokerCounters) throws(BrokerError)
    -> BrokerReply
  {
    let params = call.request.params
    guard let path = params["path"]?.stringValue, path.utf8.first == UInt8(ascii: "/"),
      path.utf8.count <= Self.pathMaxBytes, !path.utf8.contains(0)
    else {
      throw BrokerError(
        .invalidParams, "path: an absolute path of at most \(Self.pathMaxBytes) bytes is needed")
    }
    guard let mode = FileLook.Mode(rawValue: params["mode"].map { $0.stringValue ?? "" } ?? "read")
    else {
      let names = FileLook.Mode.allCases.map(\.rawValue).joined(separator: ", ")
      throw BrokerError(.invalidParams, "mode: one of \(names) is needed")
    }
    let asks = try Self.asks(params)
    if ring == 3, mode != .read {
      return forbid(
        ["path": .string(path), "mode": .string(mode.rawValue)], kind: "file.open",
        BrokerError(.notPermitted, "ring 3 may only read"), call, &counters)
    }
    guard isBoundByLandlock else {
      throw BrokerError(
        .notPermitted,
        "without Landlock a program can do more with a descriptor than it was given for")
    }
    let room = try call.descriptorRoom()
    let result = FileResult()
    // What tools execute is read-only inside, and this is not the way around that.
    let writing = mode == .read ? nil : tools.map { ($0.programs, $0.tools) }
    try blocking.run {
      result.lookAt(path, mode, followsLinks: true)
      if let (programs, tools) = writing { result.executed = programs.places(of: tools) }
    } done: { isInTime in
      call.goOn { [unowned self] counters throws(BrokerError) in
        try judgeFile(result, path, mode, asks: asks, isInTime, room, call, &counters)
      }
    }
    return BrokerReply(result: .later)
  }

  /// What is judged is where the path leads, whether something is there or not: only what the policy lets through
  /// hears of the kernel's answer.
  /// - Parameter asked: what the agent calls it; judged when the file system does not say where it leads.
  private func judgeFile(
    _ result: FileResult, _ asked: String, _ mode: FileLook.Mode, asks: Bool, _ isInTime: Bool,
    _ room: DescriptorRoom, _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    try mayBegin()
    let path = isInTime ? result.path ?? asked : asked
    let fields: JSONObject = ["path": .string(path), "mode": .string(mode.rawValue)]
    // Read each time: what did not exist can have been made somewhere else, behind a link.
    let own = mode == .read ? [] : result.executed + OwnPlaces.programs
    if ClosedPlaces(environment, obeyed: obeyed + own).holds(PolicyPath.normalize(path))
      || isInTime && result.isOfKernel
    {
      return forbid(
        fields, kind: "file.open",
        BrokerError(.denied, "what belongs to the kernel or to agt-run is opened for nobody"), call,
        &counters)
    }
    let (decision, triggers) = judge(fields, kind: "file.open", call, &counters)
    // Rules compare in one spelling; a file with another one was not judged.
    if decision.verdict != .deny, isInTime,
      Request(fields).fields["path"]?.stringValue?.utf8.elementsEqual(path.utf8) != true
    {
      throw BrokerError(.denied, "path: its name has no canonical spelling (Unicode NFC)")
    }
    if decision.verdict == .deny || decision.verdict == .requireApproval && !asks {
      return BrokerReply(result: .refused(refusal(decision)!), triggers: triggers)
    }
    guard isInTime else {
      throw BrokerError(.failed, "the file system does not answer", ["errno": JSONValue(ETIMEDOUT)])
    }
    // A person is asked about a path in either case: until then nobody hears whether it exists.
    if decision.verdict == .allow, let failure = result.failure { throw Self.failed(failure) }
    let why: JSONObject = [
      "path": .string(path), "mode": .string(mode.rawValue), "decision": JSONValue(decisions),
      "pid": JSONValue(call.peer.pid),
    ]
    if decision.verdict == .allow {
      begin(result, why, room) { ending in
        switch ending {
        case .success(let file): call.laterGives(Self.opened(path, mode), file)
        case .failure(let error): call.laterRefused(error)
        }
      }
      return BrokerReply(result: .later, triggers: triggers)
    }
    return try parkFile(path, mode, decision, why, call, triggers)
  }

  private static func opened(_ path: String, _ mode: FileLook.Mode) -> JSONValue {
    ["path": .string(path), "mode": .string(mode.rawValue), "descriptor": true]
  }

  /// A person approves a path, without any link in it; what lies there then is what is opened.
  private func parkFile(
    _ path: String, _ mode: FileLook.Mode, _ decision: Decision, _ why: JSONObject,
    _ call: BrokerCall, _ triggers: [ViolationTrigger]
  ) throws(BrokerError) -> BrokerReply {
    var approval = ""
    let ticket = try approvals.park(
      [decision],
      facts: facts(
        call, ["method": "file.open", "path": .string(path), "mode": .string(mode.rawValue)]),
      client: call.client, now: call.now
    ) { [unowned self] done throws(BrokerError) in
      try mayBegin()
      let room = try call.descriptorRoom()
      var why = why
      why["approval"] = .string(approval)
      let finish = { [unowned self] (ending: Result<DonatedDescriptor, BrokerError>) in
        switch ending {
        case .success(let file):
          donations[approval] = file
          done(Self.opened(path, mode))
        case .failure(let error): done(["outcome": "failed", "message": .string(error.message)])
        }
      }
      let result = FileResult()
      try blocking.run {
        result.lookAt(path, mode, followsLinks: false)
      } done: { [unowned self] isInTime in
        guard isInTime, result.failure == nil else {
          let error = result.failure.map { Self.failed($0) }
          return finish(
            .failure(error ?? BrokerError(.failed, "the file system does not answer")))
        }
        guard result.path == path, !result.isOfKernel else {
          return finish(.failure(BrokerError(.denied, "another file is there now")))
        }
        begin(result, why, room, done: finish)
      }
    }
    approval = ticket.id
    return BrokerReply(result: .refused(Self.asked(ticket, decision, call)), triggers: triggers)
  }

  /// Opens what was looked at and judged, as soon as the log holds that it does.
  /// - Parameter room: held until there is an end.
  private func begin(
    _ result: FileResult, _ why: JSONObject, _ room: DescriptorRoom,
    done: @escaping (Result<DonatedDescriptor, BrokerError>) -> Void
  ) {
    audit.intend(.fileOpen, why) { [weak self] refusal in
      guard let self else { return }
      do throws(BrokerError) {
        if let refusal { throw BrokerError(.failed, refusal) }
        try mayBegin()
        try blocking.run {
          result.open()
        } done: { isInTime in
          room.end()
          if isInTime, let file = result.descriptor { return done(.success(file)) }
          let error = isInTime ? result.failure.map { Self.failed($0) } : nil
          done(.failure(error ?? BrokerError(.failed, "the file system does not answer")))
        }
      } catch {
        room.end()
        done(.failure(error))
      }
    }
  }

  private static func failed(_ error: SyscallError) -> BrokerError {
    BrokerError(.failed, Errno.message(error.errno), ["errno": JSONValue(error.errno)])
  }
}
