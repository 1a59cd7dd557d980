internal import CProbe
internal import Glibc

/// What the program does for its own probes and for the tests that drive it: no forbidden acts.
enum HiddenVerb {
  /// The exit status, or nil when there is no such verb.
  static func named(_ name: String) -> (([String]) -> Int32)? {
    switch name {
    case "report-gain": reportGain
    case "hold": hold
    case "with-key": withKey
    case "plant": plant
    case "canary": Canary.main
    default: nil
    }
  }

  /// `report-gain PROBE UID GID`: what a privileged program got over the one that started it.
  private static func reportGain(_ arguments: [String]) -> Int32 {
    guard arguments.count == 3 else { return Outcome.Kind.skipped.exitStatus }
    let own = identity()
    let capabilities = processField("CapEff") ?? "0"
    var gains: [String] = []
    if "\(own.effectiveUID)" != arguments[1] { gains.append("uid \(own.effectiveUID)") }
    if "\(own.effectiveGID)" != arguments[2] { gains.append("gid \(own.effectiveGID)") }
    if own.uid != 0 && capabilities.contains(where: { $0 != "0" }) {
      gains.append("capabilities \(capabilities)")
    }
    let detail = gains.joined(separator: ", ")
    let outcome = Outcome.state(!gains.isEmpty, gains.isEmpty ? "nothing gained" : detail)
    Listing.print(outcome, of: arguments[0])
    return outcome.kind.exitStatus
  }

  /// `hold`: says that it runs, and stays until its input ends, to be looked at from outside.
  private static func hold(_ arguments: [String]) -> Int32 {
    Listing.print(.done("\(call(SYS_getpid))"), of: "hold")
    while read(0, 64).result > 0 {}
    return 0
  }

  /// `with-key DESCRIPTION PAYLOAD PROGRAM ARGUMENT…`: runs a program in a session keyring that
  /// holds one key.
  private static func withKey(_ arguments: [String]) -> Int32 {
    guard arguments.count >= 3 else { return Outcome.Kind.skipped.exitStatus }
    // KEYCTL_JOIN_SESSION_KEYRING, then a key in KEY_SPEC_SESSION_KEYRING.
    if call(SYS_keyctl, 1, 0) < 0 { return 1 }
    let added = call(
      SYS_add_key, Memory.text("user"), Memory.text(arguments[0]), Memory.text(arguments[1]),
      arguments[1].utf8.count, -3)
    if added < 0 { return 1 }
    _ = execute(arguments[2], Array(arguments.dropFirst(2)))
    return 127
  }

  /// `plant DIRECTORY`: the executables that probes expect in a workspace. Root makes the copies
  /// of this program there privileged (`planted-setuid`, `planted-setgid`, `planted-capable`), and
  /// adds a device node.
  private static func plant(_ arguments: [String]) -> Int32 {
    guard arguments.count == 1 else { return Outcome.Kind.skipped.exitStatus }
    let report = TinyProgram.report(of: "foreign.i386-program")
    let foreign = create(
      arguments[0] + "/planted-i386", TinyProgram.foreign(says: report), mode: 0o755)
    let native = create(
      arguments[0] + "/planted-native",
      TinyProgram.native(says: TinyProgram.report(of: "control.exec-workspace")), mode: 0o755)
    if foreign < 0 || native < 0 { return 1 }
    if identity().effectiveUID != 0 { return 0 }
    var failed = false
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("capable", 0o755)] {
      let path = Memory.text(arguments[0] + "/planted-" + name)
      let owner = name == "capable" ? 0 : otherID
      failed = failed || call(SYS_fchownat, currentDirectory, path, owner, owner, 0) < 0
      failed = failed || call(SYS_fchmodat, currentDirectory, path, mode) < 0
    }
    // struct vfs_cap_data, revision 2 with the effective bit: CAP_NET_RAW.
    let data = Memory.halves([0x0200_0001, 1 << 13, 0, 0, 0])
    let capable = Memory.text(arguments[0] + "/planted-capable")
    failed =
      failed || call(SYS_setxattr, capable, Memory.text("security.capability"), data, 20, 0) < 0
    // A device that is harmless to have: zero. A workspace could hold any.
    let device = Memory.text(arguments[0] + "/planted-device")
    failed = failed || call(SYS_mknodat, currentDirectory, device, 0o020666, 1 << 8 | 5) < 0
    failed = failed || call(SYS_fchmodat, currentDirectory, device, 0o666) < 0
    return failed ? 1 : 0
  }

  /// A user and a group that nobody is: what a setuid program could turn its caller into.
  private static let otherID = 61233
}
