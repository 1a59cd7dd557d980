internal import Broker
internal import Glibc
internal import Kernel
internal import LaunchPlan
internal import Paths
internal import Policy
internal import Rings

/// A run that is ready to start: judged, lowered, and (for real) with a stage that waits for its plan.
struct PreparedRun: ~Copyable {
  let id: String
  let profile: RingProfile
  let plan: LaunchPlan
  let request: LaunchRequest
  /// How the program was found, in sentences.
  let trail: [String]
  /// What this run does not enforce although the ring promises it.
  let losses: [Loss]
  /// Of the workspace; nil when it is none, and in an explanation.
  let transaction: TransactionRun?
  /// What it may reach; nil when nothing.
  let network: NetworkPlan?
  /// Of the whole run.
  let limits: RunLimits
  let cgroupPlan: CgroupPlan
  /// What holds it to them; nil when resource limits do.
  let cgroup: RunCgroup?
  /// Of `--policy`; nil without.
  let policies: PolicySet?
  /// Of `--tools`.
  let tools: [Tool]
  /// What they execute; nil without tools.
  let toolPrograms: ToolPrograms?
  /// nil in an explanation.
  let audit: RunAudit?
  /// Of `--result-json`; nil without, and in an explanation.
  let result: ResultFile?
  private var stage: StageProcess?
  private var directory: RunDirectory?
  private let ids: HostIDs

  init(
    id: String, profile: RingProfile, plan: LaunchPlan, request: LaunchRequest, trail: [String],
    losses: [Loss], transaction: TransactionRun?, network: NetworkPlan?, policies: PolicySet?,
    tools: [Tool], toolPrograms: ToolPrograms?, limits: RunLimits = RunLimits(),
    cgroupPlan: CgroupPlan = .none,
    cgroup: RunCgroup? = nil, audit: RunAudit?, result: ResultFile? = nil,
    stage: consuming StageProcess?,
    directory: consuming RunDirectory?,
    ids: consuming HostIDs
  ) {
    self.id = id
    self.profile = profile
    self.plan = plan
    self.request = request
    self.trail = trail
    self.losses = losses
    self.transaction = transaction
    self.network = network
    self.limits = limits
    self.cgroupPlan = cgroupPlan
    self.cgroup = cgroup
    self.policies = policies
    self.tools = tools
    self.toolPrograms = toolPrograms
    self.audit = audit
    self.result = result
    self.stage = stage
    self.directory = directory
    self.ids = ids
  }

  /// - Precondition: prepared for real, and not taken before.
  mutating func takeStage() -> StageProcess { stage.take()! }

  /// - Precondition: as of `takeStage`.
  mutating func takeDirectory() -> RunDirectory { directory.take()! }
}

/// A promise of the ring that this run does not keep.
struct Loss: Equatable {
  /// The name that --degrade takes, or of what the kernel lacks.
  var name: String
  var explanation: String
}

enum Preparation {
  static func prepare(
    _ options: RunOptions, environment: [[UInt8]], forReal: Bool,
    standard: [(Int32, Int32)] = []
  ) throws(RunError) -> PreparedRun {
    var stage: StageProcess?
    let caller = Caller(environment)
    var generator = SystemRandomNumberGenerator()
    let id = RunIdentifier.make(
      wallMilliseconds: Clock.wallNanoseconds() / 1_000_000, using: &generator)
    let workspace = try WorkspaceChoice.choose(asked: options.workspace, home: caller.home)
    // Discarded only when the stage is gone, which mounts it.
    var transaction: TransactionRun?
    if forReal {
      try checkStandardDescriptors()
      stage = try StageProcess.begin(standard: standard)
    }
    do throws(RunError) {
      let begun = forReal ? try begin(options, id: id, workspace: workspace, caller) : nil
      return try prepare(
        options, caller, environment, id: id, workspace, begun, &stage, &transaction)
    } catch {
      stage.take()?.abandon()
      throw error
    }
  }

  private static func begin(
    _ options: RunOptions, id: String, workspace: LaunchRequest.Share, _ caller: Caller
  ) throws(RunError) -> Begun {
    let audit = try RunAudit(try AuditPlace.make(caller), mode: options.auditSync)
    return Begun(
      audit: audit,
      transaction: try options.transaction.map { mode throws(RunError) in
        try PendingTransaction(mode, options, id: id, workspace: workspace, caller)
      })
  }

  /// What comes with every run, and what a thread of ours does beside the preparation.
  private struct Begun {
    let audit: RunAudit
    let transaction: PendingTransaction?
  }

