import Foundation

/// The built programs under test.
enum Binaries {
  /// AGT_BIN, or the build directory of this package: release where it has been built.
  static let directory: String = {
    let environment = ProcessInfo.processInfo.environment
    if let given = environment["AGT_BIN"] { return given }
    let package = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let release = package + "/.build/release"
    return isProgram(release + "/agt-probe") ? release : package + "/.build/debug"
  }()

  static func isProgram(_ path: String) -> Bool {
    FileManager.default.isExecutableFile(atPath: path)
  }

  static let names = ["agt-run", "agt-stage", "agt-probe"]

  /// What is missing; nil when everything has been built.
  static let missing: String? = {
    let absent = names.filter { !isProgram(directory + "/" + $0) }
    return absent.isEmpty ? nil : "\(directory) lacks \(absent.joined(separator: ", "))"
  }()
}
