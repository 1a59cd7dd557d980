internal import Glibc
internal import Kernel
public import Policy

/// Files with policies, as `--policy` and the commands of `agt policy` name them.
public enum PolicyFiles {
  /// Fixtures of policy tests are generated and large; what a policy may have is checked when it is read.
  public static let sizeMaxBytes = 16 << 20

  private static let suffixes = [".yaml", ".yml", ".json"]

  /// Files as named; of folders every .yaml, .yml and .json in them, by name.
  public static func read(_ paths: [String]) throws(RunError) -> [PolicySource] {
    var sources: [PolicySource] = []
    for path in paths {
      do throws(SyscallError) { sources += try read(path) } catch {
        throw RunError(.usage, error.description, hint: "name a policy file, or a folder of them")
      }
    }
    return sources
  }

  private static func read(_ path: String) throws(SyscallError) -> [PolicySource] {
    guard try Files.status(of: ByteString(path)).kind == .directory else {
      return [PolicySource(name: path, bytes: try bytes(of: path))]
    }
    var sources: [PolicySource] = []
    let names = try Files.names(in: ByteString(path)).compactMap {
      String(validating: $0, as: UTF8.self)
    }
    for name in names.sorted() where suffixes.contains(where: name.hasSuffix) {
      let file = path.hasSuffix("/") ? path + name : path + "/" + name
      if try Files.status(of: ByteString(file)).kind == .regular {
        sources.append(PolicySource(name: file, bytes: try bytes(of: file)))
      }
    }
    return sources
  }

  private static func bytes(of path: String) throws(SyscallError) -> [UInt8] {
    try Files.read(ByteString(path), limit: sizeMaxBytes)
  }

  /// A file that `extends` names. No link is followed, so that it cannot lead out of the folder.
  public static let loader: @Sendable (String) -> LoadedFile = { path in
    do throws(SyscallError) {
      if try Files.status(of: ByteString(path), followLink: false).kind == .symbolicLink {
        return .unreadable("it is a symbolic link; extend the file itself")
      }
      return .bytes(try bytes(of: path))
    } catch {
      return error.errno == ENOENT ? .missing : .unreadable(error.description)
    }
  }

  /// The policies of a run, as one set; nil without any.
  /// - Throws: every problem of every file, a line each: nothing runs under half a policy.
  static func load(_ options: RunOptions) throws(RunError) -> PolicySet? {
    guard !options.policies.isEmpty else { return nil }
    let words = options.policies.joined(separator: " ")
    let sources = try read(options.policies)
    guard !sources.isEmpty else {
      throw RunError(
        .usage, "--policy \(words): the folder holds no .yaml, .yml or .json",
        hint: "name the file itself")
    }
    let policies: PolicySet
    do throws(PolicyError) { policies = try PolicySet.load(sources, loader: loader) } catch {
      throw RunError(.usage, error.description, hint: "agt policy lint \(words)")
    }
    for trigger in policies.violationTriggers
    where trigger.action == .rollback && options.transaction == nil {
      throw RunError(
        .usage, "\(trigger.place): rollback needs a transaction to roll back",
        hint: "add --txn, or write kill")
    }
    return policies
  }
}