  /// - Parameter begun: nil for an explanation.
  private static func prepare(
    _ options: RunOptions, _ caller: Caller, _ environment: [[UInt8]], id: String,
    _ place: LaunchRequest.Share, _ begun: Begun?, _ stage: inout StageProcess?,
    _ transaction: inout TransactionRun?
  ) throws(RunError) -> PreparedRun {
    let forReal = begun != nil
    let (loaded, profileFiles) = try ProfileSource.load(options)
    var profile = loaded.profile
    apply(options, to: &profile)
    // What the stage begins with: the sockets of the ring's network, limits, and what the program must not change.
    let policies = try PolicyFiles.load(options)
    let budgets = policies?.budgets ?? Budgets()
    tighten(&profile, by: budgets)
    let network = try NetworkPlan.choose(
      options.network, policy: policies?.network ?? [], profile: profile,
      degraded: options.degraded)
    try options.checkEgress(profile, network)
    let ids = try claimIDs(profile, caller, forReal: forReal)
    let starter: LaunchRequest.Starter =
      caller.isRoot
      ? .root(hostUID: ids.id, hostGID: ids.id) : .ordinary(uid: caller.uid, gid: caller.gid)
    var workspace = LaunchRequest.Workspace(
      share: place, access: options.workspaceAccess ?? profile.filesystem.workspace)
    let made = begun?.transaction?.take()
    begun?.audit.begin(
      id: id,
      AuditEntries.start(
        id: id, options, profile, workspace: workspace.path, caller: caller,
        salt: begun!.audit.salt))
    transaction = try made?.get()
    if options.transaction != nil {
      workspace.layers = transaction?.layers ?? TransactionRun.explained(caller)
      workspace.access = .readWrite
    }
    let namedWrites = try shares(options.writes, "--write")
    let namedReads = try shares(options.reads, "--read")
    let writes = try profileWrites(profile, home: caller.home) + namedWrites.map(\.share)
    let reads = namedReads.map(\.share)
    let exposed = [workspace.path] + writes.map(\.path)
    for named in namedWrites + namedReads { try named.refuseLinks(in: exposed) }
    var result: ResultFile?
    if forReal, let file = options.resultFile { result = try ResultFile(file, writable: exposed) }
    try checkProtected(options.protects)
    let tools = try ToolFiles.load(options)
    let toolPrograms = programs(
      of: tools, options, profile, caller, workspace: workspace.path, writes: writes)
    let obeyed: [String]
    if workspace.access == .readWrite || !writes.isEmpty {
      // What a transaction holds of a program is not what is executed outside.
      let programs = workspace.layers == nil ? toolPrograms?.kept ?? [] : []
      obeyed = profileFiles + OwnPlaces.obeyed(options, policies) + programs
    } else {
      obeyed = []
    }
    let own =
      options.degraded.contains(.namespaces)
      ? OwnPlaces.Protection()
      : try OwnPlaces.protect(
        caller, ring: profile.ring, showsHost: profile.root == .host, workspace: workspace,
        writes: writes, reads: reads, obeyed: obeyed, forReal: forReal)
    let terminal = try self.terminal(options, ring: profile.ring)
    let limits = RunLimits(
      memoryBytes: profile.limits.memoryBytes, processes: profile.limits.processes,
      cpuThousandths: cpuThousandths(options, budgets),
      cpuTimeMilliseconds: profile.limits.cpuTimeMilliseconds, diskBytes: profile.limits.diskBytes,
      requests: profile.limits.requests, toolCalls: profile.limits.toolCalls,
      egressBytes: profile.limits.egressBytes, outputBytes: options.outputBytes,
      io: try options.throughput(workspace))
    if limits.diskBytes != nil, !RunUsage.canCountWritten {
      throw RunError(
        .notConfined, "--disk: the kernel does not count what processes write",
        hint: "a kernel with CONFIG_TASK_IO_ACCOUNTING is needed")
    }
    let cgroupPlan = try CgroupPlan.choose(
      options.cgroup, limits, caller, freezes: options.degraded.contains(.namespaces))
    let cgroup = forReal ? try RunCgroup.make(cgroupPlan, id: id, limits) : nil
    if forReal {
      try stage!.send(
        Lowering.start(
          profile, starter: starter, workspace: workspace,
          owners: (writes + own.guards + own.obeyed).compactMap(\.owner),
          degraded: options.degraded, hasTerminal: terminal != 0, sockets: network?.sockets ?? []),
        cgroups: cgroup?.descriptors ?? [])
      cgroup?.closeEntrances()
    }
    // The stage is busy with what it can do without a plan; before it gets one, the run can be found.
    var directory: RunDirectory?
    if forReal {
      directory = try RunDirectory.create(id, name: options.name, RunPlaces(caller))
      // Registered first: whoever sets a hold and then kills what is registered misses nobody.
      try Holds(caller).check(agent: options.agent)
    }
    let program = try ProgramChoice.choose(
      options, profile: profile, workspace: workspace, caller: caller)
    let shown = [workspace.path] + (reads + writes).map(\.path)
    var request = LaunchRequest(
      profile: profile, seccomp: loaded.filter(violations: !options.degraded.contains(.violations)),
      program: program.program, workspace: workspace,
      reads: reads, writes: writes,
      starter: starter, userName: caller.userName, home: caller.home,
      workingDirectory: caller.workingDirectory(within: workspace.path),
      callerEnvironment: environment, environment: overrides(options, environment),
      terminal: terminal, landlockABI: Landlock.abi,
      degraded: options.degraded, sockets: network?.sockets ?? [], guards: own.guards,
      obeyed: own.obeyed,
      hidden: own.hidden
        + Credentials.hidden(
          options, caller, profile,
          shown: shown + (profile.filesystem.read.map(\.path) + program.program.reads.map(\.path))),
      hasBroker: policies != nil)
    request.credentials = try Credentials.read(
      options, caller, profile, shown: shown, forReal: forReal)
    let plan: LaunchPlan
    do throws(LoweringError) {
      plan = try Lowering.lower(request, host: HostFiles())
    } catch {
      throw RunError(.notConfined, error.message, hint: error.hint)
    }
    let losses = try Losses.check(request)
    if forReal {
      // The program begins when `RunLoop` lets it.
      try stage!.send(plan)
    }
    return PreparedRun(
      id: id, profile: profile, plan: plan, request: request, trail: program.trail, losses: losses,
      transaction: transaction, network: network, policies: policies, tools: tools,
      toolPrograms: toolPrograms, limits: limits, cgroupPlan: cgroupPlan, cgroup: cgroup,
      audit: begun?.audit, result: result,
      stage: stage.take(),
      directory: directory, ids: ids)
  }

