internal import JSON
internal import Testing
internal import YAML

@testable internal import Policy

/// A page of documentation: its fenced blocks and table rows, by heading.
struct Page {
  struct Block {
    let heading: String
    /// What stands behind the three backquotes.
    let kind: String
    let text: String
  }

  var blocks: [Block] = []
  var rows: [[String]] = []
  var headings: [String] = []
  let text: String

  init(_ path: String) throws {
    text = String(decoding: try Repository.bytes(path), as: UTF8.self)
    var kind: String?
    var lines: [Substring] = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if let open = kind {
        guard line == "```" else {
          lines.append(line)
          continue
        }
        blocks.append(
          Block(heading: headings.last ?? "", kind: open, text: lines.joined(separator: "\n")))
        kind = nil
      } else if line.hasPrefix("```") {
        kind = String(line.dropFirst(3))
        lines = []
      } else if line.hasPrefix("#") {
        headings.append(String(line.drop { $0 == "#" || $0 == " " }))
      } else if line.hasPrefix("| ") {
        rows.append(
          line.split(separator: "|").map { String($0).trimmed }.filter { !$0.isEmpty })
      }
    }
  }

  /// Runs every policy with the tests behind it; returns the number of expectations.
  func run() throws -> Int {
    var count = 0
    var policy = ""
    var folders: [String: String] = [:]
    for block in blocks {
      let words = block.kind.split(separator: " ").map(String.init)
      switch words.dropFirst().first ?? words.first ?? "" {
      case "policy", "refused":
        policy = block.text
        folders = [:]
      case "folder": folders[words[2]] = block.text
      case "tests" where !folders.isEmpty: count += try runFolders(folders, block)
      case "tests":
        let output = PolicyTest.run(
          [source(policy)], tests: [source(block.text, block.heading)],
          options: PolicyTest.Options(), loader: noFiles)
        #expect(output.status == 0, "\(block.heading): \(output.text)\(policy)")
        count += block.text.split(separator: "\n").count
      case "counted": count += try runCounted(policy, block)
      case "message":
        let messages = refusals(policy)
        #expect(messages.count == 1, "\(block.heading): \(messages)")
        #expect(messages.first?.contains(block.text) == true, "\(block.heading): \(messages)")
        count += 1
      default: break
      }
    }
    return count
  }

  private func runFolders(_ folders: [String: String], _ block: Block) throws -> Int {
    let cases = try PolicyCase.read(source(block.text, block.heading))
    for test in cases {
      let set = try #require(
        try FolderPolicies.load(path: test.name, root: "/r") { path in
          folders[path].map { .bytes(Array($0.utf8)) } ?? .missing
        })
      #expect(test.failures(set.decide(Request(test.request))).isEmpty, "\(test.name)")
    }
    return cases.count
  }

  private func runCounted(_ policy: String, _ block: Block) throws -> Int {
    let set = try load(policy)
    var buckets = TokenBuckets()
    let root = try YAMLParser.parse(Array(block.text.utf8), file: block.heading)
    let items = try root.sequence(block.heading)
    for item in items {
      let value = try Reading.json(item, block.heading)
      let time = UInt64(try #require(value["at"]?.integerValue))
      let request = Request(try #require(value["request"]?.objectValue))
      let decision = set.decide(request, buckets: &buckets, nowMilliseconds: time)
      #expect(decision.verdict.name == value["expect"]?.stringValue, "\(block.heading) at \(time)")
    }
    return items.count
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }

  fileprivate var unquoted: String { filter { $0 != "`" } }
}

@Suite struct DocumentationTests {
  @Test func languagePageIsTrue() throws {
    let page = try Page("docs/policy-language.md")
    #expect(try page.run() >= 20)
    let request = try #require(page.blocks.first { $0.kind == "json request" }).text
    let values: [String: Truth] = ["yes": .yes, "no": .no, "unknown": .unknown]
    var count = 0
    for row in page.rows where row.count == 2 {
      guard let value = values[row[1]] else { continue }
      #expect(try holds(row[0].unquoted, request) == value, "\(row)")
      count += 1
    }
    #expect(count >= 35)
  }

  @Test func languagePageIsComplete() throws {
    let page = try Page("docs/policy-language.md")
    let rows = Set(page.rows.map { $0.map(\.unquoted) })
    for field in Vocabulary.fields {
      #expect(rows.contains([field.name, field.type.rawValue, field.meaning]), "\(field.name)")
    }
    for (code, meaning) in PolicyLint.codes { #expect(rows.contains([code, meaning]), "\(code)") }
    for type in FieldType.allCases { #expect(page.text.contains("`\(type.rawValue)`")) }
    for op in Operator.allCases { #expect(page.text.contains("\"\(op.rawValue)\"")) }
    for block in page.blocks where block.kind == "yaml" {
      let text = "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: x}\n" + block.text
      #expect(refusals(text).isEmpty)
    }
  }

  @Test func compatibilityPageIsTrue() throws {
    let page = try Page("docs/compatibility.md")
    #expect(try page.run() >= 100)
    let linked = page.rows.compactMap { row in
      row[0].hasPrefix("[") ? String(row[0].dropFirst().prefix { $0 != "]" }) : nil
    }
    let cases = page.headings.drop { $0 != "Cases" }.dropFirst()
    #expect(linked == Array(cases) && linked.count >= 40)
    for name in cases {
      #expect(
        page.blocks.contains { $0.heading == name && !$0.kind.hasSuffix("policy") }, "\(name)")
    }
  }
}
