internal import JSON
internal import YAML

/// `agt policy lint`: what is wrong or suspicious in policy files.
public enum PolicyLint {
  public enum Format: String, Sendable, CaseIterable { case text, json, sarif }

  public struct Finding: Equatable, Sendable {
    /// Stable name, see docs/policy-language.md.
    public let code: String
    public let place: Place
    public let message: String
    /// Whether the file cannot be loaded.
    public let isError: Bool
  }

  /// The checks and what they are about, for SARIF and the documentation.
  public static let codes: KeyValuePairs<String, String> = [
    "cannot-load": "The file is not a policy that can be loaded",
    "remark": "Part of the file has no effect",
    "allow-everything": "A rule allows every request",
    "never-true": "A condition can never hold",
    "unreachable-rule": "Another rule always decides instead",
    "duplicate-id": "Two rules have the same id",
    "deny-on-missing-field": "A rule also restricts requests that lack a field",
    "approval-without-approvers": "Nobody is named who could approve",
    "public-suffix-wildcard": "A host wildcard covers domains of strangers",
    "wide-network": "A network is reached that is not one service",
    "path-prefix": "A path is compared as text",
    "relative-path": "A path is compared that requests do not have",
    "interpreter-without-arguments": "An interpreter is allowed whatever it runs",
    "blank-in-name": "A text has blanks at its ends",
    "letter-case": "Two texts differ only in letter case",
    "yaml-trap": "YAML versions read a value differently",
    "mixed-defaults": "The order of files decides what happens by default",
  ]

  /// - Parameters:
  ///   - sources: Each with what it extends.
  ///   - isSet: Whether the files are loaded together, so that their rules are compared.
  /// - Returns: status 0 clean, 1 findings, 2 cannot be loaded.
  public static func run(
    _ sources: [PolicySource], format: Format, isSet: Bool = false,
    loader: @escaping (String) -> LoadedFile
  ) -> ToolOutput {
    let findings = check(sources, isSet: isSet, loader: loader)
    let status: Int32 = findings.contains(where: \.isError) ? 2 : findings.isEmpty ? 0 : 1
    switch format {
    case .text: return ToolOutput(text: text(findings, sources.count), status: status)
    case .json: return .json(json(findings), status: status)
    case .sarif: return .json(SARIF.report(findings), status: status)
    }
  }

  public static func check(
    _ sources: [PolicySource], isSet: Bool = false, loader: @escaping (String) -> LoadedFile
  ) -> [Finding] {
    guard !sources.isEmpty else {
      return [
        Finding(
          code: "cannot-load", place: Place(file: "policy", line: 1, column: 1),
          message: "no policy file was found; name a .yaml file", isError: true)
      ]
    }
    var findings: [Finding] = []
    for group in isSet ? [sources] : sources.map({ [$0] }) {
      do throws(PolicyError) {
        findings += try PolicySet.load(group, loader: loader).lint()
      } catch {
        findings += error.problems.map { problem in
          Finding(
            code: "cannot-load",
            place: Place(file: problem.file, line: problem.line, column: problem.column),
            message: problem.message, isError: true)
        }
      }
    }
    for source in sources {
      guard let root = try? YAMLParser.parse(source.bytes, file: source.name) else { continue }
      findings += YAMLTraps.find(root, source.name)
    }
    return sorted(findings)
  }

  private static func sorted(_ findings: [Finding]) -> [Finding] {
    var unique: [Finding] = []
    for finding in findings where !unique.contains(finding) { unique.append(finding) }
    return unique.sorted {
      ($0.place.file, $0.place.line, $0.place.column, $0.code)
        < ($1.place.file, $1.place.line, $1.place.column, $1.code)
    }
  }

  private static func text(_ findings: [Finding], _ fileCount: Int) -> String {
    var lines = findings.map { finding in
      "\(finding.place.file):\(finding.place.line):\(finding.place.column): "
        + "\(finding.isError ? "error" : "warning"): \(finding.message) [\(finding.code)]"
    }
    let files = fileCount == 1 ? "1 file" : "\(fileCount) files"
    lines.append(findings.isEmpty ? "\(files): clean" : "\(files): \(findings.count) findings")
    return lines.joined(separator: "\n") + "\n"
  }

  private static func json(_ findings: [Finding]) -> JSONValue {
    let errors = findings.count(where: \.isError)
    return [
      "passed": .bool(findings.isEmpty), "errors": .integer(Int64(errors)),
      "warnings": .integer(Int64(findings.count - errors)),
      "messages": .array(
        findings.map { finding in
          [
            "severity": .string(finding.isError ? "error" : "warning"),
            "code": .string(finding.code), "message": .string(finding.message),
            "file": .string(finding.place.file), "line": .integer(Int64(finding.place.line)),
            "column": .integer(Int64(finding.place.column)),
          ]
        }),
    ]
  }
}

/// SARIF 2.1.0 (OASIS), as code-scanning services read it.
enum SARIF {
  static func report(_ findings: [PolicyLint.Finding]) -> JSONValue {
    let rules = PolicyLint.codes.map { code, text -> JSONValue in
      ["id": .string(code), "shortDescription": ["text": .string(text)]]
    }
    let results = findings.map { finding -> JSONValue in
      [
        "ruleId": .string(finding.code), "level": .string(finding.isError ? "error" : "warning"),
        "message": ["text": .string(finding.message)],
        "locations": [
          [
            "physicalLocation": [
              "artifactLocation": ["uri": .string(finding.place.file)],
              "region": [
                "startLine": .integer(Int64(finding.place.line)),
                "startColumn": .integer(Int64(finding.place.column)),
              ],
            ]
          ]
        ],
      ]
    }
    return [
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
      "runs": [
        [
          "tool": ["driver": ["name": "agt policy lint", "rules": .array(rules)]],
          "results": .array(results), "columnKind": "unicodeCodePoints",
        ]
      ],
    ]
  }
}

/// Values that YAML 1.1 and 1.2 read differently.
enum YAMLTraps {
  private static let booleans: Set<String> = ["yes", "no", "on", "off"]

  static func find(_ node: YAMLNode, _ file: String) -> [PolicyLint.Finding] {
    switch node.content {
    case .sequence(let items): return items.flatMap { find($0, file) }
    case .mapping(let entries):
      return entries.flatMap { find($0.key, file) + find($0.value, file) }
    case .scalar(let text, .plain):
      guard let cause = cause(text) else { return [] }
      return [
        PolicyLint.Finding(
          code: "yaml-trap", place: Place(file: file, line: node.line, column: node.column),
          message: "\(text) is \(cause) in YAML 1.1 and text here; put it into quotes",
          isError: false)
      ]
    case .scalar: return []
    }
  }

  private static func cause(_ text: String) -> String? {
    if booleans.contains(text.lowercased()) { return "a boolean" }
    let digits = text.utf8.filter(ConditionLexer.isDigit).count
    let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
    if digits > 0 && colons > 0 && digits + colons == text.utf8.count {
      return "a number to the base of 60"
    }
    return nil
  }
}