  /// Nothing is looked for in a run without tools.
  private static func programs(
    of tools: [Tool], _ options: RunOptions, _ profile: RingProfile, _ caller: Caller,
    workspace: String, writes: [LaunchRequest.Share]
  ) -> ToolPrograms? {
    guard !tools.isEmpty else { return nil }
    var writable = writes.map(\.path)
    // In another ring a tool may write what the agent cannot.
    if options.workspaceAccess != .readOnly { writable.append(workspace) }
    let programs = ToolPrograms(
      caller, workspace: workspace,
      workingDirectory: caller.workingDirectory(within: workspace),
      writable: profile.ring == 0 ? [] : writable)
    if !options.degraded.contains(.namespaces) { programs.keep(of: tools) }
    return programs
  }

  /// Ids of the host for a run of root's; nothing is reserved for an explanation.
  private static func claimIDs(
    _ profile: RingProfile, _ caller: Caller, forReal: Bool
  ) throws(RunError) -> HostIDs {
    caller.isRoot && forReal && profile.ring > 0 ? try HostIDs.claim() : HostIDs.none
  }

  private static func apply(_ options: RunOptions, to profile: inout RingProfile) {
    if let bytes = options.memoryBytes { profile.limits.memoryBytes = bytes }
    if let count = options.processes { profile.limits.processes = count }
    if let time = options.timeoutMilliseconds { profile.limits.wallMilliseconds = time }
    if options.hasNoTimeout { profile.limits.wallMilliseconds = nil }
    if let time = options.cpuTimeMilliseconds { profile.limits.cpuTimeMilliseconds = time }
    if let bytes = options.diskBytes { profile.limits.diskBytes = bytes }
    if let count = options.requests { profile.limits.requests = count }
    if let bytes = options.egressBytes { profile.limits.egressBytes = bytes }
    if let count = options.toolCalls { profile.limits.toolCalls = count }
    if let bytes = options.scratchBytes { profile.filesystem.scratch?.sizeBytes = bytes }
  }

  /// A policy may ask for less than the profile and the command line, never for more.
  private static func tighten(_ profile: inout RingProfile, by budgets: Budgets) {
    func least(_ first: UInt64?, _ second: UInt64?) -> UInt64? {
      guard let first, let second else { return first ?? second }
      return min(first, second)
    }
    profile.limits.memoryBytes = least(
      profile.limits.memoryBytes, budgets.memoryMaxMiB.map { UInt64($0) << 20 })
    profile.limits.wallMilliseconds = least(
      profile.limits.wallMilliseconds, budgets.timeoutSeconds.map { UInt64($0) * 1000 })
  }

  private static func cpuThousandths(_ options: RunOptions, _ budgets: Budgets) -> UInt64? {
    let most = budgets.processorsMax.map { UInt64(($0 * 1000).rounded(.down)) }
    return [options.cpuThousandths, most].compactMap(\.self).min()
  }

