public import LaunchPlan
internal import Paths

/// From a ring profile, a program and a machine to the plan that the stage executes: pure, so that golden
/// tests can hold every plan.
///
/// It must never show a path that no rule names, never give a right that the profile does not, and refuse
/// what it cannot express instead of leaving it out.
public enum Lowering {
  public static func lower(
    _ request: LaunchRequest, host: any HostView
  ) throws(LoweringError) -> LaunchPlan {
    var lowering = LoweringState(request, host)
    return try lowering.plan()
  }
}

struct LoweringState {
  let request: LaunchRequest
  let host: any HostView
  var view: ViewBuilder
  var rules: [LaunchPlan.LandlockRule] = []
  /// Over what is hidden and lies inside of a share (`HiddenPlace`).
  private var masksInsideShares: [LaunchPlan.MountStep] = []

  init(_ request: LaunchRequest, _ host: any HostView) {
    self.request = request
    self.host = host
    view = ViewBuilder(host: host)
  }

  var profile: RingProfile { request.profile }
  private var hasMounts: Bool {
    !request.degraded.contains(.namespaces) && profile.namespaces.contains(.mount)
  }
  private var isPrivate: Bool { profile.root == .private && hasMounts }

  mutating func plan() throws(LoweringError) -> LaunchPlan {
    var mounts: [LaunchPlan.MountStep] = []
    if isPrivate {
      try buildPrivateRoot()
      mounts = view.steps
    } else if hasMounts {
      mounts = try hostMounts()
    }
    if !isPrivate { try hostRules() }
    if hasMounts { mounts += protections }
    return LaunchPlan(
      ring: profile.ring, start: start, privateRoot: isPrivate, mounts: mounts, limits: limits,
      landlock: landlock(), seccomp: seccomp, terminal: request.terminal,
      executable: Array(request.program.executable.utf8), arguments: request.program.arguments,
      environment: LoweredEnvironment(request, broker).entries,
      workingDirectory: Array(request.workingDirectory.utf8), broker: broker)
  }

  /// Where processes may connect to sockets and have a root of their own, each connects for itself;
  /// otherwise the program inherits one connection.
  private var broker: LaunchPlan.Broker {
    guard request.hasBroker else { return .absent }
    return isPrivate && profile.network == .loopback ? .listener : .connection
  }

  /// Last, over whatever shows these places.
  private var protections: [LaunchPlan.MountStep] {
    request.guards.map { onItself($0, [.noSetUserID, .noDevices, .recursive]) }
      + request.obeyed.map { onItself($0, [.readOnly, .noSetUserID, .noDevices, .recursive]) }
      + masksInsideShares + request.hidden.map { .mask(path: Array($0.utf8)) }
  }

  private func onItself(
    _ share: LaunchRequest.Share, _ options: LaunchPlan.MountOptions
  ) -> LaunchPlan.MountStep {
    .bind(
      source: Array(share.path.utf8), target: Array(share.path.utf8), options: options,
      judged: share.judged, owner: diskOwner(share.owner))
  }

  // MARK: identity and limits

  private var start: StageStart {
    Lowering.start(
      profile, starter: request.starter, workspace: request.workspace,
      owners: (request.writes + request.guards + request.obeyed).compactMap(\.owner),
      degraded: request.degraded, hasTerminal: request.terminal != 0,
      sockets: request.sockets)
  }

  private var identity: LaunchPlan.Identity { start.identity }

  /// The ids that own the private file systems, in ids of the namespace that mounts them.
  private var mountOwner: LaunchPlan.Owner? {
    switch identity {
    case .mapped(_, _, let uid, let gid), .host(let uid, let gid):
      LaunchPlan.Owner(uid: uid, gid: gid)
    case .own(let uid, let gid): LaunchPlan.Owner(uid: uid, gid: gid)
    case .unchanged: nil
    }
  }

  /// Of a workspace whose owner is to be seen as the program itself.
  private func diskOwner(_ owner: LaunchPlan.Owner?) -> LaunchPlan.Owner? {
    Lowering.diskOwner(owner, identity)
  }

