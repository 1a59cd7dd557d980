/// How many descriptors a run may have on their way to its programs, or open for requests that wait for the log: a
/// few for each connection, and a few more for all.
///
/// A place is taken when something is asked for and not when it is sent, so that many requests at once, or a disk
/// that hangs, or connections that are closed meanwhile, hold no more descriptors than one program that takes them
/// in time. The kernel counts what is on its way for the whole user, who could pass none to anybody else beyond his
/// limit (unix(7), ETOOMANYREFS).
final class DescriptorRooms {
  private var taken: [UInt64: Int] = [:]

  static let connectionMax = 4
  static let runMax = 32

  /// - Parameters:
  ///   - sent: to this connection, and not known to be taken.
  ///   - sentToAll: to every connection of the run.
  /// - Returns: nil when there are as many as may be.
  func take(client: UInt64, sent: Int, sentToAll: Int) -> DescriptorRoom? {
    let all = taken.values.reduce(0, +)
    guard taken[client, default: 0] + sent < Self.connectionMax, all + sentToAll < Self.runMax
    else {
      return nil
    }
    taken[client, default: 0] += 1
    return DescriptorRoom(client, self)
  }

  fileprivate func giveBack(_ client: UInt64) {
    let left = taken[client, default: 1] - 1
    taken[client] = left > 0 ? left : nil
  }
}

/// A place for one descriptor, from the request until it is sent or refused; given back with its last holder at
/// the latest.
final class DescriptorRoom {
  private let client: UInt64
  private var rooms: DescriptorRooms?

  fileprivate init(_ client: UInt64, _ rooms: DescriptorRooms) {
    self.client = client
    self.rooms = rooms
  }

  deinit { end() }

  func end() {
    rooms?.giveBack(client)
    rooms = nil
  }
}
