internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The network of a ring that may reach something: every address in the world is the ring's own, and what
/// listens at them is the supervisor. The program cannot undo it: it has no capability over the namespace,
/// and the sockets are not its own.
enum RingNetwork {
  /// The ring's own addresses besides loopback; the first of the pool that the supervisor answers from.
  private static let ownIPv4: [UInt8] = [198, 18, 0, 1]
  private static let ownIPv6: [UInt8] = [0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

  /// The ring's own network with everything in it, when it gets one; joined by whoever calls.
  /// - Returns: its namespace, for the program's process; the caller closes it.
  static func make(_ start: StageStart) throws(StageFailure) -> Int32? {
    guard NamespaceSet(rawValue: start.namespaces).contains(.network) else { return nil }
    try Stage.step("namespaces") { () throws(SyscallError) in try Namespaces.unshare(.network) }
    try Stage.step("loopback") { () throws(SyscallError) in
      if start.loopbackUp { try Namespaces.bringLoopbackUp() }
    }
    if !start.sockets.isEmpty { try open(start.sockets) }
    return try Stage.step("namespaces") { () throws(SyscallError) in
      try Namespaces.currentNetwork().release()
    }
  }

  private static func open(_ sockets: [LaunchPlan.RingSocket]) throws(StageFailure) {
    let hasIPv6 = try Stage.step("network") { () throws(SyscallError) in
      var routes = try Routes.open()
      try routes.addLoopbackAddress(ownIPv4)
      try routes.makeEverythingLocal(source: ownIPv4)
      return try openIPv6(&routes)
    }
    var opened: [Int32] = []
    var numbers: [UInt16] = []
    for (index, socket) in sockets.enumerated() where socket.address.count == 4 || hasIPv6 {
      opened.append(
        try Stage.step("network") { () throws(SyscallError) in
          try Sockets.bound(
            socket.isDatagram ? .datagram : .stream,
            to: SocketAddress(socket.address, port: socket.port), isLocal: true
          ).release()
        })
      numbers.append(UInt16(index))
      if opened.count == 8 { try hand(&opened, &numbers) }
    }
    if !opened.isEmpty { try hand(&opened, &numbers) }
  }

  private static func hand(_ opened: inout [Int32], _ numbers: inout [UInt16]) throws(StageFailure)
  {
    try Stage.step("network") { () throws(SyscallError) in
      try Messages.send(
        Stage.socket, StageReport.sockets(numbers: numbers).encoded(), descriptors: opened)
    }
    for number in opened { _ = OwnedFD(number) }
    opened = []
    numbers = []
  }

  /// False on a machine without IPv6: then the ring has none either, and nothing can go that way.
  private static func openIPv6(_ routes: inout Routes) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
      try routes.addLoopbackAddress(ownIPv6)
      try routes.makeEverythingLocal(source: ownIPv6)
      return true
    } catch {
      let absent = [EAFNOSUPPORT, EOPNOTSUPP, EACCES, ENODEV, EADDRNOTAVAIL]
      if absent.contains(error.errno) { return false }
      throw error
    }
  }
}
