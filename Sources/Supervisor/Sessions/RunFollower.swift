internal import Glibc
internal import JSON
internal import Kernel

/// The other side of `OutputSession`: `agt logs` and `agt attach`.
public enum RunFollower {
  /// How watching ended.
  public enum End: Equatable, Sendable {
    /// With the run; the message is the supervisor's own, for people.
    case ended(status: UInt8, message: String?)
    case detached
    /// The supervisor gave up sending to somebody who did not read; the run goes on.
    case leftBehind
    /// The supervisor was killed.
    case lost
  }

  private static let answerMilliseconds: Int32 = 5000
  private static let chunkBytes = 65536

  // MARK: logs

  /// What a detached run has written, as far as it is kept.
  public static func log(of run: RegisteredRun) throws(RunError) -> [UInt8] {
    guard let bytes = OutputLog.read(in: run.directory.raw) else { throw notDetached(run) }
    return bytes
  }

  /// Passes on what is kept and what comes, until the run has ended.
  public static func follow(
    _ run: RegisteredRun, write: ([UInt8]) -> Bool
  ) throws(RunError) -> End {
    if let ending = run.ending {
      _ = write(try log(of: run))
      return end(ending)
    }
    guard OutputLog.read(in: run.directory.raw) != nil else { throw notDetached(run) }
    do throws(SyscallError) {
      let link: OperatorLink
      do throws(SyscallError) { link = try run.connect() } catch {
        guard let ending = run.readEnding() else { throw error }
        _ = write(OutputLog.read(in: run.directory.raw) ?? [])
        return end(ending)
      }
      var answer: JSONValue = .null
      let stream = try request(["method": "follow"], link, &answer)
      if isEnding(answer) {
        _ = write(OutputLog.read(in: run.directory.raw) ?? [])
        return end(answer)
      }
      while true {
        let bytes = try read(stream.raw)
        if bytes.isEmpty { break }
        if !write(bytes) { return .detached }
      }
      return try awaitEnd(link)
    } catch { throw failure(run, error) }
  }

  private static func notDetached(_ run: RegisteredRun) -> RunError {
    RunError(
      .notFound, "run \(run.id): its output went to whoever started it",
      hint: "agt-run --detach keeps the output of a run")
  }

  // MARK: attach

  /// Makes this terminal the run's until the run ends or the keys Ctrl-] d are typed.
  public static func attach(_ run: RegisteredRun) throws(RunError) -> End {
    guard Descriptors.isTerminal(0), Descriptors.isTerminal(1) else {
      throw RunError(
        .usage, "attach: standard input and output are to be a terminal",
        hint: "agt logs -f \(run.id) follows the output")
    }
    if let ending = run.ending { throw run.hasEnded(ending) }
    do throws(SyscallError) {
      let size = Terminals.windowSize(1) ?? Terminals.WindowSize(rows: 24, columns: 80)
      let link = try run.connect()
      var ask = sizeRequest(size)
      ask["method"] = "attach"
      var answer: JSONValue = .null
      let stream = try request(ask, link, &answer)
      if isEnding(answer) { return end(answer) }
      let kept = answer["keptBytes"]?.integerValue.flatMap(Int.init(exactly:)) ?? 0
      guard try hold(stream.raw, link, keptBytes: kept) else { return .detached }
      return try awaitEnd(link)
    } catch { throw failure(run, error) }
  }

  /// The terminal is as it was on every way out.
  /// - Returns: as `pump`.
  private static func hold(
    _ stream: Int32, _ link: OperatorLink, keptBytes: Int
  ) throws(SyscallError) -> Bool {
    let signals = try Signals.descriptor(for: [SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGTSTP])
    let saved = try Terminals.settings(0)
    try Terminals.makeRaw(0, from: saved)
    var modes = ScreenModes()
    defer {
      try? Descriptors.write(1, modes.leaving)
      try? Terminals.restore(0, saved)
      // What comes now may take its time, and a person may not want to wait.
      try? Signals.unblockAll()
    }
    return try pump(stream, signals.raw, link, TerminalReplay(keptBytes: keptBytes), &modes)
  }

