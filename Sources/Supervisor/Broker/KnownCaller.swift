internal import JSON
internal import Policy

/// Whoever asks, in one way: what the kernel and the run say of it is brought into the spelling of policies, and of the
/// log, once for many requests. A class, so that asking who it is copies nothing.
final class KnownCaller: Sendable {
  /// Of the request.
  let kind: String
  let pid: Int32
  let cgroup: String?
  let facts: CallerFacts
  /// nil when they have no canonical form.
  let canonical: CanonicalMembers?

  init(kind: String, pid: Int32, cgroup: String?, _ facts: JSONObject) {
    self.kind = kind
    self.pid = pid
    self.cgroup = cgroup
    self.facts = CallerFacts(facts)
    canonical = try? CanonicalMembers(self.facts.fields)
  }

  func isSame(as other: KnownCaller) -> Bool {
    self === other
      || kind == other.kind && pid == other.pid && cgroup == other.cgroup
        && facts.fields.isIdentical(to: other.facts.fields)
  }
}
