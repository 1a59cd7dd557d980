internal import Glibc
internal import JSON
internal import Kernel

/// The output of a detached run: kept in its log and sent to everybody who watches; with a terminal, what
/// viewers type goes to the program.
///
/// Its user says `agt logs -f build` or `agt attach build`. What can go wrong: a viewer reads slowly or not at
/// all. Then the program's output waits, and after `stallMilliseconds` without any progress that viewer is
/// disconnected. A viewer that goes never ends the run.
final class OutputSession: RunService {
  /// What a viewer may be behind before the program has to wait.
  private static let behindMaxBytes = 262_144
  /// The log of the run, which a viewer gets first, and the above.
  private static let pendingMaxBytes = 2 * OutputLog.fileMaxBytes + behindMaxBytes
  private static let stallMilliseconds: UInt64 = 2000
  /// Once at the end, for all viewers together.
  private static let farewellMilliseconds: Int32 = 500
  private static let viewersMax = 16
  /// What was typed and the program has not read.
  private static let typedMaxBytes = 65536
  /// More than a terminal holds (tty_buffer of Linux: 64 KiB).
  private static let lastBytesMax = 1 << 20
  private static let chunkBytes = 65536

  private final class Viewer {
    let socket: OwnedFD
    /// Closed with the connection of this client.
    let client: OperatorClient
    let mayType: Bool
    var pending: [UInt8]
    var hasProgressed = true

    init(_ socket: consuming OwnedFD, _ client: OperatorClient, mayType: Bool, pending: [UInt8]) {
      self.socket = socket
      self.client = client
      self.mayType = mayType
      self.pending = pending
    }
  }

  let isTerminal: Bool
  private let directory: OwnedFD
  private var log: OutputLog
  /// The pty's master, or the reading end of the program's output.
  private var source: OwnedFD?
  private var viewers: [Int32: Viewer] = [:]
  private var typed: [UInt8] = []
  private var stall: OwnedFD?
  private weak var station: OperatorService?
  /// Nil when the output is not limited.
  private var meter: BudgetMeter?

  /// - Parameters:
  ///   - output: what the program writes to; nil for a terminal, which comes later.
  ///   - directory: of the run.
  init(output: consuming OwnedFD?, directory: Int32) throws(SyscallError) {
    isTerminal = output.raw == nil
    self.directory = try Descriptors.duplicate(directory)
    log = try OutputLog(in: directory)
    source = output
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    meter = loop.meter
    guard let number = source.raw else { return }
    try Descriptors.setNonBlocking(number, true)
    try loop.watch(number, .input, for: self)
  }

  /// The ring's pty.
  func adopt(_ master: consuming OwnedFD, in loop: RunLoop) throws(SyscallError) {
    try Descriptors.setNonBlocking(master.raw, true)
    // What a program finds that asks before anybody has attached.
    try? Terminals.setWindowSize(master.raw, Terminals.WindowSize(rows: 24, columns: 80))
    try loop.watch(master.raw, .input, for: self)
    source = consume master
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == source.raw {
      if event.writable { flushTyped() }
      if event.readable { readSource(loop) }
    } else if event.descriptor == stall.raw {
      try expire(loop)
    } else if let viewer = viewers[event.descriptor] {
      if event.writable { flush(viewer, loop) }
      if event.readable { readViewer(viewer, loop) }
    }
    try rearm(loop)
  }

  func finish() {
    drain()
    let deadline = Clock.monotonicNanoseconds() + UInt64(Self.farewellMilliseconds) * 1_000_000
    for viewer in viewers.values {
      while !viewer.pending.isEmpty {
        let now = Clock.monotonicNanoseconds()
        let rest = now < deadline ? Int32((deadline - now) / 1_000_000) : 0
        guard Descriptors.isWritable(viewer.socket.raw, withinMilliseconds: rest),
          write(viewer)
        else { break }
      }
    }
    viewers = [:]
  }

