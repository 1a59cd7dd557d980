import Foundation
import Testing

@testable import Programs

/// On this machine: what the resolver says must be enough for the program to start in a root that
/// holds nothing else, and not more than needed.
@Suite(.serialized) struct ProgramsHostTests {
  private static let visible: [Path] = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"]
  private static let hasBubblewrap = FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap")
  private static let pyenv = "/root/.pyenv"
  private static let hasPyenv =
    FileManager.default.isExecutableFile(atPath: "\(pyenv)/versions/3.11.7/bin/python3.11")
    && FileManager.default.isExecutableFile(atPath: "\(pyenv)/shims/python3")
  private static let hasSystemPython =
    FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")
  private static let hasNode = FileManager.default.isExecutableFile(atPath: "/usr/bin/node")

  /// Two temporary directories: a workspace, and one that is neither visible nor workspace.
  private struct Place: ~Copyable {
    let root: Path
    var workspace: Path { root.appending("work") }
    var outside: Path { root.appending("outside") }
    init() throws {
      let path = NSTemporaryDirectory() + "agt-programs-" + UUID().uuidString
      root = Path(path)
      for name in ["work", "outside"] {
        try FileManager.default.createDirectory(
          atPath: path + "/" + name, withIntermediateDirectories: true)
      }
    }
    deinit { try? FileManager.default.removeItem(atPath: "\(root)") }
    func write(_ path: Path, _ text: String, executable: Bool = false) throws {
      try text.write(toFile: "\(path)", atomically: false, encoding: .utf8)
      if executable {
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(path)")
      }
    }
  }

  private func resolve(
    _ place: borrowing Place, _ command: String, _ arguments: [String],
    _ variables: [String: String]
  ) throws -> ResolvedProgram {
    try ProgramResolver(
      files: HostFiles(), environment: CallerEnvironment(variables),
      workingDirectory: place.workspace, visible: Self.visible, workspace: place.workspace
    ).resolve(command: command, arguments: arguments)
  }

