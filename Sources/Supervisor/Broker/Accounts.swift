internal import Kernel

/// Who is called what, from /etc/passwd and /etc/group: agt-run is static and asks no directory service, so an
/// approver that only such a service knows is named by number.
struct Accounts {
  private static let sizeMaxBytes = 8 << 20
  private let users: [(name: Substring, uid: UInt32, gid: UInt32)]
  private let groups: [(name: Substring, gid: UInt32, members: [Substring])]

  init() {
    self.init(
      passwd: (try? Files.read(ByteString("/etc/passwd"), limit: Self.sizeMaxBytes).text) ?? "",
      group: (try? Files.read(ByteString("/etc/group"), limit: Self.sizeMaxBytes).text) ?? "")
  }

  init(passwd: String, group: String) {
    users = passwd.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count >= 4, let uid = UInt32(fields[2]), let gid = UInt32(fields[3]) else {
        return nil
      }
      return (fields[0], uid, gid)
    }
    groups = group.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count >= 4, let gid = UInt32(fields[2]) else { return nil }
      return (fields[0], gid, fields[3].split(separator: ","))
    }
  }

  /// Whether a rule that names `approver`, by name or number, means this user.
  func isNamed(_ approver: String, _ uid: UInt32) -> Bool {
    if let number = UInt32(approver) { return number == uid }
    return users.contains { $0.uid == uid && $0.name == approver }
  }

  func isMember(_ uid: UInt32, of group: String) -> Bool {
    let own = users.filter { $0.uid == uid }
    return groups.contains { entry in
      guard entry.name == group || UInt32(group) == entry.gid else { return false }
      return own.contains { user in
        user.gid == entry.gid || entry.members.contains { $0 == user.name }
      }
    }
  }
}
