internal import Glibc
internal import Kernel
internal import LaunchPlan

/// What Swift's runtime makes when it is used for the first time, such as the description of each kind of array:
/// 20 to 60 µs each. The launcher has time for it while the supervisor finds out what to start; the processes
/// that it forks for the ring then have it.
///
/// Without it a launch takes longer and does the same.
enum FirstUses {
  /// Decodes a plan that means nothing, and makes the other lists that building a ring does.
  static func make() {
    let start = StageStart(
      namespaces: 0, identity: .unchanged, owners: [LaunchPlan.Owner(uid: 0, gid: 0)],
      outOfMemoryScore: 0, hostName: [], loopbackUp: false, dropCapabilities: false,
      lockSecurebits: false, hasTerminal: false)
    let path = ByteString("/a")
    let plan = LaunchPlan(
      ring: 3, start: start, privateRoot: true,
      mounts: [
        .bind(
          source: path, target: path, options: [], judged: nil,
          owner: LaunchPlan.Owner(uid: 0, gid: 0)),
        .mask(path: path),
      ],
      limits: [LaunchPlan.ResourceLimit(resource: 0, value: 0)],
      landlock: LaunchPlan.LandlockPlan(
        abi: 1, handledFiles: 0, handledNetwork: 0, scopes: 0,
        rules: [LaunchPlan.LandlockRule(path: path, access: 0)], canary: nil),
      seccomp: LaunchPlan.SeccompPlan(instructions: [], reportsViolations: false), terminal: 0,
      executable: path, arguments: [path], environment: [path], workingDirectory: path)
    guard let again = try? LaunchPlan(decoding: plan.encoded()) else { return }
    // By how many is not for the compiler to know.
    let count = again.arguments.count
    var trees: [Int32?] = []
    trees.reserveCapacity(count)
    var options: [(key: String, value: String?)] = []
    options.reserveCapacity(count)
    // SAFETY: an empty list; what its elements would be is not used.
    var words: [UnsafeMutablePointer<CChar>?] = unsafe []
    unsafe words.reserveCapacity(count)
    var letters: [CChar] = []
    letters.reserveCapacity(count)
    var places: [Int] = []
    places.reserveCapacity(count)
    _ = RingLoop.filter.count + String(UInt32(count), radix: 8).utf8.count
  }
}