  /// Runs the program in a root of its own; `complete` false leaves the mounts out.
  private func run(
    _ program: ResolvedProgram, _ place: borrowing Place, complete: Bool = true
  ) throws -> (status: Int32, output: String) {
    var words = [
      "--unshare-all", "--die-with-parent", "--clearenv", "--proc", "/proc", "--dev", "/dev",
    ]
    words += ["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in ["bin", "lib", "lib64"] { words += ["--symlink", "usr/\(name)", "/\(name)"] }
    words += ["--ro-bind", "\(place.workspace)", "\(place.workspace)"]
    if complete {
      for read in program.reads { words += ["--ro-bind", "\(read.path)", "\(read.path)"] }
      for link in program.links {
        words += ["--symlink", String(decoding: link.target, as: UTF8.self), "\(link.path)"]
      }
    }
    words += ["--setenv", "HOME", "/root"]
    words += ["--setenv", "PATH", program.searchPath.map(\.description).joined(separator: ":")]
    for variable in program.environment {
      words += ["--setenv", variable.name, String(decoding: variable.value, as: UTF8.self)]
    }
    words += ["--chdir", "\(place.workspace)"]
    words += ["/usr/bin/bash", "-c", #"exec -a "$1" "$2" "${@:3}""#, "sh"]
    words += [String(decoding: program.arguments[0], as: UTF8.self), "\(program.executable)"]
    words += program.words.dropFirst()
    return try Self.execute("/usr/bin/bwrap", words)
  }

  @discardableResult
  private static func execute(
    _ path: String, _ arguments: [String]
  ) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  private let pyenvPath = "\(pyenv)/shims:\(pyenv)/bin:/usr/local/bin:/usr/bin:/bin"
  private var variables: [String: String] { ["HOME": "/root", "PATH": pyenvPath] }

  @Test(.enabled(if: hasPyenv, "no pyenv with Python 3.11.7 in /root/.pyenv"))
  func theShimOfPyenvLeadsToItsPython() throws {
    let place = try Place()
    try place.write(place.workspace.appending(".python-version"), "3.11.7\n")
    let program = try resolve(place, "python3", ["agent.py"], variables)
    #expect(program.executable == Path("\(Self.pyenv)/versions/3.11.7/bin/python3.11"))
    #expect(program.mounted == ["\(Self.pyenv)/versions/3.11.7"])
    #expect(program.variable("PYENV_VERSION") == "3.11.7")
  }

  @Test(.enabled(if: hasPyenv && hasBubblewrap, "needs /root/.pyenv and bwrap"))
  func itStartsWithItsMountsAndOnlyThose() throws {
    let place = try Place()
    try place.write(place.workspace.appending(".python-version"), "3.11\n")
    let code = "import ssl, json, sqlite3, sys, os; print(sys.prefix, os.listdir('/root'))"
    try place.write(place.workspace.appending("agent.py"), code)
    let program = try resolve(place, "python3", ["agent.py"], variables)
    let result = try run(program, place)
    #expect(result.status == 0)
    #expect(result.output == "\(Self.pyenv)/versions/3.11.7 ['.pyenv']\n")
    #expect(try run(program, place, complete: false).status != 0, "the mounts are what is needed")
  }

  @Test(.enabled(if: hasPyenv && hasBubblewrap, "needs /root/.pyenv and bwrap"))
  func pipStartsByItsShim() throws {
    let place = try Place()
    let program = try resolve(
      place, "pip", ["--version"], variables.merging(["PYENV_VERSION": "3.12"]) { $1 })
    let result = try run(program, place)
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output.contains("\(Self.pyenv)/versions/3.12.1/lib/python3.12"))
  }

  @Test(
    .enabled(if: hasPyenv && hasBubblewrap, "needs /root/.pyenv and bwrap"),
    arguments: ["work", "outside"])
  func aVirtualEnvironmentStarts(_ where: String) throws {
    let place = try Place()
    let venv = place.root.appending("\(`where`)/venv")
    try Self.execute(
      "\(Self.pyenv)/versions/3.11.7/bin/python3", ["-m", "venv", "--without-pip", "\(venv)"])
    let module = venv.appending("lib/python3.11/site-packages/only_here.py")
    try place.write(module, "x = 1\n")
    let code = "import only_here, ssl, sys; print(sys.prefix, sys.base_prefix)"
    let program = try resolve(place, "\(venv)/bin/python", ["-c", code], variables)
    #expect(program.executable == venv.appending("bin/python"))
    let result = try run(program, place)
    #expect(result.output == "\(venv) \(Self.pyenv)/versions/3.11.7\n")
    let active = try resolve(
      place, "python", ["-c", code],
      ["HOME": "/root", "PATH": "\(venv)/bin:\(pyenvPath)", "VIRTUAL_ENV": "\(venv)"])
    #expect(try run(active, place).output == result.output)
    #expect(active.variable("VIRTUAL_ENV") == "\(venv)")
  }

  @Test(.enabled(if: hasSystemPython && hasBubblewrap, "needs python3 of the system and bwrap"))
  func theSystemsPythonStarts() throws {
    let place = try Place()
    try place.write(
      place.outside.appending("agent.py"), "import helper, sys; print(helper.x, sys.prefix)")
    try place.write(place.outside.appending("helper.py"), "x = 42\n")
    let program = try resolve(
      place, "/usr/bin/python3", ["\(place.outside)/agent.py"], ["HOME": "/root"])
    #expect(program.mounted == ["\(place.outside)"])
    #expect(try run(program, place).output == "42 /usr\n")
    #expect(try run(program, place, complete: false).status != 0)
  }

  @Test(.enabled(if: hasNode && hasBubblewrap, "needs /usr/bin/node and bwrap"))
  func nodeStartsByAnInterpreterLine() throws {
    let place = try Place()
    try place.write(
      place.workspace.appending("agent"), "#!/usr/bin/env node\nconsole.log(process.argv[2])\n",
      executable: true)
    let program = try resolve(place, "./agent", ["hello"], variables)
    #expect(program.executable == "/usr/bin/node")
    #expect(program.words == ["node", "./agent", "hello"])
    #expect(program.reads == [])
    #expect(try run(program, place).output == "hello\n")
  }

  @Test func everyProgramOfTheSystemIsUnderstood() throws {
    let place = try Place()
    let names = try HostFiles().names(in: "/usr/bin", limit: 10_000)
    var failures: [String] = []
    for name in names where HostFiles().isProgram(Path("/usr/bin").appending(name)) {
      do throws(ProgramError) {
        let resolver = ProgramResolver(
          files: HostFiles(), environment: CallerEnvironment(["PATH": "/usr/bin"]),
          workingDirectory: place.workspace,
          visible: ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc/alternatives"],
          workspace: place.workspace)
        let program = try resolver.resolve(command: name, arguments: [])
        if !program.mounted.isEmpty { failures.append("\(shown(name)): \(program.mounted)") }
      } catch {
        // What a package forgot to bring along is the machine's matter, not ours.
        if error.reason != .interpreterMissing { failures.append(error.description) }
      }
    }
    #expect(names.count > 50)
    #expect(failures == [])
  }

  @Test func theRealFileSystemAnswersLikeTheOneInMemory() throws {
    let place = try Place()
    let files = HostFiles()
    try place.write(place.workspace.appending("file"), "0123456789")
    try FileManager.default.createSymbolicLink(
      atPath: "\(place.workspace)/link", withDestinationPath: "file")
    let file = place.workspace.appending("file")
    let link = place.workspace.appending("link")
    #expect(try files.status(file).sizeBytes == 10)
    #expect(try files.status(link).kind == .symbolicLink)
    #expect(try files.readLink(link) == Array("file".utf8))
    #expect(try files.read(file, offset: 2, limit: 3) == Array("234".utf8))
    #expect(try files.read(file, offset: 20, limit: 3) == [])
    #expect(try files.read(file, offset: UInt64.max, limit: 3) == [])
    #expect(throws: FileFailure.self) { try files.read("/dev/zero", offset: 0, limit: 3) }
    #expect(throws: FileFailure.self) { try files.read(link, offset: 0, limit: 3) }
    #expect(throws: FileFailure.missing) { try files.status(file.appending("x")) }
    #expect(throws: FileFailure.missing) { try files.names(in: "/nonexistent", limit: 1) }
    #expect(try Set(files.names(in: place.workspace, limit: 9)) == [file.name, link.name])
    #expect(try files.names(in: place.workspace, limit: 1).count == 1)
    #expect(!files.mayExecute(file))
    #expect(files.mayExecute("/usr/bin/env"))
    let pipe = "\(place.workspace)/fifo"
    try Self.execute("/usr/bin/mkfifo", [pipe])
    #expect(throws: FileFailure.self) { try files.read(Path(pipe), offset: 0, limit: 3) }
  }
}
