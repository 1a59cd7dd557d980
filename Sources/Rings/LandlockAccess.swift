/// LANDLOCK_ACCESS_FS_* of landlock(7).
enum LandlockAccess {
  static let execute: UInt64 = 1 << 0
  static let writeFile: UInt64 = 1 << 1
  static let readFile: UInt64 = 1 << 2
  static let readDirectory: UInt64 = 1 << 3
  static let deviceIoctl: UInt64 = 1 << 15
  static let read = readFile | readDirectory
  static let readExecute = read | execute
  static let readWrite = read | execute | change
  /// Remove, make (but for devices), refer, truncate.
  static let change: UInt64 =
    writeFile | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 14
  static let makeDevices: UInt64 = 1 << 6 | 1 << 11
  /// Of what is mounted read-only, where the mount itself refuses to truncate. The kernel asks for
  /// truncate at each open(2) (hook_file_open) and goes up to the root for it where no rule has it: a
  /// third of what Landlock costs an open.
  static let readOnlyMount = readExecute | 1 << 14
  static let all: UInt64 = (1 << 16) - 1
  static let bindAndConnectTCP: UInt64 = 3
  static let scopeAbstractUnixSocket: UInt64 = 1
  static let scopeSignal: UInt64 = 2

  /// What an ABI of this number can handle.
  static func known(abi: Int) -> UInt64 {
    switch abi {
    case ..<1: 0
    case 1: (1 << 13) - 1
    case 2: (1 << 14) - 1
    case 3, 4: (1 << 15) - 1
    default: (1 << 16) - 1
    }
  }
}