  private var limits: [LaunchPlan.ResourceLimit] {
    var list = [LaunchPlan.ResourceLimit(resource: 4, value: 0)]
    if profile.ring == 0 { list = [] }
    let bounds = profile.limits
    for (resource, value) in [
      (1, bounds.fileSizeBytes), (2, bounds.memoryBytes), (6, bounds.processes),
      (7, bounds.openFiles), (8, bounds.lockedMemoryBytes),
    ] as [(UInt32, UInt64?)] {
      if let value { list.append(LaunchPlan.ResourceLimit(resource: resource, value: value)) }
    }
    // RLIMIT_CPU: the supervisor, which counts all of them together, is to say first which limit it was.
    if let milliseconds = bounds.cpuTimeMilliseconds {
      list.append(LaunchPlan.ResourceLimit(resource: 0, value: milliseconds / 1000 + 2))
    }
    // RLIMIT_NICE and RLIMIT_RTPRIO: nobody below ring 1 rises above its neighbours.
    if profile.ring >= 2 {
      list.append(LaunchPlan.ResourceLimit(resource: 13, value: 0))
      list.append(LaunchPlan.ResourceLimit(resource: 14, value: 0))
    }
    return list
  }

  private var seccomp: LaunchPlan.SeccompPlan? {
    guard !request.degraded.contains(.seccomp) else { return nil }
    return LaunchPlan.SeccompPlan(
      instructions: request.seccomp, reportsViolations: !request.degraded.contains(.violations))
  }

  // MARK: Landlock

  /// What a directory's rule lets, it lets for everything below: one that adds nothing would cost the launch its
  /// making and every open(2) a longer search.
  mutating func allow(_ path: String, _ access: UInt64) {
    let path = Array(path.utf8)
    let isKnown = rules.contains { access & ~$0.access == 0 && Self.isAt(path, orBelow: $0.path) }
    if !isKnown { rules.append(LaunchPlan.LandlockRule(path: path, access: access)) }
  }

  private static func isAt(_ path: [UInt8], orBelow directory: [UInt8]) -> Bool {
    guard path.starts(with: directory) else { return false }
    return path.count == directory.count || directory == [UInt8(ascii: "/")]
      || path[directory.count] == UInt8(ascii: "/")
  }

  private func landlock() -> LaunchPlan.LandlockPlan? {
    let abi = request.landlockABI
    guard profile.landlock.files != .none, !request.degraded.contains(.landlock), abi > 0 else {
      return nil
    }
    let known = LandlockAccess.known(abi: abi)
    let wanted =
      profile.landlock.files == .full
      ? LandlockAccess.all : LandlockAccess.change | LandlockAccess.makeDevices
    let handled = wanted & known
    var scopes: UInt64 = 0
    if abi >= 6 {
      if profile.landlock.scopeSignal { scopes |= LandlockAccess.scopeSignal }
      if profile.landlock.scopeAbstractUnixSocket {
        scopes |= LandlockAccess.scopeAbstractUnixSocket
      }
    }
    return LaunchPlan.LandlockPlan(
      abi: UInt8(clamping: abi), handledFiles: handled,
      handledNetwork: abi >= 4 && profile.landlock.denyTCP ? LandlockAccess.bindAndConnectTCP : 0,
      scopes: scopes,
      rules: rules.map {
        LaunchPlan.LandlockRule(path: $0.path, access: $0.access & handled)
      }.filter { $0.access != 0 },
      canary: isPrivate && profile.landlock.files == .full ? Array(Self.canary.utf8) : nil)
  }

  /// No rule covers it, so that reading it tells whether the rules work (ESCAPES row 23).
  static let canary = "/run/agt/landlock-canary"

  // MARK: private root

  private mutating func buildPrivateRoot() throws(LoweringError) {
    let scratch = profile.filesystem.scratch
    for path in ["/dev", "/proc", "/etc", "/run", "/var", "/run/agt"] { view.directory(path) }
    // First, because PID 1 sets the masks while the program's process builds the rest.
    view.mount(
      "/proc",
      .proc(path: Array("/proc".utf8), processesOnly: profile.filesystem.proc == .processes))
    view.directory(Self.emptyDirectory, mode: 0o555)
    for mask in try procMasks() { view.cover(mask) }
    try scratchMounts(scratch)
    try deviceNodes()
    allow("/proc", LandlockAccess.read)
    // The names in the root directory tell nothing: it holds only what the rules show.
    allow("/", LandlockAccess.readDirectory)
    // Nothing is in this one but what is shown or made there.
    allow("/etc", LandlockAccess.readOnlyMount)
    view.file(Self.canary, mode: 0o444, contents: "")
    synthesisedFiles()
    credentials()
    try shownPaths()
    // Last: the workspace may lie there.
    view.symbolicLink("/var/run", to: "/run")
    view.symbolicLink("/var/tmp", to: "/tmp")
  }

