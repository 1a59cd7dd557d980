internal import JSON
internal import Network

/// What a run has reached and what it was refused, by destination.
struct NetworkCounters {
  struct Counts: Equatable {
    var connections: UInt64 = 0
    var refused: UInt64 = 0
    var sentBytes: UInt64 = 0
    var receivedBytes: UInt64 = 0
    var lastRefusal: String?
  }

  /// A program that tries every address there is must not fill the supervisor.
  private static let maximumDestinations = 1024
  private static let others = "others"
  private(set) var destinations: [String: Counts] = [:]

  mutating func open(_ relay: Relay) { change(relay.destination.text) { $0.connections += 1 } }

  mutating func close(_ relay: Relay) {
    change(relay.destination.text) {
      $0.sentBytes += relay.sentBytes
      $0.receivedBytes += relay.receivedBytes
    }
  }

  mutating func refuse(_ refused: NetworkService.Refused) {
    change(refused.destination ?? Self.others) {
      $0.refused += 1
      $0.lastRefusal = refused.why
    }
  }

  private mutating func change(_ destination: String, _ body: (inout Counts) -> Void) {
    let isKnown = destinations[destination] != nil
    let name =
      isKnown || destinations.count < Self.maximumDestinations ? destination : Self.others
    body(&destinations[name, default: Counts()])
  }

  var json: JSONValue {
    .array(
      destinations.sorted { $0.key < $1.key }.map { name, counts in
        .object([
          "destination": .string(name), "connections": JSONValue(counts.connections),
          "refused": JSONValue(counts.refused), "refusal": JSONValue(counts.lastRefusal),
          "sentBytes": JSONValue(counts.sentBytes),
          "receivedBytes": JSONValue(counts.receivedBytes),
        ])
      })
  }
}
