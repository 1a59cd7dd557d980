internal import Foundation
internal import JSON
internal import Testing

@testable internal import Policy

/// Cedar's own engine in a Python process.
enum Cedar {
  static let folder = FileManager.default.temporaryDirectory.appending(path: "agt-cedar-venv")

  static var python: URL { folder.appending(path: "bin/python") }

  /// Whether the environment could be made; it is kept for the next run.
  static let isAvailable: Bool = {
    if run(python, ["-c", "import cedarpy"]) != nil { return true }
    let system = URL(filePath: "/usr/bin/env")
    guard run(system, ["python3", "-m", "venv", folder.path]) != nil else { return false }
    return run(python, ["-m", "pip", "install", "--quiet", "cedarpy==4.12.2"]) != nil
      || run(python, ["-m", "pip", "install", "--quiet", "cedarpy"]) != nil
  }()

  /// Standard output, or nil when the program failed.
  static func run(_ program: URL, _ arguments: [String], input: URL? = nil) -> Data? {
    let process = Process()
    let output = Pipe()
    process.executableURL = program
    process.arguments = arguments
    process.standardOutput = output
    if let input {
      guard let handle = try? FileHandle(forReadingFrom: input) else { return nil }
      process.standardInput = handle
    } else {
      process.standardError = FileHandle.nullDevice
    }
    guard (try? process.run()) != nil else { return nil }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? data : nil
  }
}

@Suite struct CedarDifferentialTests {
  static let setCount = 500
  static let requestCount = 25

  /// Default deny, deny wins, conditions with and, or, not, comparisons, sets, prefixes, networks
  /// and has: the subset in which both languages mean the same.
  @Test(.enabled(if: Cedar.isAvailable, "cedarpy cannot be installed: no Python or no PyPI"))
  func decidesAsCedarDoes() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 8), isTotal: true)
    var lines = ""
    var ours: [[Bool]] = []
    var texts: [String] = []
    for _ in 0..<Self.setCount {
      var rules: [String] = []
      var cedar = ""
      for number in 0..<Int.random(in: 1...5, using: &policies.random) {
        let condition = policies.condition()
        let isAllow = !policies.random.isOneIn(3)
        rules.append(
          "  - {id: r\(number), when: \"\(condition.ours)\", then: \(isAllow ? "allow" : "deny")}")
        cedar +=
          "\(isAllow ? "permit" : "forbid")(principal, action, resource) "
          + "when { \(condition.cedar) };\n"
      }
      let text = native(rules.joined(separator: "\n"), extra: RandomPolicies.fields)
      let set = try load(text)
      let requests = (0..<Self.requestCount).map { _ in policies.request(isComplete: true) }
      ours.append(requests.map { set.decide(Request($0)).verdict == .allow })
      texts.append(text + cedar)
      let line: JSONValue = [
        "policies": .string(cedar), "contexts": .array(requests.map(JSONValue.object)),
      ]
      lines += String(decoding: JSONWriter.compact(line), as: UTF8.self) + "\n"
    }
    let file = FileManager.default.temporaryDirectory
      .appending(path: "agt-cedar-\(ProcessInfo.processInfo.processIdentifier).jsonl")
    try Data(lines.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let script = Repository.root.appending(path: "Tests/PolicyTests/cedar_decisions.py")
    let output = try #require(Cedar.run(Cedar.python, [script.path], input: file))
    let answers = output.split(separator: 0x0A)
    #expect(answers.count == Self.setCount)
    var allowed = 0
    for (index, answer) in answers.enumerated() {
      let theirs = try JSONParser.parse(Array(answer)).arrayValue?.compactMap(\.boolValue) ?? []
      #expect(theirs == ours[index], "\(texts[index])")
      allowed += theirs.count(where: \.self)
    }
    // Both answers occur, or nothing was compared.
    let total = Self.setCount * Self.requestCount
    #expect(total >= 10_000 && allowed > total / 10 && allowed < total * 9 / 10)
  }
}