  private mutating func scratchMounts(_ scratch: RingProfile.Scratch?) throws(LoweringError) {
    guard let scratch else {
      throw LoweringError(
        message: "profile \(profile.name): a private root needs filesystem.scratch",
        hint: "add `scratch: {size: 64MiB, inodes: 4096, exec: false}`")
    }
    var options: LaunchPlan.MountOptions = [.noSetUserID, .noDevices]
    if !scratch.executable { options.insert(.noExecution) }
    let rights =
      LandlockAccess.read | LandlockAccess.change
      | (scratch.executable ? LandlockAccess.execute : 0)
    for (path, mode) in [("/tmp", UInt32(0o1777)), ("/dev/shm", 0o1777), (request.home, 0o700)] {
      guard path != "/", view.nodes[path] == nil else { continue }
      view.mount(
        path,
        .tmpfs(
          path: Array(path.utf8), sizeBytes: scratch.sizeBytes, inodes: scratch.inodes, mode: mode,
          options: path == "/dev/shm" ? options.union(.noExecution) : options, owner: mountOwner))
      allow(path, rights)
    }
  }

  private mutating func deviceNodes() throws(LoweringError) {
    for name in Self.deviceNames {
      let path = "/dev/" + name
      guard view.show(path, options: [.noSetUserID, .noExecution]) != nil else {
        throw LoweringError(
          message: "\(path) is missing on this machine", hint: "mount devtmpfs, or create the node")
      }
      allow(path, LandlockAccess.readFile | LandlockAccess.writeFile | LandlockAccess.deviceIoctl)
    }
    for (name, target) in Self.deviceLinks where name != "ptmx" {
      view.symbolicLink("/dev/" + name, to: target)
    }
    // Without a terminal and without processes that could want one, there is no devpts.
    guard request.terminal != 0 || profile.ring <= 2 else { return }
    view.mount("/dev/pts", .devpts(path: Array("/dev/pts".utf8), owner: mountOwner))
    view.symbolicLink("/dev/ptmx", to: "pts/ptmx")
    allow(
      "/dev/pts",
      LandlockAccess.read | LandlockAccess.writeFile | LandlockAccess.deviceIoctl)
  }

  private mutating func credentials() {
    let place = LaunchRequest.credentialsDirectory
    for one in request.credentials {
      view.file("\(place)/\(one.name)", mode: 0o444, bytes: one.bytes)
    }
    if !request.credentials.isEmpty { allow(place, LandlockAccess.read) }
  }

  private mutating func synthesisedFiles() {
    let uid: UInt32
    let gid: UInt32
    switch identity {
    case .mapped(let inside, let group, _, _): (uid, gid) = (inside, group)
    case .own(let inside, let group): (uid, gid) = (inside, group)
    case .host(let outside, let group): (uid, gid) = (outside, group)
    case .unchanged: (uid, gid) = (0, 0)
    }
    let own =
      uid == 0 ? "" : "\(request.userName):x:\(uid):\(gid)::\(request.home):/bin/sh\n"
    let group = gid == 0 ? "" : "\(request.userName):x:\(gid):\n"
    // Nobody will ever answer: "temporary failure in name resolution" would only make programs try again.
    let names = request.sockets.isEmpty ? "files" : "files dns"
    let files = [
      ("passwd", "root:x:0:0:root:/root:/bin/sh\n\(own)nobody:x:65534:65534:nobody:/:/bin/false\n"),
      ("group", "root:x:0:\n\(group)nogroup:x:65534:\n"),
      ("hosts", "127.0.0.1 localhost ring\(profile.ring)\n::1 localhost ip6-localhost\n"),
      ("hostname", "ring\(profile.ring)\n"),
      (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: \(names)\nservices: files\nprotocols: files\n"
      ),
      // The supervisor answers within 8 s, whatever the servers outside do.
      ("resolv.conf", "nameserver 127.0.0.53\noptions attempts:1 timeout:10\n"),
    ]
    for (name, contents) in files {
      view.file("/etc/" + name, contents: contents)
      allow("/etc/" + name, LandlockAccess.readFile)
    }
  }

