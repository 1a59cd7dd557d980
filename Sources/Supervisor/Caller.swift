internal import Glibc
internal import Kernel
internal import Paths
internal import Programs

/// Who started the run, as numbers and from the environment: a static program has no name service
/// (nsswitch.conf(5)), and needs none.
struct Caller {
  let uid: UInt32
  let gid: UInt32
  let home: String
  let userName: String
  private let environment: [[UInt8]]

  init(_ environment: [[UInt8]]) {
    self.environment = environment
    uid = Identity.effectiveUID
    gid = Identity.effectiveGID
    home = Self.home(environment, uid)
    userName = Self.name(environment, isRoot: uid == 0)
  }

  var isRoot: Bool { uid == 0 }
  var programEnvironment: CallerEnvironment { CallerEnvironment(entries: environment) }

  func value(_ name: String) -> String? { Self.value(name, environment) }

  private static func value(_ name: String, _ environment: [[UInt8]]) -> String? {
    let prefix = Array("\(name)=".utf8)
    guard let entry = environment.first(where: { $0.starts(with: prefix) }) else { return nil }
    return String(validating: entry.dropFirst(prefix.count), as: UTF8.self)
  }

  /// HOME where it is an absolute path of a directory, else /nonexistent, which no machine has.
  private static func home(_ environment: [[UInt8]], _ uid: UInt32) -> String {
    if let home = value("HOME", environment), home.hasPrefix("/"), home != "/",
      let canonical = try? Files.canonical(ByteString(home)).text, canonical != "/"
    {
      return canonical
    }
    return "/nonexistent"
  }

  /// A name that passwd(5) can hold; root's runs are called agent inside, for they are not root there.
  private static func name(_ environment: [[UInt8]], isRoot: Bool) -> String {
    let name = value("USER", environment) ?? value("LOGNAME", environment) ?? ""
    let letters = name.utf8.allSatisfy {
      ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == 95 || $0 == 45
    }
    let usable =
      letters && (1...32).contains(name.utf8.count) && name.utf8.first != 45 && name != "root"
    return isRoot || !usable ? "agent" : name
  }

  /// The caller's own directory where it lies in the workspace, else the workspace itself.
  func workingDirectory(within workspace: String) -> String {
    guard let here = try? Files.workingDirectory().text else { return workspace }
    return PathText.isInside(here, workspace) ? here : workspace
  }
}
