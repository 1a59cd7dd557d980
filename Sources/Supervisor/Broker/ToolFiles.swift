internal import Broker
internal import Kernel
internal import YAML

/// The tools of `--tools`: each file declares one.
enum ToolFiles {
  /// A declaration is a page.
  private static let sizeMaxBytes = 1 << 18
  private static let toolsMax = 256

  /// - Throws: the first problem, with its place: nothing runs with half of its tools.
  static func load(_ options: RunOptions) throws(RunError) -> [Tool] {
    var tools: [Tool] = []
    for path in options.tools {
      for (name, bytes) in try read(path) {
        let tool: Tool
        do throws(YAMLError) { tool = try Tool(bytes, file: name) } catch {
          throw RunError(.usage, error.description, hint: "docs/broker-protocol.md has an example")
        }
        if let other = tools.first(where: { $0.name == tool.name }) {
          throw RunError(
            .usage, "\(tool.place): the tool \(tool.name) is declared at \(other.place) already",
            hint: "leave one of them out")
        }
        tools.append(tool)
      }
    }
    for tool in tools {
      if let problem = tool.undo?.problem(among: tools) {
        throw RunError(.usage, problem, hint: "name its file with --tools as well")
      }
    }
    guard tools.count <= toolsMax else {
      throw RunError(.usage, "--tools: more than \(toolsMax) tools", hint: "name fewer files")
    }
    return tools
  }

  private static func read(_ path: String) throws(RunError) -> [(String, [UInt8])] {
    do throws(SyscallError) {
      guard try Files.status(of: ByteString(path)).kind == .directory else {
        return [(path, try Files.read(ByteString(path), limit: sizeMaxBytes))]
      }
      var all: [(String, [UInt8])] = []
      for name in try Files.names(in: ByteString(path)).map(\.text).sorted()
      where name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
        let file = path.hasSuffix("/") ? path + name : path + "/" + name
        all.append((file, try Files.read(ByteString(file), limit: sizeMaxBytes)))
      }
      if !all.isEmpty { return all }
    } catch { throw RunError(.usage, "--tools: \(error.description)", hint: "name a tool's file") }
    throw RunError(
      .usage, "--tools \(path): the folder holds no .yaml", hint: "name the file itself")
  }
}