  /// - Returns: false when the person, a signal, or the end of the terminal left the run.
  private static func pump(
    _ stream: Int32, _ signals: Int32, _ link: OperatorLink, _ first: TerminalReplay,
    _ modes: inout ScreenModes
  ) throws(SyscallError) -> Bool {
    var poller = try Poller()
    for number in [0, stream, signals] { try poller.add(number, .input) }
    var keys = DetachKeys()
    var replay = first
    while true {
      for event in try poller.wait(milliseconds: -1) {
        switch event.descriptor {
        case stream:
          let bytes = try read(stream)
          if bytes.isEmpty { return true }
          let shown = replay.take(bytes)
          modes.observe(shown)
          guard (try? Descriptors.write(1, shown)) != nil else { return false }
        case signals:
          for signal in try Signals.pending(signals) {
            guard signal == SIGWINCH else { return false }
            guard let size = Terminals.windowSize(1) else { continue }
            var ask = sizeRequest(size)
            ask["method"] = "resize"
            // A supervisor that is gone is told by the stream.
            try? link.send(ask)
          }
        default:
          guard let bytes = try? Descriptors.read(0, upTo: 4096), !bytes.isEmpty else {
            return false
          }
          let (typed, isLeaving) = keys.take(bytes)
          try? Descriptors.write(stream, typed)
          if isLeaving { return false }
        }
      }
    }
  }

  /// Empty at the end, also when what we wrote last was not read (ECONNRESET, unix(7)).
  private static func read(_ stream: Int32) throws(SyscallError) -> [UInt8] {
    do throws(SyscallError) {
      return try Descriptors.read(stream, upTo: chunkBytes)
    } catch {
      if error.errno == ECONNRESET { return [] }
      throw error
    }
  }

  private static func sizeRequest(_ size: Terminals.WindowSize) -> JSONObject {
    ["rows": JSONValue(size.rows), "columns": JSONValue(size.columns)]
  }

  // MARK: the operator's socket

  /// Sends the request with one end of a new connection.
  /// - Parameter answer: the supervisor's, or how the run ended when it did before it could answer.
  /// - Returns: the other end.
  private static func request(
    _ ask: JSONObject, _ link: OperatorLink, _ answer: inout JSONValue
  ) throws(SyscallError) -> OwnedFD {
    let pair = try UnixSockets.streamPair()
    // Asked for before, so that the end of the run is told even when it comes at once.
    try link.send(["method": "wait"])
    try link.send(ask, descriptor: pair.second.raw)
    guard let received = try link.receive(milliseconds: answerMilliseconds) else {
      throw SyscallError(call: "recvmsg", object: "an answer", errno: ETIMEDOUT)
    }
    guard received["ok"]?.boolValue == true else {
      throw SyscallError(
        call: received["error"]?.stringValue ?? "refused",
        object: received["hint"]?.stringValue ?? "", errno: EPERM)
    }
    answer = received
    return pair.takeFirst()
  }

  /// The stream is over: either the run is, or the supervisor has left us behind.
  private static func awaitEnd(_ link: OperatorLink) throws(SyscallError) -> End {
    while let message = try link.receive(milliseconds: -1) {
      switch message["event"]?.stringValue {
      case "ended": return end(message)
      case "left": return .leftBehind
      default: continue
      }
    }
    return .lost
  }

  private static func isEnding(_ answer: JSONValue) -> Bool {
    answer["event"]?.stringValue == "ended"
  }

  private static func end(_ ending: JSONValue) -> End {
    .ended(
      status: ending["status"]?.integerValue.flatMap(UInt8.init(exactly:)) ?? 0,
      message: ending["message"]?.stringValue)
  }

  private static func failure(_ run: RegisteredRun, _ error: SyscallError) -> RunError {
    if error.errno == EPERM, error.call != "connect" {
      return RunError(
        .notConfined, "run \(run.id): \(error.call)",
        hint: error.object.isEmpty ? nil : error.object)
    }
    return run.unreachable(error)
  }
}

/// Ctrl-] d leaves the run; Ctrl-] Ctrl-] types one Ctrl-]; after Ctrl-] anything else is typed as it is.
struct DetachKeys {
  static let prefix: UInt8 = 0x1d
  private var isWaiting = false

  mutating func take(_ bytes: [UInt8]) -> (typed: [UInt8], isLeaving: Bool) {
    var typed: [UInt8] = []
    for byte in bytes {
      if isWaiting {
        isWaiting = false
        if byte == UInt8(ascii: "d") { return (typed, true) }
        if byte != Self.prefix { typed.append(Self.prefix) }
        typed.append(byte)
      } else if byte == Self.prefix {
        isWaiting = true
      } else {
        typed.append(byte)
      }
    }
    return (typed, false)
  }
}
