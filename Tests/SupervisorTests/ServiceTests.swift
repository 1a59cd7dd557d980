import Testing
import YAML

@testable import Supervisor

/// Declarations of agents and the manager's protocol, as values.
@Suite struct ServiceTests {
  private static let head = "apiVersion: agt-run/v1\nkind: Agent\nmetadata: {name: clerk}\n"

  private func words(_ text: String) throws -> [String] {
    try AgentFile.parse(Array(text.utf8), file: "a.yaml", home: "/home/u").words.map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  private func complaint(_ text: String) -> String? {
    do throws(YAMLError) {
      _ = try AgentFile.parse(Array(text.utf8), file: "a.yaml", home: "/home/u")
      return nil
    } catch { return error.description }
  }

  @Test func aDeclarationIsACommandLine() throws {
    let text = """
      apiVersion: agt-run/v1
      kind: Agent
      metadata: {name: clerk, description: answers letters}
      ring: 2
      workspace: ~/letters:rw
      read: [/usr/share/dict, "~/a b"]
      net: ["api.example.org:443"]
      env: [MODE=fast, KEY]
      timeout: none
      pids: 64
      quiet: true
      verbose: false
      command: [python3, agent.py, "--flag", "a b"]
      """
    #expect(
      try words(text) == [
        "--ring=2", "--workspace=/home/u/letters:rw", "--read=/usr/share/dict",
        "--read=/home/u/a b", "--net=api.example.org:443", "--env=MODE=fast", "--env=KEY",
        "--timeout=none", "--pids=64", "--quiet", "--", "python3", "agent.py", "--flag", "a b",
      ])
    let declaration = try AgentFile.parse(Array(text.utf8), file: "a.yaml", home: "/home/u")
    #expect(declaration.name == "clerk")
  }

  @Test(
    arguments: [
      ("rnig: 2\ncommand: [a]", "a.yaml:4:1: unknown key \"rnig\"; did you mean \"ring\"?"),
      ("ring: 2", "a.yaml:1:1: missing key \"command\"; add it"),
      ("command: []", "a.yaml:4:10: an empty command; write [python3, agent.py]"),
      (
        "command: [a]\nworkspace: here", "a.yaml:5:12: here is no absolute path; begin with / or ~/"
      ),
      (
        "command: [a]\nmemory: 5 apples",
        "a.yaml:5:9: --memory 5 apples: unknown unit in the size \"5 apples\"; write KiB, MiB or GiB "
          + "(powers of 1024), or k, M or G (powers of 1000); --memory 512MiB"
      ),
      (
        "command: [a]\non-violation: kil",
        "a.yaml:5:15: --on-violation kil: one of deny, kill, rollback is needed; did you mean kill?"
      ),
      (
        "command: [a]\nquiet: 1", "a.yaml:5:8: expected a boolean, found \"1\"; write true or false"
      ),
      ("command: [a]\nread: /x", "a.yaml:5:7: expected a sequence"),
    ])
  func mistakesHaveAPlace(_ rest: String, _ wanted: String) {
    let text = complaint(Self.head + rest)
    #expect(text?.hasPrefix(wanted) == true, "\(text ?? "nothing")")
  }

