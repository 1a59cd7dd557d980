extension LaunchPlan {
  /// The version of the encoding and of what is said besides plans; both programs come from one build, so any
  /// difference is an error.
  static let magic: UInt32 = 0x6167_0002
  /// A plan is some tens of kilobytes; more is refused before it is read.
  public static let maximumBytes = 4 << 20
  /// execve(2) takes at most 128 KiB a string; a list longer than this is no plan of ours.
  static let maximumElements = 65536

  public func encoded() -> [UInt8] {
    var out = WireWriter()
    out.bytes.reserveCapacity(16384)
    out.integer(Self.magic)
    out.integer(ring)
    out.string(start.encoded())
    out.boolean(privateRoot)
    out.list(mounts) { $0.mount($1) }
    out.list(limits) {
      $0.integer($1.resource)
      $0.integer($1.value)
    }
    out.optional(landlock) { $0.landlock($1) }
    out.optional(seccomp) {
      $0.string($1.instructions)
      $0.boolean($1.reportsViolations)
    }
    out.integer(terminal)
    out.string(executable)
    out.list(arguments) { $0.string($1) }
    out.list(environment) { $0.string($1) }
    out.string(workingDirectory)
    out.integer(broker.rawValue)
    return out.bytes
  }

  /// - Throws: `DecodingError` for anything that `encoded()` does not produce.
  public init(decoding bytes: [UInt8]) throws(DecodingError) {
    var from = WireReader(bytes)
    guard bytes.count <= Self.maximumBytes else { throw from.failure("too large") }
    guard try from.integer(UInt32.self) == Self.magic else { throw from.wrongVersion }
    ring = try from.integer()
    guard ring <= 3 else { throw from.failure("there is no ring \(ring)") }
    start = try StageStart(decoding: try from.string(nulAllowed: true))
    privateRoot = try from.boolean()
    mounts = try from.list(limit: Self.maximumElements) { r throws(DecodingError) in try r.mount() }
    limits = try from.list(limit: 32) { r throws(DecodingError) in
      ResourceLimit(resource: try r.integer(), value: try r.integer())
    }
    landlock = try from.optional { r throws(DecodingError) in try r.landlock() }
    seccomp = try from.optional { r throws(DecodingError) in
      SeccompPlan(
        instructions: try r.string(nulAllowed: true), reportsViolations: try r.boolean())
    }
    terminal = try from.integer()
    guard terminal <= 7 else { throw from.failure("terminal bits \(terminal)") }
    executable = try from.string()
    arguments = try from.list(limit: Self.maximumElements) { r throws(DecodingError) in
      try r.string()
    }
    environment = try from.list(limit: Self.maximumElements) { r throws(DecodingError) in
      try r.string()
    }
    workingDirectory = try from.string()
    let kind: UInt8 = try from.integer()
    guard let broker = Broker(rawValue: kind) else { throw from.failure("broker \(kind)") }
    guard broker != .listener || privateRoot else {
      throw from.failure("a listening broker without a root of its own")
    }
    self.broker = broker
    try from.end()
    guard executable.first == UInt8(ascii: "/"), !arguments.isEmpty else {
      throw from.failure("no absolute program with its name")
    }
  }
}

extension WireWriter {
  mutating func identity(_ value: LaunchPlan.Identity) {
    switch value {
    case .unchanged: integer(UInt8(0))
    case .own(let uid, let gid):
      integer(UInt8(1))
      for number in [uid, gid] { integer(number) }
    case .mapped(let uid, let gid, let hostUID, let hostGID):
      integer(UInt8(2))
      for number in [uid, gid, hostUID, hostGID] { integer(number) }
    case .host(let uid, let gid):
      integer(UInt8(3))
      for number in [uid, gid] { integer(number) }
    }
  }

  fileprivate mutating func mount(_ step: LaunchPlan.MountStep) {
    switch step {
    case .directory(let path, let mode):
      integer(UInt8(0))
      string(path)
      integer(mode)
    case .file(let path, let mode, let contents):
      integer(UInt8(1))
      string(path)
      integer(mode)
      string(contents)
    case .symbolicLink(let path, let target):
      integer(UInt8(2))
      string(path)
      string(target)
    case .tmpfs(let path, let sizeBytes, let inodes, let mode, let options, let owner):
      integer(UInt8(3))
      string(path)
      integer(sizeBytes)
      integer(inodes)
      integer(mode)
      integer(options.rawValue)
      optional(owner) { $0.owner($1) }
    case .proc(let path, let processesOnly):
      integer(UInt8(4))
      string(path)
      boolean(processesOnly)
    case .devpts(let path, let owner):
      integer(UInt8(5))
      string(path)
      optional(owner) { $0.owner($1) }
    case .bind(let source, let target, let options, let judged, let owner):
      integer(UInt8(6))
      string(source)
      string(target)
      integer(options.rawValue)
      optional(judged) { $0.judged($1) }
      optional(owner) { $0.owner($1) }
    case .mask(let path):
      integer(UInt8(7))
      string(path)
    case .protect(let path):
      integer(UInt8(8))
      string(path)
    case .overlay(let path):
      integer(UInt8(9))
      string(path)
    }
  }

