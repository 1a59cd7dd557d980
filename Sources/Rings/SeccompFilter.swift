internal import CLinux
internal import CSeccomp
internal import Glibc

/// Makes a system-call policy into a seccomp program.
///
/// libseccomp builds what is easily got wrong and the same for every filter: the check of the
/// architecture before anything else, the refusal of x32, and the binary tree over the numbers.
/// It cannot express our rules on arguments (one argument compared twice, a refusal with an errno
/// other than the default's, an order between exceptions), so a call with conditions leaves the
/// tree through a placeholder, which `link` replaces by a jump into an `ArgumentBlock`.
public enum SeccompFilter {
  /// - Parameter notify: whether a violation goes to the supervisor (SECCOMP_RET_USER_NOTIF) or
  ///   only fails with EPERM, for kernels and chains that take no listener.
  /// - Throws: `RingProfileError.filter` for a name that is no system call, and when libseccomp
  ///   refuses.
  public static func compile(
    _ policy: SyscallPolicy, notify: Bool
  ) throws(RingProfileError) -> SeccompProgram {
    try link(skeleton(policy), notify: notify)
  }

  /// Both variants of `compile` for the price of one run of libseccomp.
  public static func compileBoth(
    _ policy: SyscallPolicy
  ) throws(RingProfileError) -> (notify: SeccompProgram, plain: SeccompProgram) {
    let skeleton = try skeleton(policy)
    return (try link(skeleton, notify: true), try link(skeleton, notify: false))
  }

  /// ENOSYS: what programs take for an older kernel.
  static let noSuchCall = UInt16(ENOSYS)

  /// The tree with placeholders, and what each placeholder stands for.
  private struct Skeleton {
    var tree: [BPFInstruction]
    var blocks: [Block]
  }

  private enum Block {
    /// Every name of the kernel's table is allowed, other numbers fail with ENOSYS.
    case knownCalls
    case violation
    case rules([SyscallPolicy.Rule], otherwise: SyscallPolicy.Action)
  }

  private static func skeleton(
    _ policy: SyscallPolicy
  ) throws(RingProfileError) -> Skeleton {
    var blocks: [Block] = []
    let otherwise: SeccompAction
    switch policy.defaultAction {
    case .allow:
      // Deny lists answer numbers that they cannot know with ENOSYS too: the kernel may be newer
      // than the list (KERNEL-SURFACE, trap 8).
      otherwise = placeholder(.knownCalls, &blocks)
    case .fail(let errno):
      otherwise = .errno(UInt16(truncatingIfNeeded: errno))
    }
    let tree = try SeccompTree.create(otherwise: otherwise)
    for (name, rules) in policy.rulesByCall() {
      let number: UInt32
      switch SyscallTable.lookup(name) {
      case .number(let known): number = known
      case .otherArchitecture: continue
      case .unknown: throw .filter(message: "\"\(name)\" is no system call; check the spelling")
      }
      let action =
        switch rules[0] {
        case let rule where !rule.when.isEmpty:
          placeholder(.rules(rules, otherwise: policy.defaultAction.action), &blocks)
        case let rule where rule.action == .violation: placeholder(.violation, &blocks)
        case let rule: result(rule.action, notify: false)
        }
      try tree.add(number, name, action)
    }
    return Skeleton(tree: try tree.export(), blocks: blocks)
  }

  /// A trace action, which no ring uses, with the block's index in its data.
  private static func placeholder(_ block: Block, _ blocks: inout [Block]) -> SeccompAction {
    if case .violation = block,
      let index = blocks.firstIndex(where: { if case .violation = $0 { true } else { false } })
    {
      return .trace(UInt16(index))
    }
    blocks.append(block)
    return .trace(UInt16(blocks.count - 1))
  }

  /// Appends the blocks behind the tree and turns each placeholder into a jump to its block.
  private static func link(
    _ skeleton: Skeleton, notify: Bool
  ) throws(RingProfileError) -> SeccompProgram {
    var program = skeleton.tree
    var starts: [Int] = []
    for block in skeleton.blocks {
      starts.append(program.count)
      switch block {
      case .knownCalls:
        program +=
          ArgumentBlock(allowing: SyscallTable.knownRanges, otherwise: .errno(noSuchCall)).code
      case .violation:
        let action = result(.violation, notify: notify).returnValue
        program.append(BPFInstruction(BPFInstruction.returnConstant, action))
      case .rules(let rules, let otherwise):
        program +=
          ArgumentBlock(rules, otherwise: result(otherwise, notify: notify)) {
            result($0, notify: notify)
          }.code
      }
    }
    for index in skeleton.tree.indices where program[index].code == BPFInstruction.returnConstant {
      guard case .trace(let block) = SeccompAction(returnValue: program[index].operand) else {
        continue
      }
      let distance = UInt32(starts[Int(block)] - index - 1)
      program[index] = BPFInstruction(BPFInstruction.jumpAlways, distance)
    }
    guard program.count <= BPFInstruction.programMaxInstructions else {
      throw .filter(
        message: "\(program.count) instructions, the kernel takes "
          + "\(BPFInstruction.programMaxInstructions); name fewer conditions")
    }
    return SeccompProgram(program)
  }

