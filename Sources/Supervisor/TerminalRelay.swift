internal import Glibc
internal import Kernel

/// Carries bytes between the person's terminal and the ring's pty, and keeps both in order: raw mode while
/// the program has the terminal, the old settings on every way out, window size, stop and continue.
final class TerminalRelay {
  /// The person's side.
  private let input: Int32?
  private let output: Int32
  private let saved: Terminals.Settings
  let master: OwnedFD
  private var isRaw = false
  /// What the person typed and the pty has not taken yet.
  private var pending: [UInt8] = []
  /// More than this waits in the person's terminal instead.
  private static let maximumPending = 65536
  /// The person's terminal, opened anew: a write must not wait for a person who has stopped it (^S). nil when it cannot
  /// be.
  private let screen: OwnedFD?
  /// What the program wrote and the person's terminal has not taken yet; until then no more is read.
  private var unshown: [UInt8] = []
  /// Nil when the output is not limited.
  private let meter: BudgetMeter?
  /// More than a terminal holds (tty_buffer of Linux: 64 KiB).
  private static let lastBytesMax = 1 << 20
  /// At the end of the run, for a terminal that takes nothing.
  private static let patienceMilliseconds: Int32 = 5000

  /// - Parameter descriptors: which of 0, 1, 2 are the person's terminal.
  init(
    master: consuming OwnedFD, descriptors: UInt8, _ meter: BudgetMeter?
  ) throws(SyscallError) {
    self.meter = meter
    let output: Int32 = descriptors & 2 != 0 ? 1 : descriptors & 4 != 0 ? 2 : 0
    let saved = try Terminals.settings(output)
    try Descriptors.setNonBlocking(master.raw, true)
    self.master = master
    self.output = output
    self.saved = saved
    input = descriptors & 1 != 0 ? 0 : nil
    screen = Terminals.reopened(output)
    copyWindowSize()
  }

  var inputDescriptor: Int32? { input }
  var wantsToWrite: Bool { !pending.isEmpty }
  var mayRead: Bool { pending.count < Self.maximumPending }
  var screenDescriptor: Int32? { screen.raw }
  var wantsToShow: Bool { !unshown.isEmpty }

  func enterRawMode() throws(SyscallError) {
    guard input != nil, !isRaw else { return }
    try Terminals.makeRaw(output, from: saved)
    isRaw = true
  }

  /// Never fails: what cannot be restored now cannot be restored at all.
  func leaveRawMode() {
    guard isRaw else { return }
    try? Terminals.restore(output, saved)
    isRaw = false
  }

  func copyWindowSize() {
    if let size = Terminals.windowSize(output) { try? Terminals.setWindowSize(master.raw, size) }
  }

  /// From the person to the pty; false at end of file.
  func readInput() throws(SyscallError) -> Bool {
    guard let input else { return false }
    let bytes = try Descriptors.read(input, upTo: 4096)
    pending += bytes
    try flushInput()
    return !bytes.isEmpty
  }

  func flushInput() throws(SyscallError) {
    while !pending.isEmpty {
      do throws(SyscallError) {
        pending.removeFirst(try Descriptors.writeSome(master.raw, pending[...]))
      } catch {
        if error.errno == EAGAIN { return }
        if error.errno == EIO {
          pending = []
          return
        }
        throw error
      }
    }
  }

  /// From the pty to the person; false when the last process inside closed it.
  func readOutput() throws(SyscallError) -> Bool {
    do throws(SyscallError) {
      let bytes = try Descriptors.read(master.raw, upTo: 65536)
      if bytes.isEmpty { return false }
      show(bytes)
      try flushOutput()
      return true
    } catch {
      if error.errno == EAGAIN { return true }
      if error.errno == EIO { return false }
      throw error
    }
  }

  func flushOutput() throws(SyscallError) {
    do throws(SyscallError) {
      guard let screen = screen.raw else {
        try Descriptors.write(output, unshown)
        unshown = []
        return
      }
      while !unshown.isEmpty {
        unshown.removeFirst(try Descriptors.writeSome(screen, unshown[...]))
      }
    } catch {
      if error.errno == EAGAIN { return }
      // The terminal is gone; the program is not, and goes on until it is told.
      guard error.errno == EIO else { throw error }
      unshown = []
    }
  }

  private func show(_ bytes: [UInt8]) {
    if let meter { unshown += meter.passed(bytes) } else { unshown += bytes }
  }

  /// What the program wrote last, once everything inside is gone. Others may have its terminal as well by then.
  func drain() {
    var left = Self.lastBytesMax
    while left > 0 {
      guard (try? flushOutput()) != nil else { return }
      if let screen = screen.raw, !unshown.isEmpty {
        guard Descriptors.isWritable(screen, withinMilliseconds: Self.patienceMilliseconds) else {
          return
        }
        continue
      }
      guard let bytes = try? Descriptors.read(master.raw, upTo: 65536), !bytes.isEmpty else {
        return
      }
      left -= bytes.count
      show(bytes)
    }
    try? flushOutput()
  }
}
