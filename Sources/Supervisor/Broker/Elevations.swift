internal import Audit
internal import Broker
internal import JSON

/// The leases of a run by which tools run in a higher ring: granted when the log holds it, and over with
/// everything that they let run.
///
/// The agent's own process is never loosened: a call under a lease is an agt-run of its own in the higher ring.
/// When its lease is over, by its time, by its owner or with its owner, that run is killed and its end confirmed
/// before anybody is told that it is over.
final class Elevations {
  private var desk = ElevationDesk()
  private var programs: [String: BrokerMethods.Programs] = [:]
  private let tools: ToolRunner?
  private let events: RunEvents
  private let audit: RunAudit

  init(_ tools: ToolRunner?, _ events: RunEvents, _ audit: RunAudit) {
    self.tools = tools
    self.events = events
    self.audit = audit
  }

  /// What was asked for, judged.
  struct Wish {
    let tools: [String]
    let ring: UInt8
    let ttlMilliseconds: UInt64
    let client: UInt64
    /// What the tools execute, by their names.
    let programs: BrokerMethods.Programs
    /// What the log says of the decision.
    let why: JSONObject
  }

  func isDuplicate(_ tools: [String], client: UInt64, now: UInt64) -> Bool {
    desk.isDuplicate(tools, client: client, now: now)
  }

  /// - Parameters:
  ///   - mayBegin: asked again when the log has it.
  ///   - done: gets what the owner is told, or why there is no lease.
  func grant(
    _ wish: Wish, now: UInt64, mayBegin: @escaping () throws(BrokerError) -> Void,
    done: @escaping (Result<JSONValue, BrokerError>) -> Void
  ) throws(BrokerError) {
    let announced: ElevationDesk.Lease?
    do throws(ElevationDesk.Denial) {
      announced = try desk.announce(
        client: wish.client, ring: wish.ring, tools: wish.tools,
        ttlMilliseconds: wish.ttlMilliseconds, now: now)
    } catch { throw Self.refusal(error) }
    guard let lease = announced else {
      throw BrokerError(.busy, "\(ElevationDesk.leasesMax) leases are live already")
    }
    programs[lease.id] = wish.programs
    var entry = wish.why
    entry["programs"] = .object(
      wish.programs.sorted { $0.key < $1.key }.reduce(into: JSONObject()) {
        $0[$1.key] = $1.value.json
      })
    entry["lease"] = .string(lease.id)
    entry["ring"] = JSONValue(lease.ring)
    entry["tools"] = JSONValue(lease.tools)
    entry["ttlMilliseconds"] = JSONValue(lease.ttlMilliseconds)
    audit.intend(.elevationGranted, entry) { [weak self] refusal in
      guard let self else { return }
      do throws(BrokerError) {
        if let refusal { throw BrokerError(.failed, refusal) }
        try mayBegin()
        // Its owner may be gone, or the run demoted; then the log has its end already.
        guard desk.grant(lease.id, now: AlarmClock.nowMilliseconds) != nil else {
          throw BrokerError(.failed, "the lease ended before it began")
        }
      } catch {
        if desk.end(lease.id, .released) != nil { record(lease.id, "not_begun", 0) }
        programs[lease.id] = nil
        return done(.failure(error))
      }
      events.emit(
        "elevation.granted",
        [
          "lease": .string(lease.id), "ring": JSONValue(lease.ring),
          "tools": JSONValue(lease.tools), "ttlMilliseconds": JSONValue(lease.ttlMilliseconds),
        ])
      done(
        .success([
          "lease": .string(lease.id), "ring": JSONValue(lease.ring),
          "tools": JSONValue(lease.tools),
          "expiresInMilliseconds": JSONValue(lease.ttlMilliseconds),
        ]))
    }
  }

  /// For the agent: which of the reasons it was.
  static func refusal(_ denial: ElevationDesk.Denial, _ message: String? = nil) -> BrokerError {
    let usual =
      switch denial {
      case .invalidTarget: "the ring is not above the caller's own"
      case .ring0Forbidden: "ring 0 is for operators; nobody gets there by asking"
      case .duplicate: "one of the tools has a lease already; release that first"
      case .insufficientTrust: "the policy says no"
      case .noSponsorship: "a person has to approve it"
      case .expiredTTL: "ttl: 1 to \(ElevationDesk.ttlSecondsMax) seconds are needed"
      }
    return BrokerError(
      .denied, message ?? usual, ["reason": .string(denial.rawValue)])
  }

  func lease(for tool: String, client: UInt64, now: UInt64) -> ElevationDesk.Lease? {
    desk.lease(for: tool, client: client, now: now)
  }

  /// What a tool executed when the lease was given.
  func program(of tool: String, _ lease: ElevationDesk.Lease) -> ToolProgram? {
    programs[lease.id]?[tool]
  }

  /// A call that waited for the log, or for a person, begins only while its lease lives.
  func require(_ lease: ElevationDesk.Lease) throws(BrokerError) {
    guard desk.isLive(lease.id, now: AlarmClock.nowMilliseconds) else {
      throw BrokerError(.denied, "the lease \(lease.id) is over")
    }
  }

  // MARK: the end

  var nextMilliseconds: UInt64? { desk.nextMilliseconds }

  func expire(_ now: UInt64) {
    for lease in desk.expired(now: now) { end(lease.id, .expired) { _ in } }
  }

  /// - Parameter done: gets how many calls were ended, when none of them is left.
  /// - Returns: how it has ended before; then `done` is not called.
  func release(
    _ id: String, client: UInt64, now: UInt64, done: @escaping (Int) -> Void
  ) throws(BrokerError) -> ElevationDesk.End? {
    expire(now)
    if let end = desk.ending(of: id, client: client) { return end }
    guard desk.leases.contains(where: { $0.id == id && $0.client == client }) else {
      throw BrokerError(.invalidParams, "lease: this connection has no such lease")
    }
    end(id, .released, done: done)
    return nil
  }

  /// Ends what is mightier than the ring that the run's requests count as.
  func demote(to ring: UInt8) {
    for lease in desk.leases where lease.ring < ring { end(lease.id, .demoted) { _ in } }
  }

  func drop(client: UInt64) {
    for lease in desk.leases where lease.client == client { end(lease.id, .clientGone) { _ in } }
  }

  /// With the run, whose tools are gone.
  func finish() {
    for lease in desk.leases { end(lease.id, .runEnded) { _ in } }
  }

  private func end(_ id: String, _ end: ElevationDesk.End, done: @escaping (Int) -> Void) {
    guard desk.end(id, end) != nil else { return }
    programs[id] = nil
    guard let tools else { return }
    tools.end(lease: id) { [weak self] count in
      self?.record(id, end.rawValue, count)
      done(count)
    }
  }

  private func record(_ id: String, _ reason: String, _ count: Int) {
    let members: JSONObject = [
      "lease": .string(id), "reason": .string(reason), "calls": JSONValue(count),
    ]
    events.emit("elevation.ended", members)
    audit.record(.elevationEnded, members)
  }
}
