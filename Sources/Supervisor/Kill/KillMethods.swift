internal import Glibc
internal import JSON
internal import Kernel

/// The kill switch on the operator's socket: `kill`, `pause` and `resume`.
///
/// `kill` takes `message` and `reason` (`manual` or `saga_abort`). It answers when the end is confirmed, with the record,
/// or after some seconds with `terminated: false`; before that, when it takes longer than a moment, that it is on its way. `pause` takes `timeoutMilliseconds`.
enum KillMethods {
  /// What people and programs outside may give as the reason; the others are the supervisor's to state.
  private static let reasons: [KillReason] = [.manual, .sagaAbort]
  /// A year.
  private static let pauseMaxMilliseconds: UInt64 = 31_536_000_000

  static func add(to station: OperatorService) {
    station.handle("kill") { request, loop throws(OperatorRefusal) in
      let order = try order(request)
      let isFirst = !loop.isEnding
      loop.killSwitch.report(to: request.client)
      loop.kill(order)
      // The first is told with everybody else (`RunLoop.kill`).
      return isFirst ? .later : .now(["state": "ending"])
    }
    station.handle("pause") { request, loop throws(OperatorRefusal) in
      try refuseUnlessRunning(loop)
      let time = request.body["timeoutMilliseconds"]?.integerValue.map { UInt64(clamping: $0) }
      if let time, !(1...pauseMaxMilliseconds).contains(time) {
        throw OperatorRefusal(message: "a pause of \(time) ms")
      }
      do throws(SyscallError) {
        try loop.killSwitch.pause(forMilliseconds: time, in: loop)
        try loop.tellServices(.paused(uid: request.peer.uid, milliseconds: time))
      } catch { throw OperatorRefusal(message: error.description) }
      return .now(["state": "paused", "frozen": .bool(!loop.hasProcessNamespace)])
    }
    station.handle("resume") { request, loop throws(OperatorRefusal) in
      guard loop.killSwitch.isPaused else {
        throw OperatorRefusal(message: "it is not paused")
      }
      do throws(SyscallError) {
        try loop.killSwitch.resume(in: loop)
        try loop.tellServices(.resumed(uid: request.peer.uid))
      } catch {
        throw OperatorRefusal(message: error.description)
      }
      return .now(["state": "running"])
    }
  }

  private static func order(_ request: OperatorRequest) throws(OperatorRefusal) -> KillOrder {
    let name = request.body["reason"]?.stringValue ?? KillReason.manual.rawValue
    guard let reason = reasons.first(where: { $0.rawValue == name }) else {
      throw OperatorRefusal(message: "a kill for the reason \(name) is not for operators")
    }
    let message = request.body["message"]?.stringValue
    if let problem = message.flatMap({ Label.problem(ofReason: $0) }) {
      throw OperatorRefusal(message: "the message: \(problem)")
    }
    return KillOrder(reason, by: "uid \(request.peer.uid)", message: message)
  }

  private static func refuseUnlessRunning(_ loop: RunLoop) throws(OperatorRefusal) {
    guard loop.hasProcessNamespace || loop.cgroup?.canFreeze == true else {
      throw OperatorRefusal(
        message: "it runs with --degrade namespaces and without a cgroup, where nothing can stop "
          + "all of it at once",
        hint: "agt kill ends it")
    }
    guard loop.executed else { throw OperatorRefusal(message: "its program has not begun") }
    guard !loop.killSwitch.isKilling else { throw OperatorRefusal(message: "it is being killed") }
  }
}
