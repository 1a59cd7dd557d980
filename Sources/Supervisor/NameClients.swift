internal import Glibc
internal import Kernel
internal import Network

/// The ring's DNS over UDP.
final class DatagramServer: NetworkHandler {
  private let socket: OwnedFD
  private unowned let service: NetworkService

  /// A query is one name; longer datagrams are cut and then malformed.
  private static let maximumBytes = 4096
  private static let maximumAtOnce = 64

  init(_ socket: consuming OwnedFD, _ service: NetworkService) {
    self.socket = socket
    self.service = service
  }

  func handle(_ event: Poller.Event) {
    for _ in 0..<Self.maximumAtOnce {
      guard
        let query = try? Sockets.receive(socket.raw, upTo: Self.maximumBytes)
      else { return }
      service.answer(query.bytes) { [self] answer in
        // A client that is gone, or whose buffer is full, asks again.
        try? Sockets.send(socket.raw, answer, to: query.from)
      }
    }
  }
}

/// A client of the ring's DNS over TCP: each message with its length in two bytes (RFC 1035, section
/// 4.2.2), several at a time if it likes (RFC 7766).
final class StreamClient: NetworkHandler {
  private let socket: OwnedFD
  private unowned let service: NetworkService
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var waiting = 0
  private var hasEnded = false
  private var isTaking = false
  private var isClosed = false
  private var interest: Poller.Interest = .input
  private(set) var deadlineMilliseconds: UInt64

  private static let idleMilliseconds: UInt64 = 10_000
  private static let maximumWaiting = 64
  /// Of answers that the client does not read.
  private static let maximumOutput = 65_536

  init(_ socket: consuming OwnedFD, _ service: NetworkService) {
    self.socket = socket
    self.service = service
    deadlineMilliseconds = AlarmClock.nowMilliseconds + Self.idleMilliseconds
  }

  func start() {
    service.watches.due(deadlineMilliseconds)
    do throws(SyscallError) {
      try service.watches.watch(socket.raw, .input, self)
    } catch { close() }
  }

  func expire(_ now: UInt64) { if now >= deadlineMilliseconds { close() } }

  func handle(_ event: Poller.Event) {
    do throws(SyscallError) {
      if event.readable, interest.contains(.input) { try read() }
      try flush()
    } catch {
      if error.errno != EAGAIN { close() }
    }
  }

  private func read() throws(SyscallError) {
    let bytes = try Descriptors.read(socket.raw, upTo: 16_384)
    deadlineMilliseconds = AlarmClock.nowMilliseconds + Self.idleMilliseconds
    if bytes.isEmpty { hasEnded = true }
    input += bytes
    takeQueries()
  }

  private func takeQueries() {
    guard !isTaking else { return }
    isTaking = true
    defer { isTaking = false }
    while input.count >= 2, waiting < Self.maximumWaiting {
      let count = Int(input[0]) << 8 | Int(input[1])
      guard input.count >= 2 + count else { return }
      let query = Array(input[2..<2 + count])
      input.removeFirst(2 + count)
      waiting += 1
      var isAnswered = false
      service.answer(query) { [self] answer in
        isAnswered = true
        waiting -= 1
        guard !isClosed else { return }
        output += [UInt8(answer.count >> 8), UInt8(answer.count & 255)] + answer
        takeQueries()
        do throws(SyscallError) { try flush() } catch { if error.errno != EAGAIN { close() } }
      }
      // What is no query gets no answer, and nothing waits for it.
      if !isAnswered, !NameService.isQuery(query) { waiting -= 1 }
    }
  }

  private func flush() throws(SyscallError) {
    guard !isClosed else { return }
    var isBlocked = false
    while !output.isEmpty, !isBlocked {
      do throws(SyscallError) {
        output.removeFirst(try Descriptors.writeSome(socket.raw, output[...]))
      } catch {
        guard error.errno == EAGAIN else { throw error }
        isBlocked = true
      }
    }
    if output.count > Self.maximumOutput || hasEnded && waiting == 0 && output.isEmpty {
      return close()
    }
    var wanted: Poller.Interest = output.isEmpty ? [] : .output
    if !hasEnded, waiting < Self.maximumWaiting, output.isEmpty { wanted.insert(.input) }
    if wanted != interest {
      interest = wanted
      try service.watches.change(socket.raw, wanted)
    }
  }

  private func close() {
    guard !isClosed else { return }
    isClosed = true
    service.watches.unwatch(socket.raw)
    service.closed(self)
  }
}
