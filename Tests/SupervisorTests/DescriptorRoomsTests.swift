import Testing

@testable import Supervisor

@Suite struct DescriptorRoomsTests {
  private func take(_ rooms: DescriptorRooms, _ client: UInt64, sent: Int = 0, all: Int = 0)
    -> DescriptorRoom?
  {
    rooms.take(client: client, sent: sent, sentToAll: all)
  }

  /// Taken when they are asked for, whether something was sent yet or not.
  @Test func aConnectionHasFew() {
    let rooms = DescriptorRooms()
    var held = (0..<DescriptorRooms.connectionMax).map { _ in take(rooms, 1) }
    #expect(held.allSatisfy { $0 != nil })
    #expect(take(rooms, 1) == nil)
    #expect(take(rooms, 2) != nil)
    held[0]?.end()
    held[0]?.end()
    #expect(take(rooms, 1, sent: 1) == nil)
    held[1] = nil
    held[0] = take(rooms, 1, sent: 1)
    #expect(held[0] != nil)
    #expect(take(rooms, 1, sent: 1) == nil)
  }

  /// Connections that are closed while their requests wait hold what they hold.
  @Test func aRunHasFew() {
    let rooms = DescriptorRooms()
    var held: [DescriptorRoom?] = []
    var client: UInt64 = 0
    while let room = take(rooms, client / UInt64(DescriptorRooms.connectionMax)) {
      held.append(room)
      client += 1
    }
    #expect(held.count == DescriptorRooms.runMax)
    held.removeLast()
    #expect(take(rooms, 1000, all: 1) == nil)
    #expect(take(rooms, 1000) != nil)
    held = []
    #expect(take(rooms, 1, all: DescriptorRooms.runMax - 1) != nil)
  }
}
