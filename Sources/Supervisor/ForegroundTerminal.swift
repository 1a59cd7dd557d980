internal import Glibc
internal import Kernel

/// The person's terminal, while a program of a ring has it: bytes both ways, window size, raw mode.
///
/// Its user sees the program as if it ran without a ring. On every way out the terminal must be as it was, and a
/// program that reads nothing must not fill our memory (`TerminalRelay`).
final class ForegroundTerminal: RunService {
  /// Which of 0, 1, 2 are the person's terminal.
  private let descriptors: UInt8
  private var relay: TerminalRelay?
  private var listensToInput = false
  private var listensToProgram = false
  private var waitsForScreen = false

  init(descriptors: UInt8) { self.descriptors = descriptors }

  /// Whether the program has it.
  var isOpen: Bool { relay != nil }

  /// Gives it to the program.
  /// - Parameter master: of the ring's pty.
  func open(_ master: consuming OwnedFD, in loop: RunLoop) throws(SyscallError) {
    let relay = try TerminalRelay(master: master, descriptors: descriptors, loop.meter)
    try loop.watch(relay.master.raw, .input, for: self)
    listensToProgram = true
    // Before: whatever fails from here on, `restore` gives the terminal back.
    self.relay = relay
    try relay.enterRawMode()
    if let input = relay.inputDescriptor {
      try loop.watch(input, .input, for: self)
      listensToInput = true
    }
  }

  /// For every way out, also a failing one.
  func restore() { relay?.leaveRawMode() }

  func copyWindowSize() { relay?.copyWindowSize() }

  /// The program was stopped inside: its person gets the shell back, as with any other job.
  func stopJob() throws(SyscallError) {
    guard let relay else { return }
    relay.leaveRawMode()
    // Ours is blocked; it reaches the other members of our job.
    _ = try Processes.signal(0, SIGTSTP)
    Signals.stopSelf()
  }

  /// The job is in the foreground again.
  func continueJob() throws(SyscallError) {
    guard let relay else { return }
    try relay.enterRawMode()
    relay.copyWindowSize()
  }

  // MARK: RunService

  func start(in loop: RunLoop) {}

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    guard let relay else { return }
    let master = relay.master.raw
    if event.descriptor == master {
      if event.writable { try relay.flushInput() }
      if event.readable, !(try relay.readOutput()) {
        try loop.unwatch(master)
        listensToProgram = false
      }
    } else if event.descriptor == relay.screenDescriptor {
      try relay.flushOutput()
    } else if event.readable, !(try relay.readInput()) {
      try loop.unwatch(event.descriptor)
      listensToInput = false
    }
    if listensToProgram {
      var interest: Poller.Interest = relay.wantsToShow ? [] : .input
      if relay.wantsToWrite { interest.insert(.output) }
      try loop.change(master, interest)
    }
    if let screen = relay.screenDescriptor, relay.wantsToShow != waitsForScreen {
      waitsForScreen = relay.wantsToShow
      if waitsForScreen {
        try loop.watch(screen, .output, for: self)
      } else {
        try loop.unwatch(screen)
      }
    }
    if let input = relay.inputDescriptor, listensToInput {
      try loop.change(input, relay.mayRead ? .input : [])
    }
  }

  /// What the program wrote last.
  func finish() { relay?.drain() }
}
