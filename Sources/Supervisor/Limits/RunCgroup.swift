internal import Glibc
internal import Kernel
internal import Paths

/// The cgroup of one run: made before its first process, entered by the stage, removed when it is empty.
///
/// It limits the run as a whole, freezes it and kills it at once. What can go wrong: the hierarchy is not ours,
/// a controller is missing, a file cannot be written; then the launch fails and says which, unless nobody
/// asked for it. It must never hold a process of another run, nor be left behind.
final class RunCgroup {
  enum Flavour: String { case v2, v1 }

  let flavour: Flavour
  let limits: RunLimits
  /// By controller in version 1; one, named ``, in version 2.
  private let directories: [(controller: String, path: String)]
  private let id: String
  /// For the stage: the directory in version 2, else each cgroup.procs.
  private var entrances: [Entrance] = []
  private var isRemoved = false

  private final class Entrance {
    let descriptor: OwnedFD
    init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
  }

  /// Each directory once: two controllers can have one hierarchy.
  private var places: Set<String> { Set(directories.map(\.path)) }

  /// Ride along with the stage's start, eight at most.
  var descriptors: [Int32] { entrances.map { $0.descriptor.raw } }

  // MARK: making it

  /// - Returns: nil when the plan needs none.
  static func make(
    _ plan: CgroupPlan, id: String, _ limits: RunLimits
  ) throws(RunError) -> RunCgroup? {
    do throws(SyscallError) {
      switch plan {
      case .none: return nil
      case .v2(let unified): return try RunCgroup(unified: unified, id, limits)
      case .v1(let legacy): return try RunCgroup(legacy: legacy, id, limits)
      }
    } catch {
      throw RunError(
        .notConfined, "a cgroup for the run: \(error.description)",
        hint: limits.needed.isEmpty
          ? "--cgroup none goes on with resource limits alone"
          : "agt doctor says what is there; --cpu, --io-read and --io-write need it")
    }
  }