  // MARK: the program's side

  private func readSource(_ loop: RunLoop) {
    guard let number = source.raw else { return }
    do throws(SyscallError) {
      let bytes = try Descriptors.read(number, upTo: Self.chunkBytes)
      if !bytes.isEmpty { return publish(passed(bytes), loop) }
    } catch {
      if error.errno == EAGAIN { return }
      // EIO: every process inside has closed the terminal; another may open it again only in ring 2's own
      // session, where PID 1 holds it open.
    }
    try? loop.unwatch(number)
    source = nil
  }

  private func passed(_ bytes: [UInt8]) -> [UInt8] {
    meter.map { Array($0.passed(bytes)) } ?? bytes
  }

  private func publish(_ bytes: [UInt8], _ loop: RunLoop) {
    log.append(bytes)
    for viewer in viewers.values {
      viewer.pending += bytes
      flush(viewer, loop)
    }
  }

  /// What was written last, when everything inside is gone. Others may be able to write as well by then.
  private func drain() {
    var left = source.raw.map { max(Self.lastBytesMax, Descriptors.waitingBytes($0)) } ?? 0
    while left > 0, let number = source.raw,
      let read = try? Descriptors.read(number, upTo: Self.chunkBytes), !read.isEmpty
    {
      left -= read.count
      let bytes = passed(read)
      log.append(bytes)
      for viewer in viewers.values where viewer.pending.count < Self.pendingMaxBytes {
        viewer.pending += bytes
      }
    }
  }

  private func flushTyped() {
    guard let number = source.raw else { return }
    while !typed.isEmpty, let count = try? Descriptors.writeSome(number, typed[...]) {
      typed.removeFirst(count)
    }
  }

  // MARK: viewers

  private func readViewer(_ viewer: Viewer, _ loop: RunLoop) {
    do throws(SyscallError) {
      let bytes = try Descriptors.read(viewer.socket.raw, upTo: 4096)
      if bytes.isEmpty { return drop(viewer, loop) }
      guard viewer.mayType else { return }
      // More than a person types: it is lost, as in a terminal whose program does not read (termios(3)).
      if typed.count < Self.typedMaxBytes { typed += bytes }
      flushTyped()
    } catch {
      if error.errno != EAGAIN { drop(viewer, loop) }
    }
  }

  private func flush(_ viewer: Viewer, _ loop: RunLoop) {
    if !write(viewer) || viewer.pending.count > Self.pendingMaxBytes {
      leaveBehind(viewer, loop)
    }
  }

  /// As much as goes now; false when the viewer is gone.
  private func write(_ viewer: Viewer) -> Bool {
    var done = 0
    defer { viewer.pending.removeFirst(done) }
    while done < viewer.pending.count {
      do throws(SyscallError) {
        done += try Descriptors.writeSome(viewer.socket.raw, viewer.pending[done...])
        viewer.hasProgressed = true
      } catch {
        return error.errno == EAGAIN
      }
    }
    return true
  }

  private func drop(_ viewer: Viewer, _ loop: RunLoop) {
    let number = viewer.socket.raw
    guard viewers[number] === viewer else { return }
    try? loop.unwatch(number)
    viewers[number] = nil
  }

  /// Sets what the loop waits for anew.
  private func rearm(_ loop: RunLoop) throws(SyscallError) {
    var isHeld = false
    for (number, viewer) in viewers {
      try loop.change(number, viewer.pending.isEmpty ? .input : [.input, .output])
      if viewer.pending.count > Self.behindMaxBytes { isHeld = true }
    }
    if let number = source.raw {
      var interest: Poller.Interest = isHeld ? [] : .input
      if !typed.isEmpty { interest.insert(.output) }
      try loop.change(number, interest)
    }
    if isHeld, stall.raw == nil {
      let timer = try Timers.descriptor(afterMilliseconds: Self.stallMilliseconds)
      try loop.watch(timer.raw, .input, for: self)
      stall = consume timer
      for viewer in viewers.values { viewer.hasProgressed = false }
    }
  }