  static func result(_ action: SyscallPolicy.Action, notify: Bool) -> SeccompAction {
    switch action {
    case .allow: .allow
    case .violation: notify ? .notify : .errno(UInt16(EPERM))
    case .fail(let errno): .errno(UInt16(truncatingIfNeeded: errno))
    }
  }
}

/// A filter of libseccomp for the native architecture.
// SAFETY: the context comes from seccomp_init, is never handed out and is released once, by deinit
// of a value that cannot be copied.
@safe private struct SeccompTree: ~Copyable {
  private let context: scmp_filter_ctx

  // SAFETY: the one caller passes what seccomp_init gave it and keeps no copy.
  private init(_ context: scmp_filter_ctx) { unsafe self.context = unsafe context }

  static func create(otherwise: SeccompAction) throws(RingProfileError) -> SeccompTree {
    // What libseccomp accepts must not depend on the kernel that compiles: a profile may be
    // linted inside a ring or in a container whose own filter hides seccomp(2).
    seccomp_api_set(apiLevel)
    // SAFETY: a context that seccomp_init made, or nil, which is refused.
    guard let context = unsafe seccomp_init(otherwise.returnValue) else {
      throw .filter(message: "seccomp_init failed; is there memory left?")
    }
    let tree = unsafe SeccompTree(context)
    // SAFETY: check passes the context, which lives as long as the tree.
    try unsafe tree.check("SCMP_FLTATR_ACT_BADARCH") { context in
      unsafe seccomp_attr_set(
        context, SCMP_FLTATR_ACT_BADARCH, SeccompAction.killProcess.returnValue)
    }
    // A binary tree loads in a third of a linear program's time (PERFORMANCE.md).
    // SAFETY: as above.
    try unsafe tree.check("SCMP_FLTATR_CTL_OPTIMIZE") { context in
      unsafe seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    }
    return tree
  }

  // SAFETY: nothing else has the context, and no value lives after its deinit.
  deinit { unsafe seccomp_release(context) }

  /// The highest level of libseccomp 2.5 (seccomp_api_get(3)).
  private static let apiLevel: UInt32 = 6

  func add(
    _ number: UInt32, _ name: String, _ action: SeccompAction
  ) throws(RingProfileError) {
    // SAFETY: check passes the living context; no array of comparisons is passed, so none is read.
    try unsafe check(name) { context in
      let value = action.returnValue
      let result = unsafe seccomp_rule_add_array(context, value, Int32(number), 0, nil)
      // The same as the default; such a rule is there to be read by people.
      return result == -EACCES ? 0 : result
    }
  }

  /// The program; libseccomp 2.5.4 exports only into a descriptor.
  func export() throws(RingProfileError) -> [BPFInstruction] {
    // Other memory files are refused with vm.memfd_noexec=2 and in rings; before Linux 6.3 these are.
    // SAFETY: the name is a literal.
    var file = unsafe agt_memfd_create("agt-seccomp", AGT_MFD_CLOEXEC | AGT_MFD_NOEXEC_SEAL)
    if file < 0, errno == EINVAL {
      file = unsafe agt_memfd_create("agt-seccomp", AGT_MFD_CLOEXEC)
    }
    guard file >= 0 else { throw .filter(message: "memfd_create failed, errno \(errno)") }
    defer { close(file) }
    // SAFETY: check passes the living context.
    try unsafe check("seccomp_export_bpf") { context in unsafe seccomp_export_bpf(context, file) }
    let sizeMax = BPFInstruction.programMaxInstructions * BPFInstruction.sizeBytes
    // SAFETY: pread writes at most the buffer's size and says how much of it is initialised.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: sizeMax + 1) { buffer, count in
      count = max(0, unsafe pread(file, buffer.baseAddress, buffer.count, 0))
    }
    guard !bytes.isEmpty, bytes.count <= sizeMax, bytes.count % BPFInstruction.sizeBytes == 0 else {
      throw .filter(message: "libseccomp wrote \(bytes.count) bytes, which is no program")
    }
    return stride(from: 0, to: bytes.count, by: BPFInstruction.sizeBytes).map {
      BPFInstruction(bytes, at: $0)
    }
  }

  private func check(
    _ what: String, _ call: (scmp_filter_ctx) -> Int32
  ) throws(RingProfileError) {
    // SAFETY: the context lives as long as self; no callee keeps it.
    let result = unsafe call(context)
    if result != 0 { throw .filter(message: "libseccomp refuses \(what), errno \(-result)") }
  }
}
