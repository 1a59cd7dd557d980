import JSON
import TestSupport
import Testing

/// Steps of an agent's saga that a person approves, with what undoes them.
@Suite struct SagaApprovalTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: add, when: kind == 'tool.call' and tool == 'add', then: require_approval, say: Ask.}
      - {id: wipe, when: kind == 'tool.call' and tool == 'wipe', then: require_approval}
      - {id: remove, when: kind == 'tool.call' and tool == 'remove', then: allow}
      - {id: steps, when: kind == 'saga.step', then: allow}

    """

  private static func tool(_ name: String, _ script: String, _ more: String = "") -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: a file}
    ring: 2
    arguments: {type: object, properties: {name: {type: string}}, required: [name]}
    command: [sh, -c, '\(script)', sh, "{name}"]
    \(more)
    """
  }

  @Test(arguments: Starter.all) func approved(_ starter: Starter) throws {
    let scratch = Scratch()
    scratch.write("agt.py", BrokerClientTests.client)
    let undo = "undo: {tool: remove, arguments: {name: \"{name}\"}}"
    for (name, text) in [
      ("add", Self.tool("add", ": > \"$1\"", undo)),
      ("remove", Self.tool("remove", "rm -f \"$1\"")),
      ("wipe", Self.tool("wipe", "rm -f \"$1\"")),
    ] { scratch.write("\(name).yaml", text) }
    let running = BrokerSite(ring: 2, starter: starter).command(
      """
      sys.path.insert(0, os.getcwd())
      import agt
      with agt.saga('one') as saga:
          try: saga.tool('add', name='never')
          except agt.ApprovalRequired as error: print('required', error, flush=True)
          print(saga.tool('add', name='first', approval=True).outcome, flush=True)
          saga.step('own', undo=('wipe', {'name': 'second'}), approval=True)
          open('second', 'w').close()
          try: saga.tool('add', name='third', approval=True)
          except agt.GovernanceDenied as error: print(error)
      print(saga.state, [os.path.exists(name) for name in ('never', 'first', 'second', 'third')])
      """, policy: Self.policy,
      options: ["add", "remove", "wipe"].flatMap { ["--tools", "\($0).yaml"] }, in: scratch
    ).start()
    for (word, shown) in [
      ("approve", "undoTool: remove"), ("approve", "undoTool: wipe"), ("deny", "\"third\""),
    ] {
      var mine: JSONValue?
      _ = Clock.eventually(10) {
        let listed = ApprovalTests.agt(["pending", "--json"], as: starter, scratch).run()
        let all = (try? JSONParser.parse(listed.output))?.arrayValue ?? []
        mine = all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }
        return mine != nil
      }
      let text = mine?["text"]?.stringValue ?? ""
      #expect(text.contains(shown) && text.contains("undoCommand (untrusted): "), "\(text)")
      let id = try #require(mine?["id"]?.stringValue)
      #expect(ApprovalTests.agt([word, id], as: starter, scratch).run().status == 0)
    }
    let run = running.wait()
    #expect(
      run.out
        == "required Ask.\nexited\nit was denied\ncompleted [False, True, True, False]\n",
      "\(run.summary)")
    #expect(File.exists(scratch.path + "/first"))
  }
}