  /// A part of the host that was named, judged once.
  private struct NamedShare {
    let flag: String
    let path: String
    let share: LaunchRequest.Share
    /// That were followed on the way to it.
    let links: [String]

    /// A program may have put a link where a path of the command line goes, in this run's place or in an earlier run.
    /// - Parameter exposed: directories that a program may write, or an earlier one could.
    func refuseLinks(in exposed: [String]) throws(RunError) {
      do throws(SyscallError) {
        for link in links { try LinkWalk.refuse(link, in: exposed) }
      } catch {
        throw RunError(
          .notConfined,
          "\(flag) \(path): \(error.object) is a link that a program could have made",
          hint: "if that is meant, name \(share.path) itself")
      }
    }
  }

  private static func shares(
    _ paths: [String], _ flag: String
  ) throws(RunError) -> [NamedShare] {
    var all: [NamedShare] = []
    for path in paths {
      var links: [String] = []
      let share: LaunchRequest.Share
      do throws(SyscallError) {
        let canonical = try LinkWalk.canonical(path) { links.append($0) }
        share = LaunchRequest.Share(
          path: canonical, status: try Files.status(of: ByteString(canonical), followLink: false))
      } catch {
        throw RunError(
          .notConfined,
          "\(flag) \(path): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))",
          hint: "create it, or leave the flag out")
      }
      guard share.path != "/" else {
        throw RunError(
          .notConfined, "\(flag) \(path): the root directory would show the whole machine",
          hint: "name the directory that is needed")
      }
      all.append(NamedShare(flag: flag, path: path, share: share, links: links))
    }
    return all
  }

  /// What is not there cannot be kept as it is.
  private static func checkProtected(_ paths: [String]) throws(RunError) {
    for path in paths {
      do throws(SyscallError) { _ = try Files.status(of: ByteString(path)) } catch {
        throw RunError(
          .notConfined,
          "--protect \(path): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))",
          hint: "create it, or leave the flag out")
      }
    }
  }

  /// What the profile itself names as writable; missing optional parts are left out.
  private static func profileWrites(
    _ profile: RingProfile, home: String
  ) throws(RunError) -> [LaunchRequest.Share] {
    var all: [LaunchRequest.Share] = []
    for rule in profile.filesystem.write {
      let path = rule.path.hasPrefix("~/") ? home + rule.path.dropFirst() : rule.path
      if rule.optional, (try? Files.status(of: ByteString(path))) == nil { continue }
      all += try shares([path], "filesystem.write of profile \(profile.name):").map(\.share)
    }
    // What a profile shares, others share too: its owners and modes stay what they are.
    for index in all.indices { all[index].owner = nil }
    return all
  }

  /// A directory as standard input would be a way out of the ring's view (CVE-2024-21626 was one).
  private static func checkStandardDescriptors() throws(RunError) {
    for number in Int32(0)...2 {
      guard let status = try? Files.status(number), status.kind == .directory else { continue }
      throw RunError(
        .notConfined, "descriptor \(number) is a directory of the host",
        hint: "redirect it from a file, a pipe or /dev/null")
    }
  }

  private static func overrides(
    _ options: RunOptions, _ environment: [[UInt8]]
  ) -> [(name: String, value: [UInt8])] {
    var all: [(name: String, value: [UInt8])] = []
    // Compiled files that Python leaves would have to be allowed by name before they are committed: it believes them
    // more than their sources.
    if options.transaction != nil { all.append(("PYTHONDONTWRITEBYTECODE", [UInt8(ascii: "1")])) }
    for (name, value) in options.environment {
      all.removeAll { $0.name == name }
      if let value {
        all.append((name, value))
        continue
      }
      let prefix = Array("\(name)=".utf8)
      guard let entry = environment.first(where: { $0.starts(with: prefix) }) else { continue }
      all.append((name, Array(entry.dropFirst(prefix.count))))
    }
    return all
  }

  /// Which of the program's standard descriptors are a terminal.
  private static func terminal(_ options: RunOptions, ring: UInt8) throws(RunError) -> UInt8 {
    if options.terminal, ring == 0 {
      throw RunError(
        .usage, "--tty: a program of ring 0 has no terminal of its own",
        hint: "--ring 1, or agt-run in tmux")
    }
    if options.detach { return options.terminal ? 7 : 0 }
    if options.outputBytes != nil, ring == 0, terminals() != 0 {
      throw RunError(
        .usage, "--output: a program of ring 0 has your terminal itself, and nobody counts",
        hint: "--ring 1, agt-run … | cat, or --detach")
    }
    return ring == 0 ? 0 : terminals()
  }

  private static func terminals() -> UInt8 {
    var bits: UInt8 = 0
    for number in Int32(0)...2 where Descriptors.isTerminal(number) { bits |= 1 << UInt8(number) }
    return bits
  }
}
