internal import Foundation
internal import JSON
internal import Testing

@testable internal import Policy

/// Files of the repository.
enum Repository {
  static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: root.appending(path: path)))
  }

  static func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)
      .filter { $0.hasSuffix(".yaml") }.sorted()
  }

  static let loader: @Sendable (String) -> LoadedFile = { path in
    (try? bytes(path)).map { .bytes($0) } ?? .missing
  }

  static func policy(_ name: String) throws -> PolicySet {
    let path = "Profiles/policies/\(name).yaml"
    return try PolicySet.load(
      [PolicySource(name: path, bytes: try bytes(path))], loader: loader)
  }
}

@Suite struct ShippedPolicyTests {
  static let names = [
    "ring0", "ring1", "ring2", "ring3", "secrets", "coding-agent", "research-agent",
    "data-analyst", "ci-job", "mcp-server",
  ]

  @Test func allAreTested() throws {
    #expect(try Repository.names("Profiles/policies") == Self.names.map { $0 + ".yaml" }.sorted())
  }

  @Test(arguments: names) func isClean(_ name: String) throws {
    let path = "Profiles/policies/\(name).yaml"
    let source = PolicySource(name: path, bytes: try Repository.bytes(path))
    let output = PolicyLint.run([source], format: .text, loader: Repository.loader)
    #expect(output.text == "1 file: clean\n")
  }

  @Test(arguments: names) func passesItsTests(_ name: String) throws {
    let paths = ["Profiles/policies/\(name).yaml", "Profiles/policies/tests/\(name).yaml"]
    let sources = try paths.map { PolicySource(name: $0, bytes: try Repository.bytes($0)) }
    var options = PolicyTest.Options()
    options.isCoverage = true
    let output = PolicyTest.run(
      [sources[0]], tests: [sources[1]], options: options, loader: Repository.loader)
    #expect(output.status == 0, "\(output.text)")
    // The shared file has tests of its own.
    let missed = output.text.split(separator: "\n").filter {
      $0.contains("never hit") && (name == "secrets" || !$0.contains("secrets.yaml"))
    }
    #expect(missed.isEmpty)
  }

  /// What a ring may do, a more privileged one may do.
  @Test func ringsAreOrdered() throws {
    let rings = try (0...3).map { try Repository.policy("ring\($0)") }
    var requests = rings.flatMap { Witness.requests($0) }
    for name in ["coding-agent", "mcp-server", "data-analyst"] {
      requests += Witness.requests(try Repository.policy(name))
    }
    var random = SeededRandom(seed: 7)
    let kinds: [JSONValue] = [
      "tool.call", "policy.decide", "saga.step", "net.connect", "file.open", "ring.elevate", "x",
    ]
    for _ in 0..<3_000 {
      var fields = JSONObject()
      if random.isOneIn(8) == false { fields["kind"] = kinds.randomElement(using: &random) }
      for (name, values) in Self.values where random.isOneIn(2) {
        fields[name] = values.randomElement(using: &random)
      }
      requests.append(fields)
    }
    for fields in requests {
      let request = Request(fields)
      let verdicts = rings.map { $0.decide(request).verdict }
      #expect(verdicts == verdicts.sorted(), "\(fields) \(verdicts)")
    }
    #expect(requests.count > 3_000)
  }

  private static let values: [(String, [JSONValue])] = [
    ("tool", ["git", "read_file", ""]), ("read_only", [true, false]),
    ("reversible", [true, false]), ("mode", ["read", "write", "append", "x"]),
    ("path", ["/etc/hosts", "/etc/shadow", "/home/a/.ssh/id_rsa", "/workspace/a"]),
    ("target_ring", [0, 1, 2, 3]), ("ttl", [1_000, 300_000, 300_001]),
  ]
}

/// SplitMix64: the same numbers for the same seed.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  mutating func isOneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}
