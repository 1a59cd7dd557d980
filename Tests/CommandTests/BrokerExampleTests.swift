import JSON
import TestSupport
import Testing

private enum Frameworks {
  static let root = File.parent(File.parent(File.parent(#filePath)))
  static let python =
    (Binaries.environment("AGT_FRAMEWORKS") ?? root + "/.build/frameworks") + "/bin/python3"
  static let areThere =
    File.exists(python)
    && Command([python, "-c", "import langchain_core, agents"])
      .with { $0.timeoutSeconds = 120 }.run().status == 0
}

/// Examples/broker and Examples/frameworks, as anybody would run them.
@Suite struct BrokerExampleTests {
  private func site(_ example: String) -> Scratch {
    let scratch = Scratch()
    let copy = Command.shell(
      "cp -r \"$1/Examples/$2\"/. . && cp \"$1/Clients/python/agt.py\" . && cp -r \"$1/Profiles/tools\" tools",
      [Frameworks.root, example], in: scratch.path
    ).run()
    precondition(copy.status == 0, copy.summary)
    return scratch
  }

  /// Reads, writes, fetches from a server of the host's own, and asks for an approval.
  @Test(arguments: Starter.all, ["approve", "deny"]) func agent(_ starter: Starter, _ word: String)
    throws
  {
    let server = Command([
      "/usr/bin/python3", "-c",
      """
      import http.server
      class Page(http.server.BaseHTTPRequestHandler):
          def do_GET(self):
              self.send_response(200); self.send_header('Content-Length', '5'); self.end_headers()
              self.wfile.write(b'hello')
          def log_message(self, *_): pass
      s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Page)
      print('port', s.server_port, 'end', flush=True)
      s.serve_forever()
      """,
    ]).start()
    defer {
      server.signal(9)
      _ = server.wait()
    }
    #expect(server.waitForOutput("end"))
    let port = String(decoding: server.output, as: UTF8.self).split(separator: " ")[1]
    let scratch = site("broker")
    scratch.write("notes.txt", "milk, bread\n", mode: 0o644)
    let policy = try #require(scratch.read("policy.yaml"))
    scratch.write(
      "policy.yaml",
      policy.replacing(
        "{host: example.org, ports: [443]}", with: "{host: host-loopback, ports: [\(port)]}"),
      mode: 0o644)
    let running = Command.agtRun(
      [
        "--ring", "2", "--quiet", "--policy", "policy.yaml", "--tools", "tools", "--", "python3",
        "agent.py", "http://host-loopback:\(port)/",
      ], as: starter, in: scratch
    ).start()
    var id: String?
    _ = Clock.eventually(10) {
      let listed = ApprovalTests.agt(["pending", "--json"], as: starter, scratch).run()
      let all = (try? JSONParser.parse(listed.output))?.arrayValue ?? []
      id =
        all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }?["id"]?.stringValue
      return id != nil
    }
    let answered = ApprovalTests.agt([word, id ?? "none"], as: starter, scratch).run()
    #expect(answered.status == 0, "\(answered.summary)")
    let run = running.wait()
    let isYes = word == "approve"
    #expect(
      run.out.hasPrefix("read 11 characters, fetched 5 bytes: exited 0\nwrite ../outside.sh: "),
      "\(run.summary)")
    #expect(run.out.hasSuffix(isYes ? "\npublished\n" : "\nnot published: it was denied\n"))
    #expect(run.status == (isYes ? 0 : 1))
    #expect(File.exists(scratch.path + "/published-report.txt") == isYes)
    #expect(!File.exists(scratch.path + "/../outside.sh"))
  }

  /// Tools of two frameworks, in a ring without network: what is denied is not called, and the model hears why.
  @Test(
    .enabled(
      "needs Scripts/bootstrap --tests, which installs the frameworks", { Frameworks.areThere }),
    arguments: ["with_langchain.py", "with_openai_agents.py"])
  func frameworks(_ program: String) {
    var command = Command.agtRun(
      [
        "--ring", "3", "--quiet", "--policy", "policy.yaml", "--",
        Frameworks.python, program,
      ], in: site("frameworks"))
    command.timeoutSeconds = 120
    let run = command.run()
    #expect(
      run.out == """
        look_up: 12
        look_up: GovernanceDenied: Salaries are nobody's business.
        send_mail: ApprovalRequired: A person looks at mail first.
        model: That is all.

        """, "\(run.summary)")
    // The twin: without a policy for it, nothing of them is done.
    var other = Command.agtRun(
      ["--ring", "3", "--quiet", "--", Frameworks.python, program],
      in: site("frameworks"))
    other.timeoutSeconds = 120
    #expect(!other.run().out.contains("look_up: 12"))
  }
}
