/// Writes a profile: variable-length integers (LEB128) and length-prefixed UTF-8.
struct ProfileEncoder {
  private(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(65536) }

  mutating func integer(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func boolean(_ value: Bool) { bytes.append(value ? 1 : 0) }

  mutating func bytes(_ value: [UInt8]) {
    integer(UInt64(value.count))
    bytes += value
  }

  mutating func text(_ value: String) { bytes(Array(value.utf8)) }

  mutating func list<T>(_ values: [T], _ write: (inout ProfileEncoder, T) -> Void) {
    integer(UInt64(values.count))
    for value in values { write(&self, value) }
  }

  /// A case by its place in the declaration.
  mutating func word<T: CaseIterable & Equatable>(_ value: T) {
    var index: UInt8 = 0
    for other in T.allCases {
      if other == value { break }
      index += 1
    }
    bytes.append(index)
  }

  /// nil is 0, and a value is one more than itself: no bound is UInt64.max.
  mutating func limit(_ value: UInt64?) {
    boolean(value != nil)
    if let value { integer(value) }
  }

  // MARK: values

  mutating func profile(_ profile: RingProfile) {
    text(profile.name)
    text(profile.description)
    bytes.append(profile.ring)
    word(profile.root)
    let namespaces = RingProfile.Namespace.allCases.enumerated()
      .reduce(UInt8(0)) { $0 | (profile.namespaces.contains($1.element) ? 1 << $1.offset : 0) }
    bytes.append(namespaces)
    filesystem(profile.filesystem)
    list(profile.environment.pass) { $0.text($1) }
    list(profile.environment.set) {
      $0.text($1.name)
      $0.text($1.value)
    }
    word(profile.capabilities)
    word(profile.network)
    word(profile.landlock.files)
    boolean(profile.landlock.scopeSignal)
    boolean(profile.landlock.scopeAbstractUnixSocket)
    boolean(profile.landlock.denyTCP)
    syscalls(profile.syscalls)
    for field in RingProfile.Limits.all { limit(field.get(profile.limits)) }
    for field in RingProfile.Requests.all { integer(field.get(profile.requests)) }
    list(profile.widenings) {
      $0.text($1.what)
      $0.text($1.reason)
    }
  }

  private mutating func filesystem(_ filesystem: RingProfile.Filesystem) {
    word(filesystem.workspace)
    for rules in [filesystem.read, filesystem.write, filesystem.hide] {
      list(rules) {
        $0.text($1.path)
        $0.boolean($1.optional)
        $0.text($1.why)
      }
    }
    boolean(filesystem.scratch != nil)
    if let scratch = filesystem.scratch {
      integer(scratch.sizeBytes)
      integer(scratch.inodes)
      boolean(scratch.executable)
    }
    word(filesystem.proc)
  }

  private mutating func syscalls(_ policy: SyscallPolicy) {
    action(policy.defaultAction.action)
    list(policy.groups) {
      $0.text($1.name)
      $0.text($1.why)
      $0.action($1.action)
      $0.list($1.calls) {
        $0.text($1.name)
        $0.list($1.when) { $0.condition($1) }
      }
    }
  }

  /// 0 allow, 1 violation, 2 and an errno.
  private mutating func action(_ action: SyscallPolicy.Action) {
    switch action {
    case .allow: bytes.append(0)
    case .violation: bytes.append(1)
    case .fail(let errno):
      bytes.append(2)
      integer(UInt64(UInt32(bitPattern: errno)))
    }
  }

  private mutating func condition(_ condition: SyscallPolicy.Condition) {
    bytes.append(condition.argument)
    integer(condition.mask)
    boolean(condition.wide)
    switch condition.comparison {
    case .isIn(let values):
      boolean(true)
      list(values) { $0.integer($1) }
    case .isNotIn(let values):
      boolean(false)
      list(values) { $0.integer($1) }
    }
  }
}
