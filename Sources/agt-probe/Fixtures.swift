/// What the host prepares for a probe; given as NAME=VALUE on the command line.
enum Fixture: String, CaseIterable, Sendable {
  /// A readable and writable host file outside the view, in a directory where anybody may create.
  case secret
  /// `yes`: the working directory holds what `agt-probe plant` and the tests put there.
  case planted
  /// A private key below ~/.ssh of the user who starts the run.
  case sshKey = "ssh-key"
  /// A copy of the runtime's own executable, owned by the caller.
  case runtime
  /// A listening Unix stream socket beside the secret.
  case socket
  /// A bound Unix datagram socket beside the secret.
  case datagramSocket = "datagram-socket"
  /// The name of a listening abstract Unix socket.
  case abstract
  /// The path of a container engine's socket, where the host has one.
  case engineSocket = "engine-socket"
  /// A process of the caller outside the ring.
  case pid
  /// A TCP port on 127.0.0.1 and ::1 on which the host listens.
  case tcpPort = "tcp-port"
  /// A UDP port on 127.0.0.1 that sends back what it gets.
  case udpPort = "udp-port"
  /// Another address of the host's, on which the TCP port listens too.
  case address
  /// The beginning of every secret content.
  case token
  /// The description of a user key in the caller's session keyring.
  case key
  case sharedMemoryKey = "shm-key"
  case messageQueueKey = "msg-key"
  case semaphoreKey = "sem-key"
  /// A POSIX message queue, without the leading slash.
  case queue
  /// A file name in the host's /dev/shm.
  case sharedFile = "shm-file"
  /// The process group and the session of the caller.
  case group
  case session
  /// The caller's terminal, and its device as `dev:rdev` of stat(2).
  case terminal
  case terminalDevice = "terminal-device"
  /// An amount for the probes of limits: MiB, processes, files or descriptors.
  case amount
  /// Where a program that outlives its ring writes, to be seen from outside.
  case mark
}

/// The fixtures of one run.
struct Fixtures: Sendable {
  private let values: [Fixture: String]

  /// nil when an argument is not NAME=VALUE of a known name.
  init?(_ arguments: [String]) {
    var values: [Fixture: String] = [:]
    for argument in arguments {
      guard let split = argument.firstIndex(of: "="),
        let fixture = Fixture(rawValue: String(argument[..<split]))
      else { return nil }
      values[fixture] = String(argument[argument.index(after: split)...])
    }
    self.values = values
  }

  func missing(of needs: [Fixture]) -> [Fixture] { needs.filter { values[$0] == nil } }

  /// - Precondition: the probe names the fixture among its needs, which are checked before it runs.
  func text(_ fixture: Fixture) -> String {
    guard let value = values[fixture] else {
      preconditionFailure("a probe uses the fixture \(fixture.rawValue) without naming it")
    }
    return value
  }

  func optional(_ fixture: Fixture) -> String? { values[fixture] }

  /// 0 for what is not a number.
  func number(_ fixture: Fixture) -> Int { Int(text(fixture)) ?? 0 }

  /// The directory that holds the secret.
  var outside: String {
    let path = text(.secret)
    return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }
}
