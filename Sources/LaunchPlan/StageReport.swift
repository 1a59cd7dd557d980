/// What the stage tells the supervisor; one message each, descriptors ride along.
public enum StageReport: Equatable, Sendable {
  /// PID 1 of the ring exists; its pidfd rides along.
  case started(pid: Int32)
  /// The supervisor's end of the new terminal rides along.
  case terminal
  /// The listener for seccomp notifications rides along.
  case listener
  /// Sockets of the ring's network ride along, eight at most: those that the start numbers so.
  case sockets(numbers: [UInt16])
  /// A socket of the broker rides along: one that listens, or one end of the program's connection.
  case broker(isListening: Bool)
  /// The program was executed.
  case executed
  /// A step failed; the program was never executed.
  case failed(StageFailure)
  /// The program was stopped by this signal (job control).
  case stopped(signal: Int32)
  /// The program ended: an exit code, or the number of the signal that ended it.
  case exited(code: UInt8, signal: Int32)
  /// Every process of the ring has the signal (`StageCommand.everyone`).
  case signaledEveryone(Int32)
  /// What PID 1 and the processes that it has reaped have used (`StageCommand.account`).
  case account(cpuMicroseconds: UInt64, writtenBytes: UInt64)

  public func encoded() -> [UInt8] {
    var out = WireWriter()
    switch self {
    case .started(let pid):
      out.integer(UInt8(0))
      out.integer(pid)
    case .terminal: out.integer(UInt8(1))
    case .listener: out.integer(UInt8(2))
    case .executed: out.integer(UInt8(3))
    case .failed(let failure):
      out.integer(UInt8(4))
      out.string(Array(failure.step.utf8))
      out.string(Array(failure.call.utf8))
      out.string(Array(failure.object.utf8))
      out.integer(failure.errno)
    case .stopped(let signal):
      out.integer(UInt8(5))
      out.integer(signal)
    case .exited(let code, let signal):
      out.integer(UInt8(6))
      out.integer(code)
      out.integer(signal)
    case .sockets(let numbers):
      out.integer(UInt8(7))
      out.list(numbers) { $0.integer($1) }
    case .signaledEveryone(let signal):
      out.integer(UInt8(8))
      out.integer(signal)
    case .broker(let isListening):
      out.integer(UInt8(9))
      out.boolean(isListening)
    case .account(let cpu, let written):
      out.integer(UInt8(10))
      out.integer(cpu)
      out.integer(written)
    }
    return out.bytes
  }

  public init(decoding bytes: [UInt8]) throws(DecodingError) {
    var from = WireReader(bytes)
    switch try from.integer(UInt8.self) {
    case 0: self = .started(pid: try from.integer())
    case 1: self = .terminal
    case 2: self = .listener
    case 3: self = .executed
    case 4:
      self = .failed(
        StageFailure(
          step: String(decoding: try from.string(), as: UTF8.self),
          call: String(decoding: try from.string(), as: UTF8.self),
          object: String(decoding: try from.string(), as: UTF8.self), errno: try from.integer()))
    case 5: self = .stopped(signal: try from.integer())
    case 6: self = .exited(code: try from.integer(), signal: try from.integer())
    case 7:
      self = .sockets(
        numbers: try from.list(limit: 8) { r throws(DecodingError) in try r.integer() })
    case 8: self = .signaledEveryone(try from.integer())
    case 9: self = .broker(isListening: try from.boolean())
    case 10: self = .account(cpuMicroseconds: try from.integer(), writtenBytes: try from.integer())
    case let tag: throw from.failure("report \(tag)")
    }
    try from.end()
  }
}

/// Which step of the launch failed, on what, and why.
public struct StageFailure: Error, Equatable, Sendable {
  /// A step's name in the order of docs/decisions/0002, `mounts`.
  public var step: String
  /// The system call, `move_mount`.
  public var call: String
  public var object: String
  /// The positive errno value; 0 when no call failed.
  public var errno: Int32
  public init(step: String, call: String, object: String, errno: Int32) {
    self.step = step
    self.call = call
    self.object = object
    self.errno = errno
  }
}

/// What the supervisor tells PID 1 of the ring.
public enum StageCommand: Equatable, Sendable {
  /// Deliver a signal to the program's process group.
  case signal(Int32)
  /// Kill everything and end.
  case kill
  /// Deliver a signal to every process of the ring but PID 1 at once: with SIGSTOP none of them runs, forks
  /// or is missed afterwards (kill(2), -1). Only where PID 1 has a process namespace of its own.
  case everyone(Int32)
  /// Say what those have used who are gone (`StageReport.account`).
  case account

  public func encoded() -> [UInt8] {
    var out = WireWriter()
    switch self {
    case .signal(let number):
      out.integer(UInt8(0))
      out.integer(number)
    case .kill: out.integer(UInt8(1))
    case .everyone(let number):
      out.integer(UInt8(2))
      out.integer(number)
    case .account: out.integer(UInt8(3))
    }
    return out.bytes
  }

  public init(decoding bytes: [UInt8]) throws(DecodingError) {
    var from = WireReader(bytes)
    switch try from.integer(UInt8.self) {
    case 0: self = .signal(try from.integer())
    case 1: self = .kill
    case 2: self = .everyone(try from.integer())
    case 3: self = .account
    case let tag: throw from.failure("command \(tag)")
    }
    try from.end()
  }
}
