/// Leases by which named tools of a connection run in a higher ring for a while: pure, so that every order of
/// grants, releases and clocks can be tested.
///
/// announced → live → ended. It must never give a lease for ring 0, for a ring that is not above the caller's,
/// or for longer than an hour; nor find one for another connection than its own, or after its time.
public struct ElevationDesk: Sendable {
  /// Why there is no lease: the names of the execution-control specification of the Agent Governance Toolkit,
  /// section 8.3, but `community_edition`, which nothing here is.
  public enum Denial: String, Error, CaseIterable, Sendable {
    /// The ring is not above that of the caller.
    case invalidTarget = "invalid_target"
    /// Nobody gets there by asking.
    case ring0Forbidden = "ring_0_forbidden"
    /// One of the tools has a lease already.
    case duplicate = "duplicate_elevation"
    /// The policy does not let this run have it.
    case insufficientTrust = "insufficient_trust"
    /// No person has approved what only a person can.
    case noSponsorship = "no_sponsorship"
    /// Its time would be none, or longer than an hour.
    case expiredTTL = "expired_ttl"
  }

  public enum End: String, Sendable {
    case released
    case expired
    /// The connection that had it is closed.
    case clientGone = "client_gone"
    /// A policy lowered the ring that requests count as.
    case demoted
    case runEnded = "run_ended"
  }

  public struct Lease: Equatable, Sendable {
    /// Of this run; of use to nobody but `client`.
    public let id: String
    /// The connection.
    public let client: UInt64
    public let ring: UInt8
    public let tools: [String]
    public let ttlMilliseconds: UInt64
    /// Nil until it is granted.
    public fileprivate(set) var expiresMilliseconds: UInt64?
  }

  public static let ttlSeconds: Int64 = 300
  public static let ttlSecondsMax: Int64 = 3600
  /// Of all connections of a run; each of them holds a ring's worth of rights.
  public static let leasesMax = 16
  /// What is over is remembered for those who release late.
  static let overMax = 64

  /// Announced or live, in the order in which they were asked for.
  public private(set) var leases: [Lease] = []
  private var over: [(id: String, client: UInt64, end: End)] = []
  private var count: UInt64 = 0

  public init() {}

  /// What can be said before anybody is asked.
  public static func judge(ring: Int64, callerRing: UInt8, ttlSeconds: Int64) throws(Denial) {
    if ring == 0 { throw .ring0Forbidden }
    guard (1...3).contains(ring), ring < callerRing else { throw .invalidTarget }
    guard (1...ttlSecondsMax).contains(ttlSeconds) else { throw .expiredTTL }
  }

  /// Whether one of the tools has a lease of this connection.
  public func isDuplicate(_ tools: [String], client: UInt64, now: UInt64) -> Bool {
    leases.contains { lease in
      lease.client == client && !isOver(lease, now) && lease.tools.contains { tools.contains($0) }
    }
  }

  /// A lease that is not live yet.
  /// - Returns: nil when there are as many as may be.
  public mutating func announce(
    client: UInt64, ring: UInt8, tools: [String], ttlMilliseconds: UInt64, now: UInt64
  ) throws(Denial) -> Lease? {
    precondition((1...2).contains(ring) && !tools.isEmpty)
    precondition((1...UInt64(Self.ttlSecondsMax) * 1000).contains(ttlMilliseconds))
    if isDuplicate(tools, client: client, now: now) { throw .duplicate }
    guard leases.count < Self.leasesMax else { return nil }
    count += 1
    let lease = Lease(
      id: "e\(count)", client: client, ring: ring, tools: tools, ttlMilliseconds: ttlMilliseconds)
    leases.append(lease)
    return lease
  }

  /// Its time begins.
  /// - Returns: nil when it has ended meanwhile.
  public mutating func grant(_ id: String, now: UInt64) -> Lease? {
    guard let index = leases.firstIndex(where: { $0.id == id }),
      leases[index].expiresMilliseconds == nil
    else { return nil }
    leases[index].expiresMilliseconds = now + leases[index].ttlMilliseconds
    return leases[index]
  }

  /// The live lease for a tool, for the connection that has it.
  public func lease(for tool: String, client: UInt64, now: UInt64) -> Lease? {
    leases.first { lease in
      lease.client == client && lease.expiresMilliseconds != nil && !isOver(lease, now)
        && lease.tools.contains(tool)
    }
  }

  public func isLive(_ id: String, now: UInt64) -> Bool {
    leases.contains { $0.id == id && $0.expiresMilliseconds != nil && !isOver($0, now) }
  }

  private func isOver(_ lease: Lease, _ now: UInt64) -> Bool {
    lease.expiresMilliseconds.map { $0 <= now } ?? false
  }

  /// - Returns: nil when there is no such lease any more.
  public mutating func end(_ id: String, _ end: End) -> Lease? {
    guard let index = leases.firstIndex(where: { $0.id == id }) else { return nil }
    let lease = leases.remove(at: index)
    over.append((id, lease.client, end))
    if over.count > Self.overMax { over.removeFirst() }
    return lease
  }

  /// How a lease of this connection ended; nil when it had none of that name, or long ago.
  public func ending(of id: String, client: UInt64) -> End? {
    over.last { $0.id == id && $0.client == client }?.end
  }

  /// What is over now.
  public func expired(now: UInt64) -> [Lease] { leases.filter { isOver($0, now) } }

  /// When the next one is over; nil when none can be.
  public var nextMilliseconds: UInt64? { leases.compactMap(\.expiresMilliseconds).min() }
}