  mutating func overlay(_ overlay: LaunchPlan.Overlay) {
    string(overlay.path)
    judged(overlay.judged)
    string(overlay.layers)
    judged(overlay.layersJudged)
    optional(overlay.base) { encoder, base in
      encoder.string(base.layers)
      encoder.judged(base.judged)
    }
    integer(overlay.options.rawValue)
    optional(overlay.owner) { $0.owner($1) }
    boolean(overlay.userMarks)
  }

  fileprivate mutating func judged(_ value: LaunchPlan.Judged) {
    integer(value.device)
    integer(value.inode)
  }

  mutating func owner(_ value: LaunchPlan.Owner) {
    integer(value.uid)
    integer(value.gid)
  }

  mutating func socket(_ value: LaunchPlan.RingSocket) {
    boolean(value.isDatagram)
    string(value.address)
    integer(value.port)
  }

  fileprivate mutating func landlock(_ plan: LaunchPlan.LandlockPlan) {
    integer(plan.abi)
    integer(plan.handledFiles)
    integer(plan.handledNetwork)
    integer(plan.scopes)
    list(plan.rules) {
      $0.string($1.path)
      $0.integer($1.access)
    }
    optional(plan.canary) { $0.string($1) }
  }
}

extension WireReader {
  mutating func identity() throws(DecodingError) -> LaunchPlan.Identity {
    switch try integer(UInt8.self) {
    case 0: return .unchanged
    case 1: return .own(uid: try integer(), gid: try integer())
    case 2:
      return .mapped(
        uid: try integer(), gid: try integer(), hostUID: try integer(), hostGID: try integer())
    case 3: return .host(uid: try integer(), gid: try integer())
    case let tag: throw failure("identity \(tag)")
    }
  }

  fileprivate mutating func mount() throws(DecodingError) -> LaunchPlan.MountStep {
    switch try integer(UInt8.self) {
    case 0: return .directory(path: try path(), mode: try integer())
    case 1:
      return .file(path: try path(), mode: try integer(), contents: try string(nulAllowed: true))
    case 2: return .symbolicLink(path: try path(), target: try string())
    case 3:
      return .tmpfs(
        path: try path(), sizeBytes: try integer(), inodes: try integer(), mode: try integer(),
        options: try options(), owner: try owner())
    case 4: return .proc(path: try path(), processesOnly: try boolean())
    case 5: return .devpts(path: try path(), owner: try owner())
    case 6:
      return .bind(
        source: try path(), target: try path(), options: try options(),
        judged: try optional { r throws(DecodingError) in try r.judged() }, owner: try owner())
    case 7: return .mask(path: try path())
    case 8: return .protect(path: try path())
    case 9: return .overlay(path: try path())
    case let tag: throw failure("mount step \(tag)")
    }
  }

  mutating func overlay() throws(DecodingError) -> LaunchPlan.Overlay {
    LaunchPlan.Overlay(
      path: try path(), judged: try judged(), layers: try path(), layersJudged: try judged(),
      base: try optional { r throws(DecodingError) in
        LaunchPlan.Base(layers: try r.path(), judged: try r.judged())
      }, options: try options(), owner: try owner(), userMarks: try boolean())
  }

  private mutating func judged() throws(DecodingError) -> LaunchPlan.Judged {
    LaunchPlan.Judged(device: try integer(), inode: try integer())
  }

  private mutating func owner() throws(DecodingError) -> LaunchPlan.Owner? {
    try optional { r throws(DecodingError) in
      LaunchPlan.Owner(uid: try r.integer(), gid: try r.integer())
    }
  }

  /// Absolute, without `.` and `..`, so that what was judged is what is mounted.
  private mutating func path() throws(DecodingError) -> [UInt8] {
    let value = try string()
    guard value.first == UInt8(ascii: "/") else { throw failure("a path that is not absolute") }
    for component in value.split(separator: UInt8(ascii: "/")) {
      if component.elementsEqual([46]) || component.elementsEqual([46, 46]) {
        throw failure("a path with dots")
      }
    }
    return value
  }

  private mutating func options() throws(DecodingError) -> LaunchPlan.MountOptions {
    let value: UInt8 = try integer()
    guard value < 32 else { throw failure("mount options \(value)") }
    return LaunchPlan.MountOptions(rawValue: value)
  }

  mutating func socket() throws(DecodingError) -> LaunchPlan.RingSocket {
    let isDatagram = try boolean()
    let address = try string(nulAllowed: true)
    guard address.count == 4 || address.count == 16 else {
      throw failure("an address of \(address.count) bytes")
    }
    return LaunchPlan.RingSocket(isDatagram: isDatagram, address: address, port: try integer())
  }

  fileprivate mutating func landlock() throws(DecodingError) -> LaunchPlan.LandlockPlan {
    LaunchPlan.LandlockPlan(
      abi: try integer(), handledFiles: try integer(), handledNetwork: try integer(),
      scopes: try integer(),
      rules: try list(limit: LaunchPlan.maximumElements) { r throws(DecodingError) in
        LaunchPlan.LandlockRule(path: try r.string(), access: try r.integer())
      },
      canary: try optional { r throws(DecodingError) in try r.string() })
  }
}
