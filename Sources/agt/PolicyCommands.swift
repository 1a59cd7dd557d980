public import ArgumentParser
public import Policy
internal import Supervisor

/// `agt policy`: for people who write policies and for CI jobs that check them.
struct PolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy",
    abstract: "Lints, tests, explains and compares policies.",
    discussion: "The language is described in docs/policy-language.md.",
    subcommands: [
      PolicyLintCommand.self, PolicyTestCommand.self, PolicyExplainCommand.self,
      PolicyDiffCommand.self,
    ])
}

struct PolicyLintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint",
    abstract: "Shows what is wrong or suspicious in policies.",
    discussion: "Exit status: 0 clean, 1 findings, 2 a file cannot be loaded.")

  @Argument(help: ArgumentHelp("Policy files, or folders of them.", valueName: "file|dir"))
  var paths: [String]

  @Option(help: ArgumentHelp("text, json or sarif.", valueName: "format"))
  var format: PolicyLint.Format = .text

  @Flag(help: "Take the files for one set, as --policy does, and compare their rules.")
  var set = false

  func run() throws {
    let sources = try PolicyInput.read(paths)
    try PolicyInput.end(
      PolicyLint.run(sources, format: format, isSet: set, loader: PolicyFiles.loader))
  }
}

/// The name that people know from the Agent Governance Toolkit.
struct LintPolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint-policy", abstract: "The same as \"agt policy lint\".")

  @OptionGroup var lint: PolicyLintCommand

  func run() throws { try lint.run() }
}

struct PolicyTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Runs tests of policies.",
    discussion: "Exit status: 0 all pass, 1 some fail, 2 a file cannot be loaded.")

  @Option(
    help: ArgumentHelp("Policy file, or folder of them; may be repeated.", valueName: "file|dir"))
  var policy: [String] = []

  @Argument(
    help: ArgumentHelp(
      "Test files. Without --policy the first one is the policy.", valueName: "tests"))
  var tests: [String]

  @Option(help: "How toolkit documents settle several matching rules.")
  var strategy: ConflictStrategy?

  @Flag(help: "Name the rules that no test hits.")
  var coverage = false

  @Option(help: ArgumentHelp("Also write a JUnit report.", valueName: "file"))
  var junit: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if policy.isEmpty && tests.count < 2 {
      throw ValidationError("no policy is named; add --policy FILE")
    }
  }

  func run() throws {
    let policies = policy.isEmpty ? [tests[0]] : policy
    let files = policy.isEmpty ? Array(tests.dropFirst()) : tests
    var options = PolicyTest.Options()
    options.strategy = strategy
    options.isCoverage = coverage
    options.isJSON = json
    options.isJUnit = junit != nil
    let output = PolicyTest.run(
      try PolicyInput.read(policies), tests: try PolicyInput.read(files),
      options: options, loader: PolicyFiles.loader)
    if let junit, let report = output.report {
      try Printing.attempt { () throws(RunError) in
        try OperatorFiles.write(Array(report.utf8), to: junit)
      }
    }
    try PolicyInput.end(output)
  }
}

struct PolicyExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Shows how a request is decided, and why.",
    discussion: """
      Exit status: 0 allow, 1 deny, 3 require_approval, 2 a file or the request cannot be loaded.
      """)

  @Option(
    help: ArgumentHelp("Policy file, or folder of them; may be repeated.", valueName: "file|dir"))
  var policy: [String]

  @Option(
    help: ArgumentHelp("The request as JSON, @FILE, or - for standard input.", valueName: "json"))
  var request: String

  @Option(help: "How toolkit documents settle several matching rules.")
  var strategy: ConflictStrategy?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let bytes: [UInt8]
    if request == "-" {
      bytes = try Printing.attempt { () throws(RunError) in try OperatorFiles.standardInput() }
    } else if request.hasPrefix("@") {
      bytes = try Printing.attempt { () throws(RunError) in
        try OperatorFiles.read(String(request.dropFirst()))
      }
    } else {
      bytes = Array(request.utf8)
    }
    try PolicyInput.end(
      PolicyExplain.run(
        try PolicyInput.read(policy), request: bytes, strategy: strategy, isJSON: json,
        loader: PolicyFiles.loader))
  }
}

struct PolicyDiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Shows what two policies decide differently, with example requests.",
    discussion: """
      Requests are made from the conditions of both policies; a difference that none of them meets
      is not shown. Exit status: 0 no difference found, 1 differences, 2 a file cannot be loaded.
      """)

  @Argument(help: ArgumentHelp("Policy file, or folder of them.", valueName: "old"))
  var old: String

  @Argument(help: ArgumentHelp("Policy file, or folder of them.", valueName: "new"))
  var new: String

  @Option(help: "How toolkit documents settle several matching rules.")
  var strategy: ConflictStrategy?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try PolicyInput.end(
      PolicyDiff.run(
        old: try PolicyInput.read([old]), new: try PolicyInput.read([new]), strategy: strategy,
        isJSON: json, loader: PolicyFiles.loader))
  }
}

extension PolicyLint.Format: ExpressibleByArgument {}
extension ConflictStrategy: ExpressibleByArgument {}