  private func expire(_ loop: RunLoop) throws(SyscallError) {
    if let number = stall.raw { try loop.unwatch(number) }
    stall = nil
    for viewer in viewers.values
    where viewer.pending.count > Self.behindMaxBytes && !viewer.hasProgressed {
      leaveBehind(viewer, loop)
    }
  }

  private func leaveBehind(_ viewer: Viewer, _ loop: RunLoop) {
    drop(viewer, loop)
    station?.send(["ok": true, "event": "left"], to: viewer.client, in: loop)
  }

  // MARK: operators

  func add(to station: OperatorService) {
    self.station = station
    station.handle("follow") { request, loop throws(OperatorRefusal) in
      try self.admit(request, loop, mayType: false)
      return .now(["terminal": .bool(self.isTerminal)])
    }
    station.handle("attach") { request, loop throws(OperatorRefusal) in
      guard self.isTerminal else {
        throw OperatorRefusal(
          message: "it has no terminal to attach to",
          hint: "agt logs -f follows its output; agt-run --detach --tty gives a terminal")
      }
      let size = try Self.size(request.body)
      let kept = try self.admit(request, loop, mayType: true)
      self.resize(size, redraw: true)
      return .now(["keptBytes": JSONValue(kept)])
    }
    station.handle("resize") { request, _ throws(OperatorRefusal) in
      let size = try Self.size(request.body)
      guard self.viewers.values.contains(where: { $0.client == request.client && $0.mayType })
      else { throw OperatorRefusal(message: "only who is attached sets the size") }
      self.resize(size, redraw: false)
      return .now([:])
    }
    station.onDisconnection { client, loop in
      for viewer in self.viewers.values where viewer.client == client { self.drop(viewer, loop) }
    }
  }

  /// - Returns: how many bytes of the log the viewer gets before what is new.
  @discardableResult
  private func admit(
    _ request: OperatorRequest, _ loop: RunLoop, mayType: Bool
  ) throws(OperatorRefusal) -> Int {
    guard viewers.count < Self.viewersMax else {
      throw OperatorRefusal(message: "\(Self.viewersMax) watch already")
    }
    guard let number = request.passed.take() else {
      throw OperatorRefusal(message: "a socket has to come with the request")
    }
    let socket = OwnedFD(number)
    do throws(SyscallError) {
      guard try Files.status(number).kind == .socket else {
        throw SyscallError(call: "fstat", errno: ENOTSOCK)
      }
      try Descriptors.setNonBlocking(number, true)
      try loop.watch(number, [.input, .output], for: self)
    } catch {
      throw OperatorRefusal(message: "the socket that came with the request: \(error.description)")
    }
    let kept = OutputLog.read(in: directory.raw) ?? []
    viewers[number] = Viewer(socket, request.client, mayType: mayType, pending: kept)
    return kept.count
  }

  private static func size(_ body: JSONValue) throws(OperatorRefusal) -> Terminals.WindowSize {
    func number(_ name: String) -> UInt16? {
      body[name]?.integerValue.flatMap { (1...10_000).contains($0) ? UInt16($0) : nil }
    }
    guard let rows = number("rows"), let columns = number("columns") else {
      throw OperatorRefusal(message: "rows and columns from 1 to 10000 are needed")
    }
    return Terminals.WindowSize(rows: rows, columns: columns)
  }

  /// The last who says so has the size.
  private func resize(_ size: Terminals.WindowSize, redraw: Bool) {
    guard let number = source.raw else { return }
    if redraw, Terminals.windowSize(number) == size {
      // Only a change of size makes programs draw their screen again.
      let other = Terminals.WindowSize(rows: size.rows, columns: size.columns + 1)
      try? Terminals.setWindowSize(number, other)
    }
    try? Terminals.setWindowSize(number, size)
  }
}
