internal import CProbe
internal import Glibc

/// The host's side of the probes: everything that a ring must not reach, in one process.
///
/// `agt-probe canary DIRECTORY WORKSPACE TOKEN` makes the objects, prints one line NAME=VALUE for
/// each fixture and then `ready`. For each line on its input it prints one line of JSON that says
/// what has been done to the objects so far; two equal lines mean that nothing was. At the end of
/// its input it removes everything and leaves.
struct Canary {
  private let directory: String
  private let token: String
  private let tcp: Int
  private let udp: Int
  private let unixStream: Int
  private let engine: Int
  private let workspaceStream: Int
  private let workspaceDatagram: Int
  private let fifo: Int
  private let unixDatagram: Int
  private let abstractStream: Int
  private let abstractDatagram: Int
  private let signals: Int
  private let sharedMemory: Int
  private let messages: Int
  private let semaphores: Int
  private let queue: Int
  private var connections = 0
  private var datagrams = 0
  private var signalCount = 0
  private var fifoBytes = 0

  static func main(_ arguments: [String]) -> Int32 {
    guard arguments.count == 3 else { return Outcome.Kind.skipped.exitStatus }
    probe_ignore(Int(SIGPIPE), 1)
    var canary = Canary(directory: arguments[0], workspace: arguments[1], token: arguments[2])
    canary.introduce()
    canary.watch()
    canary.remove()
    return 0
  }

  private init(directory: String, workspace: String, token: String) {
    self.directory = directory
    self.token = token
    _ = call(SYS_umask, 0)
    _ = create(directory + "/secret", Array((token + "\n").utf8), mode: 0o666)
    _ = create("/dev/shm/" + token, Array(token.utf8), mode: 0o666)
    let own = call(SYS_getpid)
    tcp = Self.server(10, SOCK_STREAM, .any6(0))
    udp = Self.server(2, SOCK_DGRAM, .inet([127, 0, 0, 1], 0))
    unixStream = Self.server(1, SOCK_STREAM, Self.path(directory + "/stream.sock"))
    engine = Self.server(1, SOCK_STREAM, Self.path(directory + "/engine.sock"))
    workspaceStream = Self.server(1, SOCK_STREAM, Self.path(workspace + "/planted-stream.sock"))
    workspaceDatagram = Self.server(
      1, SOCK_DGRAM, Self.path(workspace + "/planted-datagram.sock"))
    _ = call(
      SYS_mknodat, currentDirectory, Memory.text(workspace + "/planted-fifo"), 0o010666, 0)
    fifo = open(workspace + "/planted-fifo", O_RDWR | O_NONBLOCK)
    unixDatagram = Self.server(1, SOCK_DGRAM, Self.path(directory + "/datagram.sock"))
    let name = Array(token.utf8)
    abstractStream = Self.server(1, SOCK_STREAM, .unix(name, abstract: true))
    abstractDatagram = Self.server(
      1, SOCK_DGRAM, .unix(name + Array(".datagram".utf8), abstract: true))
    // Signals that are blocked and read from a descriptor neither end the process nor get lost.
    let mask = Memory.words([1 << UInt64(SIGWINCH - 1)])
    _ = call(SYS_rt_sigprocmask, 0, mask, 0, 8)
    signals = call(SYS_signalfd4, -1, mask, 8, Int(O_NONBLOCK))
    // IPC_CREAT and IPC_EXCL, open to everybody. The keys are the process's own number.
    sharedMemory = call(SYS_shmget, own, 4096, 0o3666)
    messages = call(SYS_msgget, own, 0o3666)
    semaphores = call(SYS_semget, own, 1, 0o3666)
    queue = call(
      SYS_mq_open, Memory.text(token), Int(O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK), 0o666, 0)
  }

  /// Prints the fixtures.
  private func introduce() {
    let own = call(SYS_getpid)
    for (fixture, value) in [
      (Fixture.token, token), (.secret, directory + "/secret"),
      (.socket, directory + "/stream.sock"), (.datagramSocket, directory + "/datagram.sock"),
      (.abstract, token), (.pid, "\(own)"), (.tcpPort, "\(Self.port(tcp))"),
      (.udpPort, "\(Self.port(udp))"), (.sharedMemoryKey, "\(own)"),
      (.messageQueueKey, "\(own)"), (.semaphoreKey, "\(own)"), (.queue, token),
      (.sharedFile, token),
    ] { Listing.line("\(fixture.rawValue)=\(value)") }
    Listing.line("ready")
  }

