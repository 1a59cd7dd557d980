internal import Glibc
internal import Kernel

/// TCP through the relay of ring 2 beside direct TCP over the host's loopback, to the same server.
enum NetworkBenchmark {
  private static let transferBytes = 1 << 30
  private static let blockBytes = 1 << 18
  private static let roundTrips = 5000
  private static let rounds = 9
  private static let connections = 1000

  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let own = "\(directory)/agt-bench"
    let listener = try Sockets.bound(.stream, to: SocketAddress([127, 0, 0, 1], port: 0))
    guard let port = try Sockets.localAddress(listener.raw)?.port else { return }
    let server = try Processes.fork()
    if server == 0 { serve(listener.raw) }
    defer {
      _ = try? Processes.signal(server, SIGKILL)
      _ = try? Processes.wait(server, blocking: true)
    }
    let ring = [
      "\(directory)/agt-run", "--ring", "2", "--quiet", "--net", "host-loopback:\(port)",
      "--workspace", "/tmp", "--",
    ]
    // The only name has the first address of the pool.
    let places = [("direct", [], "127.0.0.1"), ("relay", ring, "198.18.0.2")]
    var found: [String: [Double]] = [:]
    for _ in 0..<rounds {
      for (name, prefix, address) in places {
        let words = prefix + [own, "net-client", address, "\(port)"]
        for (what, value) in try Bench.measure(words) {
          found["\(name) \(what)", default: []].append(value)
        }
      }
    }
    let median = { (name: String) in
      let sorted = (found[name] ?? [0]).sorted()
      return sorted[sorted.count / 2]
    }
    // Whether the direct connection is paced decides more than the relay does.
    let kind = try? Files.read(ByteString("/proc/sys/net/ipv4/tcp_congestion_control"), limit: 64)
    let host = kind?.text.filter { $0 != "\n" } ?? "unknown"
    Bench.say("TCP to the host's loopback (\(host)), median of \(rounds) runs in turn")
    for (what, title) in [("down", "1 GiB from the server, MB/s"), ("up", "1 GiB to it, MB/s")] {
      let (direct, relay) = (median("direct \(what)"), median("relay \(what)"))
      Bench.say(line(title, direct, relay) + "   ×" + Bench.fixed(relay / direct, 2))
    }
    let (direct, relay) = (median("direct trip"), median("relay trip"))
    Bench.say(
      line("round trip of one byte, p50, µs", direct, relay) + "   +"
        + Bench.fixed(relay - direct, 1))
    try idle(ring + [own, "net-idle", "198.18.0.2", "\(port)"])
  }

  private static func line(_ title: String, _ direct: Double, _ relay: Double) -> String {
    Bench.left(title, 34) + "direct " + Bench.padded(Bench.fixed(direct, 1), 8) + "   relay "
      + Bench.padded(Bench.fixed(relay, 1), 8)
  }

  /// The supervisor's memory with no connection and with many that are silent.
  private static func idle(_ words: [String]) throws(SyscallError) {
    let pipe = try Descriptors.pipe()
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    let pid = try Processes.spawn(
      ByteString(words[0]), arguments: words.map { ByteString($0) },
      environment: Bench.environment,
      descriptors: [(nothing.raw, 0), (pipe.writer.raw, 1), (nothing.raw, 2)])
    _ = try Descriptors.read(pipe.reader.raw, upTo: 2)
    let before = MemoryBenchmark.resident(pid)
    _ = try Descriptors.read(pipe.reader.raw, upTo: 2)
    let after = MemoryBenchmark.resident(pid)
    Bench.say(
      Bench.left("\(connections) idle connections, KiB", 34) + "supervisor \(before) → \(after)")
    _ = try Processes.wait(pid, blocking: true)
    Bench.say("")
  }

  // MARK: the client

  /// `agt-bench net-client ADDRESS PORT`: prints `name value` lines.
  static func client(_ arguments: [String]) throws(SyscallError) {
    guard let place = place(arguments) else { AgtBench.fail("net-client ADDRESS PORT") }
    let down = try connect(place)
    try Descriptors.write(down.raw, [UInt8(ascii: "d")])
    var began = Clock.monotonicNanoseconds()
    let count = drain(down.raw)
    Bench.say("down \(rate(count, since: began))")
    let up = try connect(place)
    try Descriptors.write(up.raw, [UInt8(ascii: "u")])
    let block = [UInt8](repeating: 7, count: blockBytes)
    began = Clock.monotonicNanoseconds()
    for _ in 0..<(transferBytes / blockBytes) { try Descriptors.write(up.raw, block) }
    Sockets.endWriting(up.raw)
    _ = try Descriptors.read(up.raw, upTo: 1)
    Bench.say("up \(rate(transferBytes, since: began))")
    let echo = try connect(place)
    try Descriptors.write(echo.raw, [UInt8(ascii: "e")])
    var times: [UInt64] = []
    for _ in 0..<roundTrips {
      let began = Clock.monotonicNanoseconds()
      try Descriptors.write(echo.raw, [1])
      _ = try Descriptors.read(echo.raw, upTo: 1)
      times.append(Clock.monotonicNanoseconds() - began)
    }
    Bench.say("trip \(Bench.Spread(times).median / 1000)")
  }

  /// `agt-bench net-idle ADDRESS PORT`: a line before and a line after there are many connections.
  static func idleClient(_ arguments: [String]) throws(SyscallError) {
    guard let place = place(arguments) else { AgtBench.fail("net-idle ADDRESS PORT") }
    _ = try echoed(place)
    Bench.say("0")
    usleep(1_500_000)
    var open: [Int32] = []
    for _ in 0..<connections { open.append(try echoed(place).release()) }
    usleep(500_000)
    Bench.say("1")
    usleep(500_000)
  }

  /// A connection that has carried a byte both ways.
  private static func echoed(_ place: SocketAddress) throws(SyscallError) -> OwnedFD {
    let socket = try connect(place)
    try Descriptors.write(socket.raw, [UInt8(ascii: "i")])
    _ = try Descriptors.read(socket.raw, upTo: 1)
    return socket
  }

  /// Reads to the end into one buffer, as programs do that want to be fast; the number of bytes.
  private static func drain(_ socket: Int32) -> Int {
    var buffer = [UInt8](repeating: 0, count: blockBytes)
    var total = 0
    while true {
      // SAFETY: the kernel writes at most the buffer's length.
      let count = unsafe Glibc.read(socket, &buffer, blockBytes)
      if count <= 0 { return total }
      total += count
    }
  }

  private static func rate(_ count: Int, since began: UInt64) -> Double {
    Double(count) * 1000 / Double(Clock.monotonicNanoseconds() - began)
  }

  private static func place(_ arguments: [String]) -> SocketAddress? {
    guard arguments.count == 2, let port = UInt16(arguments[1]) else { return nil }
    let bytes = arguments[0].split(separator: ".").compactMap { UInt8($0) }
    return bytes.count == 4 ? SocketAddress(bytes, port: port) : nil
  }

  private static func connect(_ place: SocketAddress) throws(SyscallError) -> OwnedFD {
    let socket = try Sockets.open(.stream, isIPv4: true)
    try Descriptors.setNonBlocking(socket.raw, false)
    try Sockets.setNoDelay(socket.raw)
    _ = try Sockets.connect(socket.raw, to: place)
    return socket
  }

  // MARK: the server

  /// A process for each connection that is measured; those that stay idle are kept here.
  private static func serve(_ listener: Int32) -> Never {
    try? Descriptors.setNonBlocking(listener, false)
    _ = try? Limits.setSoft(.openFiles, to: .max)
    while true {
      guard let connection = try? Sockets.accept(listener) else { continue }
      try? Descriptors.setNonBlocking(connection.raw, false)
      try? Sockets.setNoDelay(connection.raw)
      guard let first = try? Descriptors.read(connection.raw, upTo: 1).first else { continue }
      if first == UInt8(ascii: "i") {
        try? Descriptors.write(connection.raw, [first])
        _ = connection.release()
        continue
      }
      // The child is nobody's to wait for: its own child serves.
      guard let child = try? Processes.fork() else { continue }
      if child == 0 {
        if (try? Processes.fork()) == 0 { try? answer(first, connection.raw) }
        exit(0)
      }
      _ = try? Processes.wait(child, blocking: true)
    }
  }

  private static func answer(_ first: UInt8, _ connection: Int32) throws(SyscallError) {
    switch first {
    case UInt8(ascii: "d"):
      let block = [UInt8](repeating: 7, count: blockBytes)
      for _ in 0..<(transferBytes / blockBytes) { try Descriptors.write(connection, block) }
    case UInt8(ascii: "u"):
      _ = drain(connection)
      try Descriptors.write(connection, [1])
    default:
      while true {
        let bytes = try Descriptors.read(connection, upTo: 16)
        if bytes.isEmpty { return }
        try Descriptors.write(connection, bytes)
      }
    }
  }
}
