internal import Glibc
internal import JSON
internal import Kernel
internal import Rings

/// A forbidden call that the kernel reported (seccomp_unotify(2)); always refused.
struct Violation: Equatable {
  var pid: Int32
  /// The path of the caller's program; empty when it is gone or hidden.
  var executable: String
  var call: String
  var arguments: [UInt64]
  var count: Int
}

/// Collects what the kernel reports. An agent must not be able to fill our memory: equal calls are counted,
/// and past a bound new kinds are only counted.
struct ViolationRecorder {
  /// More kinds than there are system calls are not worth a line each.
  static let maximumKinds = 512
  private(set) var kinds: [Violation] = []
  private(set) var total = 0
  private(set) var last: Violation?

  /// Answers one notification with EPERM.
  /// - Returns: what was refused; nil when the caller died meanwhile.
  mutating func take(_ listener: Int32) throws(SyscallError) -> Violation? {
    guard let notification = try Seccomp.receive(listener) else { return nil }
    let executable = (try? Files.readLink(ByteString("/proc/\(notification.pid)/exe")).text) ?? ""
    // What was read is the caller's only while the caller still waits; its pid may be another's by now.
    let pending = Seccomp.isPending(listener, id: notification.id)
    _ = Seccomp.refuse(listener, id: notification.id, errno: EPERM)
    let violation = Violation(
      pid: notification.pid, executable: pending ? executable : "",
      call: SyscallTable.name(UInt32(bitPattern: notification.number))
        ?? "system call \(notification.number)",
      arguments: notification.arguments, count: 1)
    record(violation)
    return violation
  }

  mutating func record(_ violation: Violation) {
    total += 1
    last = violation
    if let same = kinds.firstIndex(where: {
      $0.call == violation.call && $0.executable == violation.executable
    }) {
      kinds[same].count += 1
    } else if kinds.count < Self.maximumKinds {
      kinds.append(violation)
    }
  }

  /// `mount ×2 and ptrace by /usr/bin/python3.11`
  var summary: String {
    kinds.prefix(5).map { kind in
      let times = kind.count > 1 ? " ×\(kind.count)" : ""
      let by = kind.executable.isEmpty ? "" : " by \(kind.executable)"
      return kind.call + times + by
    }.joined(separator: ", ") + (kinds.count > 5 ? ", and \(kinds.count - 5) more kinds" : "")
  }
}

extension Violation {
  var json: JSONValue { .object(object) }

  var object: JSONObject {
    [
      "call": .string(call), "executable": .string(executable), "pid": JSONValue(pid),
      "arguments": .array(arguments.map { .string("0x" + String($0, radix: 16)) }),
      "count": JSONValue(count),
    ]
  }
}