  private mutating func watch() {
    let own = servers + receivers + [signals, fifo]
    // struct pollfd: fd, then events and revents of 16 bits.
    let poll = Memory.halves(([0] + own).flatMap { [UInt32(truncatingIfNeeded: $0), 1] })
    while true {
      let count = call(SYS_ppoll, poll, own.count + 1, 0, 0, 0)
      if count < 0 && count != -Int(EINTR) { return }
      let asked = Memory.load(UInt16.self, at: poll + 6) != 0
      if asked && read(0, 256).result <= 0 { return }
      // Only now: what happened before the question must be in the answer.
      for server in servers { accept(server) }
      for receiver in receivers { answer(receiver) }
      // struct signalfd_siginfo is 128 bytes.
      while call(SYS_read, signals, Memory.zeroed(128), 128) == 128 { signalCount += 1 }
      fifoBytes += max(0, read(fifo, 4096).result)
      if asked { report() }
    }
  }

  private var servers: [Int] { [tcp, unixStream, engine, abstractStream, workspaceStream] }
  private var receivers: [Int] { [udp, unixDatagram, abstractDatagram, workspaceDatagram] }

  private mutating func accept(_ server: Int) {
    while true {
      let peer = call(SYS_accept4, server, 0, 0, 0)
      if peer < 0 { return }
      connections += 1
      close(peer)
    }
  }

  private mutating func answer(_ fd: Int) {
    let (name, length) = (Memory.zeroed(128), Memory.halves([128]))
    let buffer = Memory.zeroed(256)
    while true {
      Memory.store(UInt32(128), at: length)
      let got = call(SYS_recvfrom, fd, buffer, 256, 0, name, length)
      if got < 0 { return }
      datagrams += 1
      _ = call(SYS_sendto, fd, buffer, got, 0, name, Int(Memory.load(UInt32.self, at: length)))
    }
  }

  private func report() {
    let secret = contents(directory + "/secret")
    let status = status(directory + "/secret").1
    // struct msqid_ds: msg_qnum behind ipc_perm (48 bytes), three times and a size.
    let queueState = Memory.zeroed(256)
    _ = call(SYS_msgctl, messages, 2, queueState)
    // struct mq_attr: flags, maxmsg, msgsize, curmsgs.
    let attributes = Memory.zeroed(64)
    _ = call(SYS_mq_getsetattr, queue, 0, attributes)
    Listing.line(
      "{\"connections\":\(connections),\"datagrams\":\(datagrams),\"signals\":\(signalCount),"
        + "\"fifoBytes\":\(fifoBytes),"
        + "\"messages\":\(Memory.load(UInt64.self, at: queueState + 80)),"
        + "\"posixMessages\":\(Memory.load(UInt64.self, at: attributes + 24)),"
        + "\"secretBytes\":\(secret.bytes.count),\"secretMode\":\(status?.mode ?? 0),"
        + "\"secretChange\":\(status?.changeSeconds ?? 0).\(status?.changeNanoseconds ?? 0),"
        + "\"files\":\(names(in: directory).names.count)}")
  }

  private func remove() {
    for name in names(in: directory).names {
      unlink(directory + "/" + name)
      removeDirectory(directory + "/" + name)
    }
    unlink("/dev/shm/" + token)
    _ = call(SYS_shmctl, sharedMemory, 0, 0)
    _ = call(SYS_msgctl, messages, 0, 0)
    _ = call(SYS_semctl, semaphores, 0, 0, 0)
    _ = call(SYS_mq_unlink, Memory.text(token))
  }

  private static func path(_ path: String) -> SocketAddress {
    .unix(Array(path.utf8), abstract: false)
  }

  private static func server(
    _ family: Int, _ type: __socket_type, _ address: SocketAddress
  ) -> Int {
    let fd = call(SYS_socket, family, Int(type.rawValue) | Int(O_NONBLOCK | O_CLOEXEC), 0)
    if fd < 0 { return fd }
    _ = call(SYS_bind, fd, address.address, address.length)
    if type == SOCK_STREAM { _ = call(SYS_listen, fd, 64) }
    return fd
  }

  private static func port(_ fd: Int) -> Int {
    let name = Memory.zeroed(128)
    _ = call(SYS_getsockname, fd, name, Memory.halves([128]))
    return Int(Memory.load(UInt8.self, at: name + 2)) << 8
      | Int(Memory.load(UInt8.self, at: name + 3))
  }
}
