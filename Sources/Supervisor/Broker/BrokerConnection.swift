internal import Broker
internal import Glibc
internal import Kernel

/// One connection of the ring to its broker: bytes in, lines out, and who is at the other end.
///
/// The other end is untrusted code. It may send in any pieces, or too much, or nothing; it may not read. What
/// it does costs it its own connection, and costs the supervisor a bounded amount of memory and time.
final class BrokerConnection {
  let socket: OwnedFD
  /// Never used again in the run.
  let number: UInt64
  let peer: BrokerPeer
  var session = Session()
  /// Cuts what has come into lines.
  private var lines = LineReader()
  /// Descriptors that have come since the last line was taken; closed already.
  private var descriptors = 0
  /// What could not be sent yet, or waits for the answers to what came with its question.
  private var output: [UInt8] = []
  /// The other side has to read first.
  private var isFull = false
  /// Descriptors that ride on the byte of `output` with this number, in order.
  private var donations: [(offset: Int, donation: DonatedDescriptor)] = []
  /// Since the other side was last seen to have taken everything.
  private var donated = 0
  private(set) var hasEnded = false
  /// Bytes that were received and are in the socket still.
  private var left = 0
  /// Requests whose answers come later.
  var inFlight = 0
  /// Since when a part of a line waits, in milliseconds; nil when none does.
  private(set) var partialSince: UInt64?
  /// Until when it is not read, because its run has spent what its refusals may cost.
  var pausedUntil: UInt64?
  private(set) var interest: Poller.Interest = .input

  /// Taken at once from the socket.
  private static let readBytes = 16_384
  /// More is not produced for somebody who does not read.
  private static let outputMaxBytes = 65_536
  /// As much memory is kept for the next answers.
  private static let outputKeptBytes = 4096
  /// To send the rest of a line that was begun.
  static let lineMilliseconds: UInt64 = 10_000

  init(_ socket: consuming OwnedFD, _ peer: BrokerPeer, number: UInt64) {
    self.number = number
    self.socket = socket
    self.peer = peer
  }

  /// Once, before anything is received.
  func prepare() throws(SyscallError) { try Messages.letPeeksGoOn(socket.raw) }

  /// Whether nothing more can come of it.
  var isOver: Bool { hasEnded && output.isEmpty && pausedUntil == nil && inFlight == 0 }

  /// The other side does not read as fast as it is answered.
  var isWaitingToSend: Bool { isFull }

  /// Takes what waits; at the end of it `hasEnded` is true.
  ///
  /// Each time something is taken from the socket, the kernel wakes who sent it, because he may send more: he waits for
  /// the answer, and sleeps again. Where both have one processor, that is a sixth of the time which a request takes.
  /// - Parameter leaving: leaves it in the socket until `clear`. Not for long: the other side may be able to send no more.
  /// - Returns: whether anything has come.
  func receive(leaving: Bool, nowMilliseconds: UInt64) throws(SyscallError) -> Bool {
    let message: (bytes: [UInt8], descriptors: [Int32])?
    do throws(SyscallError) {
      if !leaving { try clear() }
      message = try Messages.receive(
        socket.raw, capacity: Self.readBytes, blocking: false, peeking: leaving)
    } catch {
      switch error.errno {
      case EAGAIN: return false
      // More descriptors than a request could ever have: all were closed, and the bytes are lost.
      case EMSGSIZE: throw error
      default:
        hasEnded = true
        return true
      }
    }
    guard let message else {
      hasEnded = true
      return true
    }
    if leaving { left += message.bytes.count }
    for number in message.descriptors { _ = OwnedFD(number) }
    descriptors += message.descriptors.count
    lines.append(message.bytes)
    if partialSince == nil { partialSince = nowMilliseconds }
    return true
  }

  /// Takes what was received and left.
  func clear() throws(SyscallError) {
    guard left > 0 else { return }
    defer { left = 0 }
    if try !Messages.discard(socket.raw, left) { hasEnded = true }
  }

  /// The next line, while the other side takes the answers.
  func nextLine() -> (next: LineReader.Next, descriptors: Int)? {
    if output.count >= Self.outputMaxBytes { sendHeld() }
    guard output.count < Self.outputMaxBytes, pausedUntil == nil else { return nil }
    let next = lines.next()
    if case .incomplete = next {
      if lines.isEmpty { partialSince = nil }
      return nil
    }
    defer { descriptors = 0 }
    return (next, descriptors)
  }

  /// A line was taken: what follows it, if anything, has just begun.
  func restartLineClock(nowMilliseconds: UInt64) {
    partialSince = lines.isEmpty ? nil : nowMilliseconds
  }

  /// At once, unless more has come that is answered first: a call for each of many answers costs more than judging.
  /// - Parameter donation: comes with the line.
  func send(_ bytes: [UInt8], _ donation: DonatedDescriptor? = nil) {
    if let donation {
      donations.append((output.count, donation))
      donated += 1
    }
    if output.isEmpty { output = bytes } else { output += bytes }
    if lines.isEmpty { sendHeld() }
  }

  /// Sends what `send` has held, unless the other side has to read first.
  func sendHeld() { if !isFull { flush() } }

  /// Sent, as far as is known not taken, or to be sent.
  func descriptorsOnTheirWay() -> Int {
    if donated > 0, donations.isEmpty, Messages.isTaken(socket.raw) { donated = 0 }
    return donated
  }

  func flush() {
    isFull = false
    guard !output.isEmpty else { return }
    do throws(SyscallError) {
      if donations.isEmpty {
        drop(try Descriptors.writeSome(socket.raw, output[...]))
      } else {
        try sendPieces()
      }
      isFull = !output.isEmpty
    } catch {
      if error.errno == EAGAIN {
        isFull = true
        return
      }
      // Nobody will read it.
      output = []
      donations = []
      hasEnded = true
    }
  }

  /// Each descriptor begins a piece of its own.
  private func sendPieces() throws(SyscallError) {
    while !output.isEmpty {
      let isRiding = donations.first?.offset == 0
      let next = isRiding ? donations.dropFirst().first : donations.first
      let piece = output[..<(next?.offset ?? output.count)]
      let count: Int
      if isRiding {
        let number = donations[0].donation.descriptor.raw
        count = try Messages.sendSome(socket.raw, piece, descriptor: number)
        donations.removeFirst()
      } else {
        count = try Descriptors.writeSome(socket.raw, piece)
      }
      let isPartial = count < piece.count
      drop(count)
      for index in donations.indices { donations[index].offset -= count }
      if isPartial { return }
    }
  }

  /// Of the output, what was sent.
  private func drop(_ count: Int) {
    if count == output.count {
      output.removeAll(keepingCapacity: count <= Self.outputKeptBytes)
    } else {
      output.removeFirst(count)
    }
  }

  /// Whether what comes next is to be taken.
  var mayBeRead: Bool { !hasEnded && interest.contains(.input) && pausedUntil == nil }

  /// - Returns: what the loop has to watch for now, when that has changed.
  func changedInterest() -> Poller.Interest? {
    var wanted: Poller.Interest = []
    if !hasEnded, pausedUntil == nil, output.count < Self.outputMaxBytes { wanted.insert(.input) }
    if !output.isEmpty { wanted.insert(.output) }
    guard wanted != interest else { return nil }
    interest = wanted
    return wanted
  }
}
