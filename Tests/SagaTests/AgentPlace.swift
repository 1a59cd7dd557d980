import Glibc
import JSON
import TestSupport
import Testing

/// A place with the tools, and an agent of Python's in it.
final class AgentPlace {
  static let client =
    File.read(File.parent(File.parent(File.parent(#filePath))) + "/Clients/python/agt.py") ?? ""

  static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: tools, when: kind == 'tool.call', then: allow}
      - {id: steps, when: kind == 'saga.step' and reversible, then: allow}
      - {id: no-step, when: kind == 'saga.step' and step == 'forbidden', then: deny, say: Not this step.}
      - {id: asked-step, when: kind == 'saga.step' and undo == 'unmake' and step == 'asked', then: require_approval}
      - {id: never, when: kind == 'tool.call' and args.name == 'never', then: deny, say: Not that.}
      - {id: ask, when: kind == 'tool.call' and args.name == 'ask', then: require_approval}

    """

  static func tool(
    _ name: String, _ script: String, ring: Int = 2, _ more: String = ""
  ) -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: for tests}
    ring: \(ring)
    arguments: {type: object, properties: {name: {type: string, minLength: 1}}, required: [name]}
    command: [sh, -c, "\(script)", sh, "{name}"]
    \(more)

    """
  }

  let site: SagaSite
  var scratch: Scratch { site.scratch }

  init(_ starter: Starter) {
    site = SagaSite(starter)
    scratch.write("agt.py", Self.client)
    scratch.write("policy.yaml", Self.policy)
    for (name, script, more) in [
      (
        "make", "echo make $1 >> log; touch $1",
        "undo: {tool: unmake, arguments: {name: '{name}'}}"
      ),
      (
        "unmake", "[ ! -e stuck-$1 ] || exit 9; echo undo $1 $AGT_STEP_ID >> log; rm -f $1", ""
      ),
      ("look", "cat $1", "readOnly: true"),
      (
        "burn", "echo burn $1 >> log; exit 3", "undo: {tool: unmake, arguments: {name: '{name}'}}"
      ),
      (
        "crawl", "echo crawl $1 >> log; touch $1; sleep 30; echo late >> log",
        "undo: {tool: unmake, arguments: {name: '{name}'}}"
      ),
    ] {
      scratch.write("tools-\(name).yaml", Self.tool(name, script, more))
    }
    _ = Command(["/bin/mkdir", scratch.home + "/tools"]).run()
    _ = Command.shell("mv tools-*.yaml \"$1\"/", [scratch.home + "/tools"], in: scratch.path)
      .run()
    scratch.write(
      "quick.yaml",
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: quick, description: for tests of something else than the rate}
      extends: ring2
      requests: {perSecond: 1000000, burst: 1000000, concurrentTools: 8}
      reasons: {requests: for tests of something else than the rate}
      """)
  }

  /// Where a further tool is declared, from the workspace.
  func toolFile(_ name: String) -> String { "../home/tools/\(name).yaml" }

  func command(
    _ script: String, options: [String] = [], in directory: String? = nil
  ) -> Command {
    var command = site.program(
      "agt-run",
      [
        "--profile", scratch.path + "/quick.yaml", "--quiet", "--policy",
        scratch.path + "/policy.yaml", "--tools", scratch.home + "/tools",
      ] + options + [
        "--", "/usr/bin/python3", "-c",
        "import sys, os, time, signal\nsys.path.insert(0, '\(scratch.path)')\n"
          + "import agt, asyncio\n" + script,
      ])
    if let directory { command.directory = directory }
    return command
  }

  func run(_ script: String, options: [String] = []) -> Completed {
    command(script, options: options).run()
  }

  var log: String { scratch.read("log") ?? "" }

  /// The only saga that is there.
  func saga() throws -> JSONValue {
    let all = try JSONParser.parse(site.agt(["list", "--json"]).output)
    let id = try #require(all.arrayValue?.last?["saga"]?.stringValue)
    return try site.show(id)
  }
}
