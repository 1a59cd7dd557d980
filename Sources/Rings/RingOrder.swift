/// The order of the rings: whatever ring n may do, ring n − 1 may do too (`agt profile verify`).
///
/// This is judged on the compiled filters, not on the text that they came from: each is run on
/// every system call with every combination of arguments at which any of the rings could decide
/// otherwise. That includes whether a filter does what its policy says.
public enum RingOrder {
  public struct Breach: Equatable, Sendable {
    /// The ring that may do too much.
    public let ring: UInt8
    /// What is wrong, with a concrete example.
    public let what: String
  }

  /// - Parameter rings: from the most privileged to the least.
  /// - Returns: empty when the order holds.
  /// - Throws: `RingProfileError.filter` when a policy cannot be compiled.
  public static func verify(_ rings: [CompiledProfile]) throws(RingProfileError) -> [Breach] {
    var breaches: [Breach] = []
    for (above, below) in zip(rings, rings.dropFirst()) {
      let granted = ProfileComparison.tables(from: above.profile, to: below.profile)
      for difference in granted where difference.direction == .widened {
        breaches.append(
          Breach(
            ring: below.profile.ring,
            what: "\(difference.what) is \(difference.after), and \(difference.before) in "
              + above.profile.name))
      }
    }
    var judged: [JudgedFilter] = []
    for ring in rings { judged.append(try JudgedFilter(ring)) }
    for number in 0..<SyscallTable.numberEnd {
      verify(number, judged, &breaches)
      verifyForeign(number, judged, &breaches)
    }
    return breaches
  }

  /// The order of the shipped rings.
  public static func verifyShipped() throws(RingProfileError) -> [Breach] {
    var rings: [CompiledProfile] = []
    for ring in 0...3 as ClosedRange<UInt8> {
      rings.append(try CompiledProfile(compiling: .shipped(ring)))
    }
    return try verify(rings)
  }

  /// A ring with what is needed to judge its filters.
  private struct JudgedFilter {
    let ring: UInt8
    let name: String
    let notify: FilterMachine
    let plain: FilterMachine
    let rules: [String: [SyscallPolicy.Rule]]
    let otherwise: SyscallPolicy.Action

    init(_ compiled: CompiledProfile) throws(RingProfileError) {
      ring = compiled.profile.ring
      name = compiled.profile.name
      notify = try FilterMachine(compiled.program(violations: true))
      plain = try FilterMachine(compiled.program(violations: false))
      rules = Dictionary(uniqueKeysWithValues: compiled.profile.syscalls.rulesByCall())
      otherwise = compiled.profile.syscalls.defaultAction.action
    }

    /// What the policy says; nil is a number without a name.
    func expected(_ call: String?, _ arguments: [UInt64]) -> SeccompAction {
      guard let call else {
        return otherwise == .allow ? .errno(SeccompFilter.noSuchCall) : otherwise.notifying
      }
      let rule = rules[call]?.first { $0.when.allSatisfy { $0.holds(arguments) } }
      return (rule?.action ?? otherwise).notifying
    }
  }

  private static func verify(
    _ number: UInt32, _ rings: [JudgedFilter], _ breaches: inout [Breach]
  ) {
    let name = SyscallTable.name(number)
    let conditions = rings.flatMap { ring in
      name.flatMap { ring.rules[$0] }?.flatMap(\.when) ?? []
    }
    var reported: Set<UInt8> = []
    for arguments in ArgumentProbes(conditions) {
      let call = FilterMachine.Call(
        number: number, architecture: SyscallTable.nativeArchitecture, arguments: arguments)
      var isAllowedAbove = true
      for ring in rings {
        let answer = ring.notify.run(call)
        let isAllowed = answer == .allow
        let breach: String?
        if isAllowed && !isAllowedAbove {
          breach = "allowed, and refused in the ring above"
        } else if answer != ring.expected(name, arguments) {
          breach = "\(answer), where the profile says \(ring.expected(name, arguments))"
        } else if isAllowed != (ring.plain.run(call) == .allow) {
          breach = "answered in another way by the filter without notifications"
        } else {
          breach = nil
        }
        if let breach, reported.insert(ring.ring).inserted {
          breaches.append(
            Breach(ring: ring.ring, what: "\(text(name, number, arguments)) is \(breach)"))
        }
        isAllowedAbove = isAllowed
      }
    }
  }

  /// AUDIT_ARCH_I386 and AUDIT_ARCH_ARM of linux/audit.h, and the bit of x32.
  private static let foreignArchitectures: [UInt32] = [0x4000_0003, 0x4000_0028]
  private static let x32Bit: UInt32 = 0x4000_0000

  private static func verifyForeign(
    _ number: UInt32, _ rings: [JudgedFilter], _ breaches: inout [Breach]
  ) {
    let none = [UInt64](repeating: 0, count: 6)
    var calls = foreignArchitectures.map {
      FilterMachine.Call(number: number, architecture: $0, arguments: none)
    }
    calls.append(
      FilterMachine.Call(
        number: number | x32Bit, architecture: SyscallTable.nativeArchitecture, arguments: none))
    for call in calls {
      for ring in rings {
        for machine in [ring.notify, ring.plain] where machine.run(call) == .allow {
          breaches.append(
            Breach(
              ring: ring.ring,
              what: "call \(call.number) of architecture \(call.architecture) is allowed"))
        }
      }
    }
  }

  private static func text(_ name: String?, _ number: UInt32, _ arguments: [UInt64]) -> String {
    let last = arguments.lastIndex { $0 != 0 } ?? 0
    let list = arguments[...last].map { "0x" + String($0, radix: 16) }
    return "\(name ?? "call \(number)")(\(list.joined(separator: ", ")))"
  }
}

extension SyscallPolicy.Action {
  /// The answer of the filter that reports violations.
  var notifying: SeccompAction { SeccompFilter.result(self, notify: true) }
}
