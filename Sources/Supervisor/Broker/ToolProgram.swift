internal import Broker
internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel
internal import Programs

/// What a call of a tool executes: the program and, where it is a script or an interpreter with one, the script.
///
/// Whoever lets a call run later (what undoes a step, a lease, what a person approved) compares it with what was
/// judged. What a program reads by itself (modules, a Makefile, what a shell's text names) is not known here.
struct ToolProgram: Equatable, Sendable {
  struct File: Equatable, Sendable {
    /// Absolute, without links.
    let path: String
    /// SHA-256 in hexadecimal digits; of a folder that an interpreter is given, none.
    let digest: String?
  }

  /// The program that the kernel executes is the last.
  let files: [File]
  /// What programs of the run could change to have something else executed: one of the files, a link to one, or a
  /// folder of PATH that comes before. Nil when they can change none.
  let changeable: String?

  var json: JSONValue {
    .array(files.map { ["path": .string($0.path), "sha256": JSONValue($0.digest)] })
  }
}

/// Where the tools of a run are looked for, and what of that programs of the run can change.
///
/// Its functions read files and may wait for a disk; they may be called in any thread.
final class ToolPrograms: @unchecked Sendable {
  private let resolver: ProgramResolver
  /// Trees that programs of the run, its tools among them, may write.
  private let writable: [Path]
  /// In those, what no ring of the run can change.
  private var keptPaths: [Path] = []
  /// The same, for messages and command lines.
  private(set) var kept: [String] = []
  private let digests = DigestMemory()

  /// - Parameters:
  ///   - writable: canonical; none for ring 0, which can change what its user can.
  ///   - workingDirectory: where the relative path of a tool begins.
  init(_ caller: Caller, workspace: String, workingDirectory: String, writable: [String]) {
    self.writable = writable.map { Path($0) }
    resolver = ProgramResolver(
      files: Programs.HostFiles(), environment: caller.programEnvironment,
      workingDirectory: Path(workingDirectory), visible: [], workspace: Path(workspace),
      writable: self.writable)
  }

  /// Finds what the declarations of tools execute in what programs of the run may write, so that it is made
  /// read-only for all of them.
  /// - Precondition: before anything else is asked.
  func keep(of tools: [Tool]) {
    guard !writable.isEmpty else { return }
    for tool in tools {
      for file in declared(tool)?.files ?? [] where isWritable(file) && !keptPaths.contains(file) {
        guard let text = String(validating: file.bytes, as: UTF8.self) else { continue }
        keptPaths.append(file)
        kept.append(text)
      }
    }
  }

  /// Whoever could write one of these could have something else executed than the tools declare.
  func places(of tools: [Tool]) -> [String] {
    tools.compactMap { declared($0) }.flatMap { $0.files + $0.deciding }.compactMap {
      String(validating: $0.bytes, as: UTF8.self)
    }
  }

  private func declared(_ tool: Tool) -> ExecutedFiles? {
    let words = tool.fixedWords
    return try? resolver.executed(command: words[0], arguments: Array(words.dropFirst()))
  }

  /// - Throws: when nothing could be executed, or it cannot be read.
  func look(_ words: [String]) throws(BrokerError) -> ToolProgram {
    let found: ExecutedFiles
    do throws(ProgramError) {
      found = try resolver.executed(command: words[0], arguments: Array(words.dropFirst()))
    } catch { throw BrokerError(.failed, error.description) }
    var files: [ToolProgram.File] = []
    for path in found.files {
      guard let text = String(validating: path.bytes, as: UTF8.self) else {
        throw BrokerError(.failed, "\(path): the path is not UTF-8")
      }
      do throws(SyscallError) {
        files.append(ToolProgram.File(path: text, digest: try digests.digest(of: text)))
      } catch { throw BrokerError(.failed, error.description) }
    }
    let changeable = (found.files + found.deciding).first { path in
      isWritable(path) && !keptPaths.contains { path.isWithin($0) }
    }
    return ToolProgram(files: files, changeable: changeable?.description)
  }

  private func isWritable(_ path: Path) -> Bool { writable.contains { path.isWithin($0) } }
}

/// Digests of files, each taken again only when the file is another or was changed: nobody can set the time of the
/// last change (inode(7), ctime).
final class DigestMemory: @unchecked Sendable {
  private struct Known {
    let changedNanoseconds: Int64
    let sizeBytes: Int64
    let digest: String
  }

  private let monitor = Monitor()
  // Behind the monitor.
  private var known: [FileIdentity: Known] = [:]

  /// A run has some dozens of programs.
  private static let knownMax = 256
  private static let readBytes = 1 << 18

  /// - Returns: SHA-256 in hexadecimal digits; nil for what is no regular file.
  func digest(of path: String) throws(SyscallError) -> String? {
    let file = try Files.open(ByteString(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    let status = try Files.status(file.raw)
    guard status.kind == .regular else { return nil }
    let before = monitor.locked { known[status.identity] }
    if let before, before.changedNanoseconds == status.changedNanoseconds,
      before.sizeBytes == status.sizeBytes
    {
      return before.digest
    }
    var hash = SHA256()
    while true {
      let part = try Descriptors.read(file.raw, upTo: Self.readBytes)
      if part.isEmpty { break }
      hash.update(part)
    }
    let digest = Hexadecimal.encode(hash.finish())
    monitor.locked {
      if known.count >= Self.knownMax { known = [:] }
      known[status.identity] = Known(
        changedNanoseconds: status.changedNanoseconds, sizeBytes: status.sizeBytes, digest: digest)
    }
    return digest
  }
}
