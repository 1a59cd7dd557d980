import Testing

@testable import Supervisor

/// Connections may use what the rest of the supervisor does not need.
@Suite struct NetworkBoundsTests {
  /// Clients of the DNS over TCP and of the operator, lookups of both families, the rest, the broker with what is on
  /// its way to programs, and files that are being opened.
  private static let others = 64 + 64 + 2 * 64 + 64 + 66 + 3 * 32 + 26

  @Test(arguments: [4, 130, 1026]) func socketsOfTheRingAreCounted(_ sockets: Int) {
    for hard: UInt64 in [1650, 4096, 6652, 7000, 1 << 20] {
      let bounds = NetworkService.bounds(hardLimit: hard, sockets: sockets)
      let needed = sockets + Self.others + bounds.relays * NetworkService.descriptorsPerRelay
      #expect(bounds.openFiles <= hard && needed <= Int(bounds.openFiles), "\(hard) \(bounds)")
    }
    let wide = NetworkService.bounds(hardLimit: 1 << 20, sockets: sockets)
    #expect(wide.relays == 1024 && wide.openFiles == UInt64(6144 + Self.others + sockets))
  }

  @Test func aFewConnectionsInAnyCase() {
    #expect(NetworkService.bounds(hardLimit: 256, sockets: 130).relays == 16)
  }
}
