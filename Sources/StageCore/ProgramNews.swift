internal import Kernel

/// What the program's process tells PID 1 while it builds, beside its reports: PID 1 works at the same time
/// and keeps no plan of its own, because it stays for the whole run.
enum ProgramNews {
  /// The plan is there; whether masks will come.
  case planned(needsMasks: Bool)
  /// What to cover below the new root; its descriptor rides along, and what covers a file: PID 1 must look up
  /// nothing by an absolute path, because the root changes meanwhile.
  case masks([ByteString], root: Int32, null: Int32)

  /// Of all paths with what ends each.
  static let maximumBytes = 8000

  /// Begins with a byte that no report begins with.
  func encoded() -> [UInt8] {
    switch self {
    case .planned(let needsMasks): [.max, needsMasks ? 1 : 0]
    case .masks(let paths, _, _): [.max - 1] + paths.flatMap { $0 + [0] }
    }
  }

  init?(_ bytes: [UInt8], _ descriptors: [Int32]) {
    switch bytes.first {
    case .max: self = .planned(needsMasks: bytes.last == 1)
    case .max - 1:
      guard descriptors.count == 2 else { return nil }
      self = .masks(
        bytes.dropFirst().split(separator: 0).map(ByteString.init), root: descriptors[0],
        null: descriptors[1])
    default: return nil
    }
  }
}