  @Test func headsAreChecked() {
    #expect(
      complaint("apiVersion: agt-run/v2\nkind: Agent\nmetadata: {name: a}\ncommand: [a]")
        == "a.yaml:1:13: \"agt-run/v2\" is not agt-run/v1; write agt-run/v1")
    #expect(
      complaint("apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a}\ncommand: [a]")
        == "a.yaml:2:7: \"RingProfile\" is not Agent; write Agent")
    #expect(
      complaint("apiVersion: agt-run/v1\nkind: Agent\nmetadata: {name: ../a}\ncommand: [a]")?
        .hasPrefix("a.yaml:3:18: ../a: a name has") == true)
  }

  /// What `agt unit` writes says what the command line said.
  @Test func writtenDeclarationsReadBack() throws {
    let line = [
      "--ring", "2", "--workspace", ".:rw", "--read", "data", "--read", "/a\"b\\c", "--txn",
      "--env", "A=x y\n\té", "--env", "on", "-q", "--allow-executable",
      "--net=*.example.org:443",
      "--", "no", "", "- x", "{a}", "é", "1.10",
    ]
    let given = try RunOptions.words(line.map { Array($0.utf8) })
    let text = try AgentText.make(
      name: "on", options: given.given,
      command: given.command.map { String(decoding: $0, as: UTF8.self) }, directory: "/srv/x")
    let declaration = try AgentFile.parse(Array(text.utf8), file: "a.yaml", home: "/")
    #expect(declaration.name == "on")
    let back = try RunOptions.words(declaration.words)
    #expect(back.command == given.command)
    func all(_ flag: String, _ from: [(flag: String, value: String?)]) -> [String?] {
      from.filter { $0.flag == flag }.map(\.value)
    }
    #expect(all("--workspace", back.given) == ["/srv/x:rw"])
    #expect(all("--read", back.given) == ["/srv/x/data", "/a\"b\\c"])
    #expect(all("--env", back.given) == all("--env", given.given))
    #expect(all("--txn", back.given) == ["keep"])
    #expect(all("--quiet", back.given) == [nil] && all("--allow-executable", back.given) == [nil])
    #expect(all("--net", back.given) == ["*.example.org:443"])
    #expect(throws: RunError.self) {
      try AgentText.make(
        name: "a", options: [("--explain", nil)], command: ["a"], directory: "/")
    }
  }

  @Test func theCommandLineAddsToADeclaration() throws {
    let declared = AgentDeclaration(
      name: "clerk",
      words: ["--ring=2", "--read=/a", "--timeout=none", "--", "sh"].map { Array($0.utf8) })
    func parse(_ line: String) -> Result<RunOptions, RunError> {
      do throws(RunError) {
        let words = line.split(separator: " ").map { Array($0.utf8) }
        guard case .run(let options) = try RunOptions.parse(words, declaration: { _ in declared })
        else { throw RunError(.usage, "no run") }
        return .success(options)
      } catch { return .failure(error) }
    }
    let options = try parse("--agent-file f --read /b --result-json r").get()
    #expect(options.ring == "2" && options.reads == ["/b", "/a"] && options.hasNoTimeout)
    #expect(options.name == "clerk" && options.agent == "clerk" && options.resultFile == "r")
    #expect(options.command == [Array("sh".utf8)])
    #expect(try parse("--agent-file f --name other").get().name == "other")
    guard case .failure(let twice) = parse("--agent-file f --ring 1") else {
      Issue.record("--ring was taken twice")
      return
    }
    #expect(twice.message == "--ring is given, and f states it")
    guard case .failure(let program) = parse("--agent-file f -- true") else {
      Issue.record("two programs were taken")
      return
    }
    #expect(program.message == "true: --agent-file f says already what runs")
  }

  @Test func theManagersVariables() {
    func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    #expect(ServiceManager.address(bytes("/run/x")) == bytes("/run/x"))
    #expect(ServiceManager.address(bytes("@x")) == [0] + bytes("x"))
    for odd in ["", "@", "vsock:2:1234", "run/x"] {
      #expect(ServiceManager.address(bytes(odd)) == nil, "\(odd)")
    }
    func watchdog(_ environment: String...) -> UInt64? {
      ServiceManager.watchdog(environment.map(bytes), ownPid: 7)
    }
    #expect(watchdog("WATCHDOG_USEC=3000000") == 1500)
    #expect(watchdog("WATCHDOG_USEC=3000000", "WATCHDOG_PID=7") == 1500)
    #expect(watchdog("WATCHDOG_USEC=3000000", "WATCHDOG_PID=8") == nil)
    #expect(watchdog("WATCHDOG_USEC=0") == nil && watchdog("WATCHDOG_USEC=x") == nil)
    #expect(watchdog("WATCHDOG_USEC=1") == 1)
    let all = ["A=1", "NOTIFY_SOCKET=@x", "WATCHDOG_PID=1", "LISTEN_FDS=1", "NOTIFY_SOCKETS=2"]
    #expect(ServiceManager.withoutOwn(all.map(bytes)) == ["A=1", "NOTIFY_SOCKETS=2"].map(bytes))
  }

  @Test func pathsInUnitsMeanThemselves() {
    #expect(AgentUnit.escaped("/opt/a b/50%/$x'\"\\") == "/opt/a\\x20b/50%%/$$x\\x27\\x22\\x5c")
  }
}