  private init(
    unified: CgroupHost.Unified, _ id: String, _ limits: RunLimits
  ) throws(SyscallError) {
    flavour = .v2
    self.id = id
    self.limits = limits
    let path = "\(unified.parent)/\(id)"
    directories = [("", path)]
    if !unified.isOwn { try Self.makeParent(unified.parent) }
    try Self.enable(unified, limits)
    try Files.makeDirectory(ByteString(path), mode: 0o755)
    do throws(SyscallError) {
      let has = unified.controllers
      if let bytes = limits.memoryBytes, has.contains("memory") {
        try write("memory.max", "\(bytes)")
        // Without swap accounting the file is not there.
        try? write("memory.swap.max", "0")
        try write("memory.oom.group", "0")
      }
      if let count = limits.processes, has.contains("pids") {
        // PID 1 of the ring is in it too.
        try write("pids.max", "\(count + 1)")
      }
      if let quota = limits.cpuQuotaMicroseconds, has.contains("cpu") {
        try write("cpu.max", "\(quota) \(RunLimits.cpuPeriodMicroseconds)")
      }
      if let io = limits.io, has.contains(CgroupHost.io) {
        for line in io.lines { try write("io.max", line) }
      }
      entrances = [Entrance(try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY))]
    } catch {
      remove()
      throw error
    }
  }

  private init(
    legacy: [String: String], _ id: String, _ limits: RunLimits
  ) throws(SyscallError) {
    flavour = .v1
    self.id = id
    self.limits = limits
    directories = legacy.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)/\(id)") }
    do throws(SyscallError) {
      for path in places {
        try Self.makeParent(PathText.parent(path))
        try Files.makeDirectory(ByteString(path), mode: 0o755)
      }
      if let bytes = limits.memoryBytes, legacy["memory"] != nil {
        try write("memory.limit_in_bytes", "\(bytes)", "memory")
        try? write("memory.memsw.limit_in_bytes", "\(bytes)", "memory")
      }
      if let count = limits.processes, legacy["pids"] != nil {
        try write("pids.max", "\(count + 1)", "pids")
      }
      if let quota = limits.cpuQuotaMicroseconds, legacy["cpu"] != nil {
        try write("cpu.cfs_period_us", "\(RunLimits.cpuPeriodMicroseconds)", "cpu")
        try write("cpu.cfs_quota_us", "\(quota)", "cpu")
      }
      if let io = limits.io, legacy[CgroupHost.legacyIO] != nil {
        for (file, line) in io.legacyLines { try write(file, line, CgroupHost.legacyIO) }
      }
      for path in places {
        entrances.append(Entrance(try Files.open(ByteString("\(path)/cgroup.procs"), O_WRONLY)))
      }
    } catch {
      remove()
      throw error
    }
  }

  private static func makeParent(_ path: String) throws(SyscallError) {
    do throws(SyscallError) {
      try Files.makeDirectory(ByteString(path), mode: 0o755)
    } catch { if error.errno != EEXIST { throw error } }
  }

  /// Children have the controllers that every cgroup above them passes on; one that has processes of its own
  /// passes nothing on, so that we leave it first (cgroups(7), "no internal processes").
  private static func enable(
    _ unified: CgroupHost.Unified, _ limits: RunLimits
  ) throws(SyscallError) {
    let ours = CgroupHost.controllers + (limits.io == nil ? [] : [CgroupHost.io])
    let wanted = ours.filter { unified.controllers.contains($0) }
    let places =
      unified.isOwn ? [unified.parent] : [PathText.parent(unified.parent), unified.parent]
    for place in places {
      let passed = CgroupHost.words("\(place)/cgroup.subtree_control")
      let missing = wanted.filter { !passed.contains($0) }
      if missing.isEmpty { continue }
      if unified.isOwn { try leave(place) }
      try Files.overwrite(
        ByteString("\(place)/cgroup.subtree_control"),
        missing.map { "+\($0)" }.joined(separator: " "))
    }
  }

  private static func leave(_ place: String) throws(SyscallError) {
    let aside = "\(place)/\(CgroupHost.supervisorName)"
    try makeParent(aside)
    for pid in processes(in: place) ?? [] {
      do throws(SyscallError) {
        try Files.overwrite(ByteString("\(aside)/cgroup.procs"), "\(pid)")
      } catch { if error.errno != ESRCH { throw error } }
    }
  }

  private func write(
    _ file: String, _ text: String, _ controller: String = ""
  ) throws(SyscallError) {
    try Files.overwrite(ByteString("\(directory(controller))/\(file)"), text)
  }

  private func directory(_ controller: String) -> String {
    directories.first { $0.controller == controller }?.path ?? ""
  }

  // MARK: using it

  /// Ends every process in it at once (cgroup.kill, Linux 5.14); in version 1, where it can be frozen, those that
  /// are in it now. False where it cannot.
  func kill() -> Bool {
    if flavour == .v2 { return (try? write("cgroup.kill", "1")) != nil }
    guard hasFreezer else { return false }
    Self.killEach(in: directory(CgroupHost.freezer))
    // Version 1 lets nobody die who is frozen.
    return thaw()
  }

  private var hasFreezer: Bool { directories.contains { $0.controller == CgroupHost.freezer } }

  /// Whether `freeze` can be expected to work.
  var canFreeze: Bool { flavour == .v2 || hasFreezer }

  /// Stops every process in it, PID 1 included; false where it cannot, or not in time.
  func freeze() -> Bool {
    let hasAsked =
      flavour == .v2
      ? (try? write("cgroup.freeze", "1")) != nil
      : hasFreezer && (try? write("freezer.state", "FROZEN", CgroupHost.freezer)) != nil
    guard hasAsked else { return false }
    for _ in 0..<20 {
      if isFrozen { return true }
      usleep(100)
    }
    return false
  }

  private var isFrozen: Bool {
    if flavour == .v2 { return values("cgroup.events")["frozen"] == 1 }
    return CgroupHost.words("\(directory(CgroupHost.freezer))/freezer.state") == ["FROZEN"]
  }

  /// Lets them go on.
  @discardableResult
  func thaw() -> Bool {
    flavour == .v2
      ? (try? write("cgroup.freeze", "0")) != nil
      : hasFreezer && (try? write("freezer.state", "THAWED", CgroupHost.freezer)) != nil
  }

  /// Of all processes that are or were in it; nil when nobody counts.
  var cpuMicroseconds: UInt64? {
    if flavour == .v2 { return values("cpu.stat")["usage_usec"] }
    guard directories.contains(where: { $0.controller == CgroupHost.accounting }) else {
      return nil
    }
    return values("cpuacct.usage", CgroupHost.accounting)[""].map { $0 / 1000 }
  }

  /// Whether the kernel says that a process is in it; nil when it cannot be told.
  var isPopulated: Bool? {
    if hasFreezer {
      return Self.processes(in: directory(CgroupHost.freezer)).map { !$0.isEmpty }
    }
    guard flavour == .v2, let events = values("cgroup.events")["populated"] else { return nil }
    return events != 0
  }

  /// Lines `name value`.
  private func values(_ file: String, _ controller: String = "") -> [String: UInt64] {
    let path = ByteString("\(directory(controller))/\(file)")
    let text = (try? Files.read(path, limit: 1 << 16).text) ?? ""
    var found: [String: UInt64] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, let value = UInt64(words[1]) { found[String(words[0])] = value }
      if words.count == 1, let value = UInt64(words[0]) { found[""] = value }
    }
    return found
  }

  /// What the run met of its limits so far.
  var report: LimitReport {
    var report = LimitReport(flavour: flavour.rawValue)
    let isV2 = flavour == .v2
    let memory = isV2 ? "" : "memory"
    report.memoryPeakBytes =
      values(
        isV2 ? "memory.peak" : "memory.max_usage_in_bytes", memory)[""]
    report.memoryKills =
      values(isV2 ? "memory.events" : "memory.oom_control", memory)["oom_kill"] ?? 0
    let pids = isV2 ? "" : "pids"
    report.processPeak = values("pids.peak", pids)[""]
    report.processRefusals = values("pids.events", pids)["max"] ?? 0
    report.throttledPeriods = values("cpu.stat", isV2 ? "" : "cpu")["nr_throttled"] ?? 0
    return report
  }

  /// The stage is inside: nobody needs the entrances any more.
  func closeEntrances() { entrances = [] }

  /// Once nothing is in it. The last process may be a moment from gone for the kernel's accounts.
  func remove() {
    guard !isRemoved else { return }
    isRemoved = true
    for path in places { Self.removeDirectory(path) }
  }

  /// Version 2 does it at once; in version 1 nobody forks who is frozen.
  private static func endAll(in path: String) {
    if (try? Files.overwrite(ByteString("\(path)/cgroup.kill"), "1")) != nil { return }
    try? Files.overwrite(ByteString("\(path)/freezer.state"), "FROZEN")
    killEach(in: path)
    try? Files.overwrite(ByteString("\(path)/freezer.state"), "THAWED")
  }

  private static func killEach(in path: String) {
    for pid in processes(in: path) ?? [] { _ = try? Processes.signal(pid, SIGKILL) }
  }

  /// Who is in a cgroup; nobody when there is none, nil when it cannot be told.
  static func processes(in path: String) -> [Int32]? {
    do throws(SyscallError) {
      let text = try Files.read(ByteString("\(path)/cgroup.procs"), limit: processesMaxBytes).text
      return text.split(separator: "\n").compactMap { Int32($0) }
    } catch { return error.errno == ENOENT || error.errno == ENODEV ? [] : nil }
  }

  /// As many pids as a machine can have (kernel.pid_max is 4,194,304 at most), a line each.
  private static let processesMaxBytes = 8 << 22

  private static func removeDirectory(_ path: String) {
    for _ in 0..<removalAttempts {
      do throws(SyscallError) { return try Files.remove(ByteString(path), directory: true) } catch {
        if error.errno != EBUSY { return }
        usleep(2000)
      }
    }
  }

  /// A tenth of a second: what the kernel needs to let go of the last process's accounts.
  private static let removalAttempts = 50

  deinit { remove() }

  /// Ends whoever is in the cgroup of a run that has no supervisor, or none that answers.
  /// - Returns: whether nobody is left in it, or there is none.
  static func end(_ id: String) -> Bool {
    let places = places(of: id)
    for _ in 0..<endAttempts {
      let full = places.filter { processes(in: $0)?.isEmpty != true }
      if full.isEmpty { return true }
      for path in full { endAll(in: path) }
      usleep(2000)
    }
    return false
  }

  /// A second: whoever is left then sleeps uninterruptibly.
  private static let endAttempts = 500

  /// What a supervisor left that was killed.
  static func clear(_ id: String) {
    for path in places(of: id) { removeDirectory(path) }
  }

  private static func places(of id: String) -> [String] {
    let uid = Identity.effectiveUID
    let host = CgroupHost.find(isRoot: uid == 0, uid: uid, wantsAll: true)
    return Set([host.unified?.parent].compactMap { $0 } + host.legacy.values)
      .map { "\($0)/\(id)" }.filter { (try? Files.status(of: ByteString($0))) != nil }
  }
}
