internal import Kernel
internal import Supervisor

enum Environment {
  /// A variable of this process that is text.
  static func value(_ name: String) -> String? {
    let prefix = ByteString(name + "=")
    return Vectors.environment.first { $0.starts(with: prefix) }.map {
      ByteString($0.dropFirst(prefix.count)).text
    }
  }
}
