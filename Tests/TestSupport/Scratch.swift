internal import Glibc

/// A directory of its own below /tmp for one test: a workspace in `path`, a home directory beside it.
public final class Scratch: Sendable {
  private let top: String
  /// The workspace.
  public let path: String
  public let home: String

  public init() {
    top = Self.makeDirectory()
    path = top + "/work"
    home = top + "/home"
    for directory in [path, home] { unsafe mkdir(directory, 0o755) }
  }

  deinit { _ = Command(["/bin/rm", "-rf", "--", top]).run() }

  static func makeDirectory() -> String {
    var template = Array("/tmp/agt-test-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
    // SAFETY: the template ends in NUL and is ours.
    precondition(unsafe mkdtemp(&template) != nil, "mkdtemp: errno \(errno)")
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    unsafe chmod(path, 0o755)
    return path
  }

  /// Makes the starter the owner of everything in it.
  public func give(to starter: Starter) {
    guard Starter.isRoot else { return }
    let id = starter == .root ? 0 : Starter.ordinaryID
    for directory in [path, home] where File.owner(directory) != id {
      _ = Command(["/bin/chown", "-R", "\(id):\(id)", directory]).run()
    }
  }

  /// Writes a file in the workspace and returns its path.
  @discardableResult
  public func write(_ name: String, _ text: String, mode: UInt32 = 0o644) -> String {
    write(name, bytes: Array(text.utf8), mode: mode)
  }

  @discardableResult
  public func write(_ name: String, bytes: [UInt8], mode: UInt32 = 0o644) -> String {
    let file = path + "/" + name
    let number = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    precondition(number >= 0, "\(file): errno \(errno)")
    // SAFETY: the array outlives the call.
    precondition(unsafe Glibc.write(number, bytes, bytes.count) == bytes.count)
    close(number)
    unsafe chmod(file, mode)
    return file
  }

  public func read(_ name: String) -> String? { File.read(path + "/" + name) }
}

/// Small looks at files.
public enum File {
  public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
  public static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

  public static func parent(_ path: String) -> String {
    String(path[..<path.lastIndex(of: "/")!])
  }

  public static func owner(_ path: String) -> UInt32? {
    var status = stat()
    // SAFETY: the structure is ours.
    return unsafe stat(path, &status) == 0 ? status.st_uid : nil
  }

  public static func linkTarget(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the buffer has the size that is given; readlink(2) writes no NUL.
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }

  public static func read(_ path: String) -> String? {
    bytes(path).map { String(decoding: $0, as: UTF8.self) }
  }

  public static func bytes(_ path: String) -> [UInt8]? {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    var bytes: [UInt8] = []
    while Spawn.read(number, into: &bytes) {}
    return bytes
  }

  /// The names in a directory, sorted; nil when it cannot be read.
  public static func names(_ path: String) -> [String]? {
    // SAFETY: the stream is closed below; each entry is copied before the next call.
    guard let stream = unsafe opendir(path) else { return nil }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

/// The machine's processes, by what the tests know of them.
public enum ProcessTable {
  /// The processes that have the word somewhere in their command line.
  public static func pids(withWord word: String) -> [Int32] {
    (File.names("/proc") ?? []).compactMap(Int32.init).filter { pid in
      guard pid != getpid(), let line = File.bytes("/proc/\(pid)/cmdline") else { return false }
      return String(decoding: line, as: UTF8.self).contains(word)
    }
  }
}
