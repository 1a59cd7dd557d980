internal import ArgumentParser
internal import Glibc
internal import Kernel
internal import Policy

/// Reading of files for the policy commands, and their end.
enum PolicyFiles {
  /// Fixtures are generated and large; what a policy may have is checked when it is read.
  private static let sizeMaxBytes = 16 << 20

  private static let suffixes = [".yaml", ".yml", ".json"]

  /// Files as named; of folders every .yaml, .yml and .json in them, by name.
  static func read(_ paths: [String]) throws -> [PolicySource] {
    var sources: [PolicySource] = []
    for path in paths {
      do throws(SyscallError) {
        guard try Files.status(of: ByteString(path)).kind == .directory else {
          sources.append(PolicySource(name: path, bytes: try bytes(of: path)))
          continue
        }
        let names = try Files.names(in: ByteString(path)).compactMap {
          String(validating: $0, as: UTF8.self)
        }
        for name in names.sorted() where suffixes.contains(where: name.hasSuffix) {
          let file = path.hasSuffix("/") ? path + name : path + "/" + name
          if try Files.status(of: ByteString(file)).kind == .regular {
            sources.append(PolicySource(name: file, bytes: try bytes(of: file)))
          }
        }
      } catch {
        throw fail(error)
      }
    }
    return sources
  }

  static func bytes(_ path: String) throws -> [UInt8] {
    do throws(SyscallError) { return try bytes(of: path) } catch { throw fail(error) }
  }

  private static func bytes(of path: String) throws(SyscallError) -> [UInt8] {
    try Files.read(ByteString(path), limit: sizeMaxBytes)
  }

  static func standardInput() throws -> [UInt8] {
    do throws(SyscallError) {
      return try Descriptors.readAll(0, limit: sizeMaxBytes)
    } catch {
      throw fail(error)
    }
  }

  /// Replaces the file.
  static func write(_ text: String, to path: String) throws {
    do throws(SyscallError) {
      let file = try Files.open(
        ByteString(path), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, at: Files.here)
      try Descriptors.write(file.raw, Array(text.utf8))
    } catch {
      throw fail(error)
    }
  }

  /// A file that `extends` names. No link is followed, so that it cannot lead out of the folder.
  static let loader: @Sendable (String) -> LoadedFile = { path in
    do throws(SyscallError) {
      if try Files.status(of: ByteString(path), followLink: false).kind == .symbolicLink {
        return .unreadable("it is a symbolic link; extend the file itself")
      }
      return .bytes(try bytes(of: path))
    } catch {
      return error.errno == ENOENT ? .missing : .unreadable(error.description)
    }
  }

  private static func fail(_ error: SyscallError) -> ExitCode {
    let text = Array("agt: \(error.description)\n".utf8)
    try? Descriptors.write(2, text)
    return ExitCode(ToolOutput.cannotLoad)
  }

  /// Prints and ends with the status.
  static func end(_ output: ToolOutput) throws {
    print(output.text, terminator: "")
    if output.status != 0 { throw ExitCode(output.status) }
  }
}
