internal import Audit
internal import JSON
internal import Network

/// What a run has reached and what it was refused, by destination: `example.org:443`, or `example.org` for a
/// name that was not resolved.
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
  private let events: RunEvents
  private let audit: RunAudit

  init(_ events: RunEvents, _ audit: RunAudit) {
    self.events = events
    self.audit = audit
  }

  mutating func open(_ relay: Relay) {
    change(relay.destination.text) { $0.connections += 1 }
    events.emit("net.open", ["destination": .string(relay.destination.text)])
  }

  mutating func close(_ relay: Relay) {
    let members: JSONObject = [
      "destination": .string(relay.destination.text), "sentBytes": JSONValue(relay.sentBytes),
      "receivedBytes": JSONValue(relay.receivedBytes),
    ]
    events.emit("net.close", members)
    audit.record(.netClose, members)
    change(relay.destination.text) {
      $0.sentBytes += relay.sentBytes
      $0.receivedBytes += relay.receivedBytes
    }
  }

  mutating func refuse(_ refused: NetworkService.Refused) {
    let destination = refused.destination ?? Self.others
    var count: UInt64 = 0
    let isNamed = change(destination) {
      $0.refused += 1
      $0.lastRefusal = refused.why
      count = $0.refused
    }
    // The same again is only counted; of those beyond the bound every one that doubles their number is told.
    guard isNamed ? count == 1 : count.nonzeroBitCount == 1 else { return }
    let members: JSONObject = [
      "destination": .string(destination), "refusal": .string(refused.why),
    ]
    events.emit("net.refused", members)
    audit.record(.netRefused, members)
  }

  /// Nil when nothing was refused: `evil.example: no network rule names it; 8.8.8.8:53: …`. Whose budget was used up was
  /// reached, and the run says itself why it ended.
  var refusals: String? {
    let refused = destinations.filter {
      $0.value.refused > 0 && !EgressAllowance.isRefusal($0.value.lastRefusal ?? "")
    }.sorted { $0.key < $1.key }
    if refused.isEmpty { return nil }
    let some = refused.prefix(5).map { "\($0.key): \($0.value.lastRefusal ?? "refused")" }
    let more = refused.count > 5 ? "; and \(refused.count - 5) more" : ""
    return some.joined(separator: "; ") + more
  }

  /// - Returns: whether the destination has counts of its own.
  @discardableResult
  private mutating func change(_ destination: String, _ body: (inout Counts) -> Void) -> Bool {
    let isKnown = destinations[destination] != nil
    let name =
      isKnown || destinations.count < Self.maximumDestinations ? destination : Self.others
    body(&destinations[name, default: Counts()])
    return name != Self.others
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
