import JSON
import TestSupport
import Testing

/// Conversations in documents, and whether a real one is the same.
enum DocumentedExchange {
  static func text(_ document: String) -> String {
    File.read(File.parent(File.parent(File.parent(#filePath))) + "/docs/" + document) ?? ""
  }

  /// The lines of the fenced blocks of one language.
  static func blocks(_ language: String, of document: String) -> [[String]] {
    var all: [[String]] = []
    var current: [String]?
    for line in text(document).split(separator: "\n", omittingEmptySubsequences: false) {
      if line == "```" {
        if let block = current { all.append(block) }
        current = nil
      } else if line == "```" + language {
        current = []
      } else {
        current?.append(String(line))
      }
    }
    return all
  }

  /// `…` in the document stands for anything.
  static func isMatch(_ real: String, _ written: String) throws -> Bool {
    isMatch(
      try JSONParser.parse(Array(real.utf8)), try JSONParser.parse(Array(written.utf8)))
  }

  private static func isMatch(_ real: JSONValue, _ written: JSONValue) -> Bool {
    if written == "…" { return true }
    switch (real, written) {
    case (.object(let real), .object(let written)):
      return real.members.map(\.name) == written.members.map(\.name)
        && zip(real.members, written.members).allSatisfy { isMatch($0.value, $1.value) }
    case (.array(let real), .array(let written)):
      return real.count == written.count && zip(real, written).allSatisfy { isMatch($0, $1) }
    default: return real == written
    }
  }
}

/// The conversations of docs/broker-protocol.md are real ones.
@Suite struct BrokerDocumentTests {
  private static let document = "broker-protocol.md"

  @Test func exchanges() throws {
    // Those about tools and leases have policies of their own.
    let policies = DocumentedExchange.blocks("yaml", of: Self.document).map {
      $0.joined(separator: "\n") + "\n"
    }
    let tool =
      try #require(DocumentedExchange.blocks("tool", of: Self.document).first).joined(
        separator: "\n") + "\n"
    let blocks = DocumentedExchange.blocks("exchange", of: Self.document)
    #expect(blocks.count == 5 && policies.count == 3)
    let used = [policies[0], policies[0], policies[1], policies[1], policies[2]]
    for (block, policy) in zip(blocks, used) {
      let asked = block.filter { $0.hasPrefix("→ ") }.map { String($0.dropFirst(2)) }
      let written = block.filter { $0.hasPrefix("← ") }.map { String($0.dropFirst(2)) }
      #expect(asked.count == written.count && asked.count * 2 == block.count)
      let scratch = Scratch()
      scratch.write("tool.yaml", tool)
      scratch.write("lines", asked.joined(separator: "\n") + "\n")
      let run = BrokerSite(ring: 3, starter: .native).command(
        """
        s = connect()
        for line in open('lines', 'rb'):
            s.sendall(line)
            reply = b''
            while not reply.endswith(b'\\n'): reply += s.recv(65536)
            sys.stdout.buffer.write(reply)
        """, policy: policy, options: ["--tools", "tool.yaml"], in: scratch, rate: nil
      ).run()
      let real = run.out.split(separator: "\n").map(String.init)
      #expect(real.count == written.count, "\(run.summary)")
      for (real, written) in zip(real, written) {
        #expect(try DocumentedExchange.isMatch(real, written), "\(real)\nis not\n\(written)")
      }
    }
  }

  /// The table of codes is the program's.
  @Test func codes() {
    for code in ["malformed", "held", "rate_limited", "descriptors", "not_permitted"] {
      #expect(DocumentedExchange.text(Self.document).contains("| `\(code)` | -32"))
    }
  }
}
