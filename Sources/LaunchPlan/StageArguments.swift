/// What the stage must know before the plan is ready, as its command line.
public struct StageArguments: Equatable, Sendable {
  /// CLONE_NEW* bits; the plan repeats them.
  public var namespaces: UInt64
  /// An ordinary user's own ids, which the user namespace maps; nil when root starts the run.
  public var owner: LaunchPlan.Owner?
  /// oom_score_adj of proc(5), so that the ring dies before its neighbours. -1000 ... 1000; an ordinary
  /// user's process can set it only as long as it is dumpable, and that is before the plan comes.
  public var outOfMemoryScore: Int16

  public init(namespaces: UInt64, owner: LaunchPlan.Owner?, outOfMemoryScore: Int16) {
    self.namespaces = namespaces
    self.owner = owner
    self.outOfMemoryScore = outOfMemoryScore
  }

  /// The name of the program and three words.
  public var words: [String] {
    [
      "agt-stage", String(namespaces, radix: 16), owner.map { "\($0.uid):\($0.gid)" } ?? "root",
      "\(outOfMemoryScore)",
    ]
  }

  /// Nil for anything that `words` does not produce.
  public init?(words: [String]) {
    guard words.count == 4, let namespaces = UInt64(words[1], radix: 16),
      let score = Int16(words[3]), (-1000...1000).contains(score)
    else { return nil }
    self.namespaces = namespaces
    outOfMemoryScore = score
    if words[2] == "root" { return }
    let ids = words[2].split(separator: ":", omittingEmptySubsequences: false)
    guard ids.count == 2, let uid = UInt32(ids[0]), let gid = UInt32(ids[1]) else { return nil }
    owner = LaunchPlan.Owner(uid: uid, gid: gid)
  }
}