  private mutating func shownPaths() throws(LoweringError) {
    let options: LaunchPlan.MountOptions = [.readOnly, .noSetUserID, .noDevices, .recursive]
    for rule in profile.filesystem.read {
      let path = expanded(rule.path)
      if let canonical = view.show(path, options: options) {
        allow(canonical, LandlockAccess.readOnlyMount)
      } else if !rule.optional {
        throw missing(path, "filesystem.read of profile \(profile.name)")
      }
    }
    for share in request.program.reads + request.reads {
      guard let canonical = view.show(share.path, options: options, judged: share.judged) else {
        throw missing(share.path, "--read")
      }
      allow(canonical, LandlockAccess.readOnlyMount)
    }
    hastenSearches()
    for link in request.program.links { view.symbolicLink(link.path, to: link.target) }
    for share in request.writes { try showWritable(share, "--write", access: .readWrite) }
    if request.workspace.layers != nil {
      guard view.overlay(at: request.workspace.path) else {
        throw missing(request.workspace.path, "--workspace")
      }
      allow(request.workspace.path, LandlockAccess.readWrite)
      return
    }
    try showWritable(
      request.workspace.share, "--workspace", access: request.workspace.access)
  }

  /// Landlock looks for a rule from the file upwards, at every open(2). Most of what programs open is
  /// in these directories, and the search ends where a rule grants all.
  private mutating func hastenSearches() {
    let usr = LaunchPlan.LandlockRule(
      path: Array("/usr".utf8), access: LandlockAccess.readOnlyMount)
    guard rules.contains(usr) else { return }
    for path in ["/usr/bin", "/usr/lib"] where host.kind(of: path) == .directory {
      rules.append(LaunchPlan.LandlockRule(path: Array(path.utf8), access: usr.access))
    }
  }

  /// Of a transaction.
  private var overlayStep: LaunchPlan.MountStep? {
    request.workspace.layers.map { _ in .overlay(path: Array(request.workspace.path.utf8)) }
  }

  /// A part of the host whose owner the program takes the place of.
  private mutating func showWritable(
    _ share: LaunchRequest.Share, _ origin: String, access: RingProfile.Access
  ) throws(LoweringError) {
    var options: LaunchPlan.MountOptions = [.noSetUserID, .noDevices, .recursive]
    if access == .readOnly { options.insert(.readOnly) }
    guard
      view.show(
        share.path, options: options, judged: share.judged, owner: diskOwner(share.owner),
        evenInside: true) == share.path
    else { throw missing(share.path, origin) }
    allow(
      share.path,
      access == .readWrite ? LandlockAccess.readWrite : LandlockAccess.readOnlyMount)
  }

  func expanded(_ path: String) -> String {
    path == "~" || path.hasPrefix("~/") ? request.home + path.dropFirst() : path
  }

  func missing(_ path: String, _ origin: String) -> LoweringError {
    LoweringError(
      message: "\(origin): \(path): No such file or directory (ENOENT)",
      hint: "create it, or leave it out")
  }

  // MARK: host root (rings 0 and 1, and --degrade namespaces)

  private mutating func hostMounts() throws(LoweringError) -> [LaunchPlan.MountStep] {
    var steps: [LaunchPlan.MountStep] = []
    if !profile.filesystem.read.isEmpty {
      steps.append(.protect(path: Array("/".utf8)))
    }
    steps.append(
      .proc(
        path: Array("/proc".utf8), processesOnly: profile.filesystem.proc == .processes))
    steps += try procMasks()
    let hidden = hiddenPlaces
    try refuseWhatIs(inside: hidden)
    for place in hidden { steps.append(.mask(path: Array(place.path.utf8))) }
    masksInsideShares = masks(insideShares: hidden)
    if let scratch = profile.filesystem.scratch {
      steps.append(
        .tmpfs(
          path: Array("/tmp".utf8), sizeBytes: scratch.sizeBytes, inodes: scratch.inodes,
          mode: 0o1777,
          options: scratch.executable
            ? [.noSetUserID, .noDevices] : [.noSetUserID, .noDevices, .noExecution],
          owner: nil))
    }
    if profile.ring == 0 {
      if let overlayStep { steps.append(overlayStep) }
    } else {
      steps += hostDevices()
      for share in request.writes { steps += hostShare(share, access: .readWrite) }
      steps += hostShare(request.workspace.share, access: request.workspace.access)
    }
    return steps
  }

