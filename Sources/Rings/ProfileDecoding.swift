/// Reads what `ProfileEncoder` wrote. Any other bytes are refused, and nothing is allocated that
/// the input could not hold.
struct ProfileDecoder {
  private let input: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { input = bytes }

  func failure(_ reason: String) -> RingProfileError { .encoding(offset: offset, reason: reason) }

  func end() throws(RingProfileError) {
    guard offset == input.count else { throw failure("\(input.count - offset) bytes too many") }
  }

  mutating func byte() throws(RingProfileError) -> UInt8 {
    guard offset < input.count else { throw failure("cut") }
    defer { offset += 1 }
    return input[offset]
  }

  mutating func integer() throws(RingProfileError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try byte()
      guard shift < 63 || (shift == 63 && byte <= 1) else { throw failure("a number too long") }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 {
        // One spelling for each number, so that equal values have equal bytes.
        guard byte != 0 || shift == 0 else { throw failure("a number with leading zeros") }
        return value
      }
      shift += 7
    }
  }

  mutating func boolean() throws(RingProfileError) -> Bool {
    let byte = try byte()
    guard byte <= 1 else { throw failure("\(byte) is no truth value") }
    return byte == 1
  }

  private mutating func range() throws(RingProfileError) -> Range<Int> {
    let count = try integer()
    guard count <= UInt64(input.count - offset) else { throw failure("cut in a text") }
    defer { offset += Int(count) }
    return offset..<offset + Int(count)
  }

  mutating func text() throws(RingProfileError) -> String {
    let range = try range()
    do {
      return String(copying: try UTF8Span(validating: input.span.extracting(range)))
    } catch {
      throw failure("not UTF-8")
    }
  }

  /// - Parameter limit: more are refused; each takes at least one byte.
  mutating func list<T>(
    limit: Int, _ read: (inout ProfileDecoder) throws(RingProfileError) -> T
  ) throws(RingProfileError) -> [T] {
    let count = try integer()
    guard count <= UInt64(limit), count <= UInt64(input.count - offset) else {
      throw failure("a list of \(count)")
    }
    var values: [T] = []
    values.reserveCapacity(Int(count))
    for _ in 0..<count { values.append(try read(&self)) }
    return values
  }

  mutating func word<T: CaseIterable>() throws(RingProfileError) -> T {
    let index = Int(try byte())
    guard index < T.allCases.count else { throw failure("there is no case \(index)") }
    return T.allCases[T.allCases.index(T.allCases.startIndex, offsetBy: index)]
  }

  // MARK: values

  mutating func program() throws(RingProfileError) -> SeccompProgram {
    let program = SeccompProgram(instructions: Array(input[try range()]))
    if let fault = FilterMachine.fault(program) { throw failure(fault) }
    return program
  }

  mutating func profile() throws(RingProfileError) -> RingProfile {
    let name = try text()
    let description = try text()
    let ring = try byte()
    guard ring <= 3 else { throw failure("there is no ring \(ring)") }
    let root: RingProfile.Root = try word()
    let bits = try byte()
    let all = RingProfile.Namespace.allCases
    guard bits >> UInt8(all.count) == 0 else { throw failure("namespace bits \(bits)") }
    let namespaces = all.enumerated().filter { bits & 1 << UInt8($0.offset) != 0 }.map(\.element)
    return RingProfile(
      name: name, description: description, ring: ring, root: root, namespaces: Set(namespaces),
      filesystem: try filesystem(), environment: try environment(), capabilities: try word(),
      network: try word(), landlock: try landlock(), syscalls: try syscalls(),
      limits: try limits(), requests: try requests(),
      widenings: try list(limit: ProfileLimits.callsMax) { r throws(RingProfileError) in
        RingProfile.Widening(what: try r.text(), reason: try r.text())
      })
  }

  private mutating func filesystem() throws(RingProfileError) -> RingProfile.Filesystem {
    RingProfile.Filesystem(
      workspace: try word(), read: try rules(), write: try rules(), hide: try rules(),
      scratch: try scratch(), proc: try word())
  }

  private mutating func rules() throws(RingProfileError) -> [RingProfile.PathRule] {
    try list(limit: ProfileLimits.pathsMax) { r throws(RingProfileError) in
      let path = try r.text()
      if let fault = ProfileReader.fault(path) { throw r.failure("a path that \(fault)") }
      return RingProfile.PathRule(path: path, optional: try r.boolean(), why: try r.text())
    }
  }

  private mutating func scratch() throws(RingProfileError) -> RingProfile.Scratch? {
    guard try boolean() else { return nil }
    return RingProfile.Scratch(
      sizeBytes: try integer(), inodes: try integer(), executable: try boolean())
  }

  private mutating func environment() throws(RingProfileError) -> RingProfile.Environment {
    let limit = ProfileLimits.variablesMax
    return RingProfile.Environment(
      pass: try list(limit: limit) { r throws(RingProfileError) in try r.text() },
      set: try list(limit: limit) { r throws(RingProfileError) in
        (name: try r.text(), value: try r.text())
      })
  }

  private mutating func landlock() throws(RingProfileError) -> RingProfile.Landlock {
    RingProfile.Landlock(
      files: try word(), scopeSignal: try boolean(), scopeAbstractUnixSocket: try boolean(),
      denyTCP: try boolean())
  }

  private mutating func limits() throws(RingProfileError) -> RingProfile.Limits {
    var limits = RingProfile.Limits()
    for field in RingProfile.Limits.all where try boolean() {
      field.set(&limits, try integer())
    }
    return limits
  }

  private mutating func requests() throws(RingProfileError) -> RingProfile.Requests {
    RingProfile.Requests(
      perSecond: try integer(), burst: try integer(), concurrentTools: try integer())
  }

  // MARK: system calls

  private mutating func syscalls() throws(RingProfileError) -> SyscallPolicy {
    let otherwise: SyscallPolicy.Default
    switch try action() {
    case .allow: otherwise = .allow
    case .fail(let errno): otherwise = .fail(errno: errno)
    case .violation: throw failure("a default that reports")
    }
    return SyscallPolicy(
      defaultAction: otherwise,
      groups: try list(limit: ProfileLimits.groupsMax) { r throws(RingProfileError) in
        SyscallPolicy.Group(
          name: try r.text(), why: try r.text(), action: try r.action(),
          calls: try r.list(limit: ProfileLimits.callsMax) { r throws(RingProfileError) in
            SyscallPolicy.Call(
              name: try r.text(),
              when: try r.list(limit: ProfileReader.conditionsMax) {
                r throws(RingProfileError) in try r.condition()
              })
          })
      })
  }

  private mutating func action() throws(RingProfileError) -> SyscallPolicy.Action {
    switch try byte() {
    case 0: return .allow
    case 1: return .violation
    case 2:
      let errno = try integer()
      guard (1...4095).contains(errno) else { throw failure("errno \(errno)") }
      return .fail(errno: Int32(errno))
    case let other: throw failure("there is no action \(other)")
    }
  }

  private mutating func condition() throws(RingProfileError) -> SyscallPolicy.Condition {
    let argument = try byte()
    guard argument < 6 else { throw failure("there is no argument \(argument)") }
    let mask = try integer()
    let wide = try boolean()
    let isMember = try boolean()
    let values = try list(limit: ProfileLimits.valuesMax) { r throws(RingProfileError) in
      try r.integer()
    }
    return SyscallPolicy.Condition(
      argument: argument, mask: mask, comparison: isMember ? .isIn(values) : .isNotIn(values),
      wide: wide)
  }
}