  private static let deviceNames = ["null", "zero", "full", "random", "urandom", "tty"]
  private static let deviceLinks = [
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
  ]

  /// A /dev of the ring's own over the host's.
  private func hostDevices() -> [LaunchPlan.MountStep] {
    var steps: [LaunchPlan.MountStep] = [
      .tmpfs(
        path: Array("/dev".utf8), sizeBytes: 65536, inodes: 64, mode: 0o755,
        options: [.noSetUserID, .noExecution], owner: nil)
    ]
    for name in Self.deviceNames {
      let path = Array("/dev/\(name)".utf8)
      steps.append(.file(path: path, mode: 0o644, contents: []))
      steps.append(
        .bind(
          source: path, target: path, options: [.noSetUserID, .noExecution], judged: nil,
          owner: nil))
    }
    for (name, target) in Self.deviceLinks {
      steps.append(
        .symbolicLink(path: Array("/dev/\(name)".utf8), target: Array(target.utf8)))
    }
    for name in ["pts", "shm"] {
      steps.append(.directory(path: Array("/dev/\(name)".utf8), mode: 0o755))
    }
    steps.append(.devpts(path: Array("/dev/pts".utf8), owner: mountOwner))
    let scratch = profile.filesystem.scratch
    steps.append(
      .tmpfs(
        path: Array("/dev/shm".utf8), sizeBytes: scratch?.sizeBytes ?? 1 << 26,
        inodes: scratch?.inodes ?? 4096, mode: 0o1777,
        options: [.noSetUserID, .noDevices, .noExecution], owner: nil))
    return steps
  }

  /// A mount of its own over the read-only tree; below the private /tmp its directories are made first.
  private func hostShare(
    _ share: LaunchRequest.Share, access: RingProfile.Access
  ) -> [LaunchPlan.MountStep] {
    var steps: [LaunchPlan.MountStep] = []
    if profile.filesystem.scratch != nil, share.path.hasPrefix("/tmp/") {
      var here = "/tmp"
      for component in PathText.components(share.path).dropFirst() {
        here += "/" + component
        steps.append(.directory(path: Array(here.utf8), mode: 0o755))
      }
    }
    var options: LaunchPlan.MountOptions = [.noSetUserID, .noDevices, .recursive]
    if access == .readOnly { options.insert(.readOnly) }
    if share == request.workspace.share, let overlayStep { return steps + [overlayStep] }
    steps.append(
      .bind(
        source: Array(share.path.utf8), target: Array(share.path.utf8), options: options,
        judged: share.judged, owner: diskOwner(share.owner)))
    return steps
  }

  /// Landlock over the host's own paths.
  private mutating func hostRules() throws(LoweringError) {
    if profile.landlock.files == .full {
      for path in profile.filesystem.read.map({ expanded($0.path) })
        + (request.program.reads + request.reads).map(\.path)
      where host.kind(of: path) != nil { allow(path, LandlockAccess.readExecute) }
      allow("/proc/self", LandlockAccess.read)
      for path in ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts"]
      where host.kind(of: path) != nil { allow(path, LandlockAccess.readFile) }
    }
    for share in request.writes { allow(share.path, LandlockAccess.readWrite) }
    if hasMounts, profile.filesystem.scratch != nil { allow("/tmp", LandlockAccess.readWrite) }
    // Without mounts the others are the host's: its terminals and what its programs share.
    for name in Self.deviceNames + (hasMounts ? ["ptmx", "pts", "shm"] : [])
    where host.kind(of: "/dev/" + name) != nil {
      allow(
        "/dev/" + name,
        LandlockAccess.read | LandlockAccess.writeFile | LandlockAccess.deviceIoctl
          | (name == "shm" ? LandlockAccess.change : 0))
    }
    if hasMounts { allow("/proc", LandlockAccess.read) }
    allow(
      request.workspace.path,
      request.workspace.access == .readWrite
        ? LandlockAccess.readWrite : LandlockAccess.readExecute)
  }
}

extension LaunchPlan {
  /// The user and group that a program started by root sees itself as: the first ordinary user of
  /// Debian, so that programs do not take themselves for root.
  public static let insideID: UInt32 = 1000
}
