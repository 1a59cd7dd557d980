public import AuditStore
internal import Kernel
public import Policy
public import Rings
internal import YAML

/// The command line of agt-run, parsed by hand because a library costs more than the whole rest of the
/// start (docs/decisions/0001). Unknown, repeated and contradictory flags are errors that name the flag.
public struct RunOptions: Sendable {
  public enum OnViolation: String, CaseIterable, Sendable {
    /// The call fails and the run goes on.
    case deny
    /// The run ends with status 137.
    case kill
    /// The same, and the changes to the workspace are discarded: needs a transaction.
    case rollback
  }

  public var ring: String?
  public var profileFile: String?
  public var workspace: String?
  public var workspaceAccess: RingProfile.Access?
  public var reads: [String] = []
  public var writes: [String] = []
  /// Files and folders that the program cannot change, wherever they lie.
  public var protects: [String] = []
  /// Of `--net`.
  public var network: [NetworkRule] = []
  /// Of `--policy`: files and folders.
  public var policies: [String] = []
  /// Of `--tools`: files and folders.
  public var tools: [String] = []
  /// Whose closing at the other end ends the run.
  public var tieDescriptor: Int32?
  /// The value is nil when the caller's own is taken over.
  public var environment: [(name: String, value: [UInt8]?)] = []
  /// Secrets that systemd has given, by name.
  public var credentials: [String] = []
  public var timeoutMilliseconds: UInt64?
  /// `--timeout none`: the run lasts as long as its program, whatever the profile says.
  public var hasNoTimeout = false
  /// From the signal that asks the program to end to the end.
  public var graceMilliseconds: UInt64 = 5000
  public var memoryBytes: UInt64?
  public var processes: UInt64?
  /// Of the whole run, in thousandths of a processor.
  public var cpuThousandths: UInt64?
  public var cgroup: CgroupChoice = .auto
  /// Of all of the run's processes together.
  public var cpuTimeMilliseconds: UInt64?
  /// What all of them together may write to disks.
  public var diskBytes: UInt64?
  /// Of the whole run to its broker.
  public var requests: UInt64?
  public var toolCalls: UInt64?
  /// To each destination.
  public var egressBytes: UInt64?
  /// To standard output and error together.
  public var outputBytes: UInt64?
  /// Each second, of the disks that the workspace is on.
  public var ioReadBytes: UInt64?
  public var ioWriteBytes: UInt64?
  public var scratchBytes: UInt64?
  public var onViolation: OnViolation = .deny
  /// nil: refusals are not counted.
  public var breachLevels: BreachLevels?
  /// The workspace is a transaction; nil when it is not.
  public var transaction: TransactionMode?
  /// The transaction whose changes are there already; nil for none.
  public var transactionBase: String?
  /// A commit may also bring files that something would execute or trust.
  public var allowExecutable = false
  /// A readable alias of the run, for as long as it lasts.
  public var name: String?
  /// Whose run it is, for commands that concern all runs of one agent.
  public var agent: String?
  /// Declares the program and options that are not given here.
  public var agentFile: String?
  /// When an entry of the audit log counts as written.
  public var auditSync: GroupCommitter.Mode = .group
  public var resultFile: String?
  public var statusDescriptor: Int32?
  public var degraded: Set<Degradation> = []
  public var explain = false
  public var json = false
  /// The supervisor leaves its starter when the program was executed.
  public var detach = false
  /// A detached program has a terminal.
  public var terminal = false
  public var quiet = false
  public var verbose = false
  /// The program and its arguments, as bytes.
  public var command: [[UInt8]] = []

  /// What the command line asks for.
  public enum Action: Sendable {
    case run(RunOptions)
    case help
    case version
  }

  /// - Parameters:
  ///   - arguments: without the program's own name.
  ///   - declaration: reads the file of `--agent-file`.
  public static func parse(
    _ arguments: [[UInt8]],
    declaration: (String) throws(RunError) -> AgentDeclaration = { file throws(RunError) in
      throw RunError(.usage, "--agent-file \(file): an agent's declaration is not read here")
    }
  ) throws(RunError) -> Action {
    var parser = Parser(arguments)
    return try parser.parse(declaration)
  }

  /// The options among words of a command line, one by one, and what comes after `--`.
  /// - Throws: when a value is not understood; what contradicts another is not found.
  static func words(
    _ arguments: [[UInt8]]
  ) throws(RunError) -> (given: [(flag: String, value: String?)], command: [[UInt8]]) {
    var parser = Parser(arguments)
    _ = try parser.takeAll()
    return (parser.given, parser.command)
  }
}

extension RunOptions {
  /// Why `--net HOST` would be refused; nil when it would not.
  public static func problem(ofHost host: String) -> String? {
    do throws(NetworkRule.ArgumentError) {
      _ = try NetworkRule(argument: host)
      return nil
    } catch { return error.message + (error.hint.map { "; \($0)" } ?? "") }
  }
}

private struct Parser {
  private var arguments: [[UInt8]]
  private var index = 0
  private var options = RunOptions()
  private var seen: [String] = []
  /// The file in which an option that `seen` holds was found first, when it is there as well.
  private var declaring: String?
  private(set) var given: [(flag: String, value: String?)] = []
  private(set) var command: [[UInt8]] = []

  init(_ arguments: [[UInt8]]) { self.arguments = arguments }

  mutating func parse(
    _ declaration: (String) throws(RunError) -> AgentDeclaration
  ) throws(RunError) -> RunOptions.Action {
    if let action = try takeAll() { return action }
    if let file = options.agentFile { try add(try declaration(file), file) }
    options.command = command
    try checkTogether()
    return .run(options)
  }

  /// The declaration's options after those of the command line, which may only add to them.
  private mutating func add(_ declaration: AgentDeclaration, _ file: String) throws(RunError) {
    guard command.isEmpty else {
      throw RunError(
        .usage, "\(command[0].text): --agent-file \(file) says already what runs",
        hint: "leave one of them out")
    }
    declaring = file
    arguments = declaration.words
    index = 0
    _ = try takeAll()
    if options.name == nil { options.name = declaration.name }
    if options.agent == nil { options.agent = declaration.name }
  }

  /// - Returns: what is to be done instead of a run.
  mutating func takeAll() throws(RunError) -> RunOptions.Action? {
    while index < arguments.count {
      let word = arguments[index].text
      guard word.hasPrefix("-"), word != "-" else { break }
      index += 1
      if word == "--" {
        try refuseFlagAsProgram()
        break
      }
      let equals = word.hasPrefix("--") ? word.firstIndex(of: "=") : nil
      let flag = equals.map { String(word[..<$0]) } ?? word
      let inline = equals.map { String(word[word.index(after: $0)...]) }
      switch flag {
      case "--help", "-h":
        try set(flag, inline) { _ in }
        return .help
      case "--version", "-V":
        try set(flag, inline) { _ in }
        return .version
      default:
        let start = index
        try take(flag, inline: inline)
        given.append((flag, inline ?? (index > start ? arguments[start].text : nil)))
      }
    }
    command = Array(arguments[index...])
    return nil
  }

  private func refuseFlagAsProgram() throws(RunError) {
    guard index < arguments.count, arguments[index].first == UInt8(ascii: "-") else { return }
    let word = arguments[index].text
    throw RunError(
      .usage, "\(word): an option after `--` is taken for the program to run",
      hint: "agt-run \(word) … -- program [arguments]")
  }

  private mutating func take(_ flag: String, inline: String?) throws(RunError) {
    switch flag {
    case "--ring": try once(flag, inline) { $0.ring = $1 }
    case "--profile": try once(flag, inline) { $0.profileFile = $1 }
    case "--workspace": try workspace(flag, inline)
    case "--read": options.reads.append(try path(flag, inline))
    case "--write": options.writes.append(try path(flag, inline))
    case "--protect": options.protects.append(try path(flag, inline))
    case "--net": try network(flag, inline)
    case "--policy": options.policies.append(try path(flag, inline))
    case "--tools": options.tools.append(try path(flag, inline))
    case "--tie-fd": options.tieDescriptor = Int32(try count(flag, inline, 3...1_048_575))
    case "--env": try environment(flag, inline)
    case "--credential": try options.addCredential(try path(flag, inline))
    case "--timeout": try timeout(flag, inline)
    case "--grace": options.graceMilliseconds = try duration(flag, inline)
    case "--memory": options.memoryBytes = try size(flag, inline)
    case "--tmp": options.scratchBytes = try size(flag, inline)
    case "--cpu-time": options.cpuTimeMilliseconds = try duration(flag, inline)
    case "--disk": options.diskBytes = try size(flag, inline)
    case "--requests": options.requests = try count(flag, inline, 1...1_000_000_000)
    case "--tool-calls": options.toolCalls = try count(flag, inline, 1...1_000_000_000)
    case "--egress": options.egressBytes = try size(flag, inline)
    case "--output": options.outputBytes = try size(flag, inline)
    case "--io-read":
      options.ioReadBytes = try RunOptions.bytesPerSecond(flag, try single(flag, inline))
    case "--io-write":
      options.ioWriteBytes = try RunOptions.bytesPerSecond(flag, try single(flag, inline))
    case "--cpu": options.cpuThousandths = try processors(flag, inline)
    case "--cgroup": options.cgroup = try choice(flag, inline, CgroupChoice.self)
    case "--pids": options.processes = try count(flag, inline, 1...4_194_304)
    case "--status-fd": options.statusDescriptor = Int32(try count(flag, inline, 3...1_048_575))
    case "--on-violation":
      options.onViolation = try choice(flag, inline, RunOptions.OnViolation.self)
    case "--breach": try breach(flag, inline)
    case "--txn": try transaction(flag, inline)
    case "--txn-base": try once(flag, inline) { $0.transactionBase = $1 }
    case "--allow-executable": try set(flag, inline) { $0.allowExecutable = true }
    case "--name": options.name = try label(flag, inline)
    case "--agent": options.agent = try label(flag, inline)
    case "--agent-file": try once(flag, inline) { $0.agentFile = $1 }
    case "--audit-sync":
      options.auditSync = try choice(flag, inline, GroupCommitter.Mode.self)
    case "--result-json": try once(flag, inline) { $0.resultFile = $1 }
    case "--degrade":
      options.degraded.insert(
        try choice(flag, inline, Degradation.self, repeatable: true))
    case "--explain": try set(flag, inline) { $0.explain = true }
    case "--json": try set(flag, inline) { $0.json = true }
    case "--detach", "-d": try set("--detach", inline) { $0.detach = true }
    case "--tty", "-t": try set("--tty", inline) { $0.terminal = true }
    case "--quiet", "-q": try set("--quiet", inline) { $0.quiet = true }
    case "--verbose", "-v": try set("--verbose", inline) { $0.verbose = true }
    default:
      let nearest = NearestName.find(flag, among: RunHelp.flags)
      throw RunError(
        .usage, "unknown option \(flag)",
        hint: nearest.map { "did you mean \($0)?" } ?? "agt-run --help lists the options")
    }
  }

  private func checkTogether() throws(RunError) {
    if options.quiet && options.verbose { throw contradiction("--quiet", "--verbose") }
    if options.ring != nil && options.profileFile != nil {
      throw contradiction("--ring", "--profile")
    }
    if !options.tools.isEmpty && options.policies.isEmpty {
      throw RunError(
        .usage, "--tools: without --policy no tool may be called", hint: "add --policy FILE")
    }
    if !options.tools.isEmpty && options.transaction != nil {
      throw contradiction("--tools", "--txn")
    }
    try checkTransaction()
    try options.checkLimits()
    if options.cpuThousandths != nil, options.cgroup == .none {
      throw contradiction("--cpu", "--cgroup none")
    }
    if options.terminal && !options.detach {
      throw RunError(
        .usage, "--tty goes with --detach", hint: "a program has your terminal when you have one")
    }
    if options.detach && options.explain { throw contradiction("--detach", "--explain") }
    if options.json && !options.explain {
      throw RunError(.usage, "--json goes with --explain", hint: "--result-json FILE records a run")
    }
    if options.command.isEmpty {
      throw RunError(
        .usage, "no program to run", hint: "agt-run --ring 3 -- python3 agent.py")
    }
    if options.command[0].isEmpty { throw RunError(.notFound, "the name of the program is empty") }
  }

  private func checkTransaction() throws(RunError) {
    guard options.transaction != nil else {
      if options.transactionBase != nil {
        throw RunError(
          .usage, "--txn-base goes with --txn", hint: "--txn=keep-on-success --txn-base ID")
      }
      if options.allowExecutable {
        throw RunError(
          .usage, "--allow-executable goes with --txn", hint: "--txn=commit-on-success")
      }
      if options.onViolation == .rollback {
        throw RunError(
          .usage, "--on-violation rollback needs a transaction to roll back", hint: "add --txn")
      }
      return
    }
    if options.transactionBase != nil, options.transaction == .commitOnSuccess {
      throw contradiction("--txn=commit-on-success", "--txn-base")
    }
    if options.workspaceAccess != nil { throw contradiction("--txn", "--workspace DIR:ro|rw") }
    if options.degraded.contains(.namespaces) {
      throw contradiction("--txn", "--degrade namespaces")
    }
  }

  private func contradiction(_ one: String, _ other: String) -> RunError {
    RunError(.usage, "\(one) and \(other) contradict each other", hint: "leave one of them out")
  }

  private mutating func notTwice(_ flag: String) throws(RunError) {
    if seen.contains(flag) { throw givenTwice(flag) }
    seen.append(flag)
  }

  private func givenTwice(_ flag: String) -> RunError {
    if let declaring {
      return RunError(
        .usage, "\(flag) is given, and \(declaring) states it", hint: "leave one of them out")
    }
    return RunError(.usage, "\(flag) is given twice", hint: "leave one of them out")
  }

  // MARK: values

  private mutating func value(_ flag: String, _ inline: String?) throws(RunError) -> String {
    if let inline { return inline }
    guard index < arguments.count, arguments[index] != Array("--".utf8) else {
      throw RunError(.usage, "\(flag) needs a value", hint: "agt-run --help")
    }
    guard let text = String(validating: arguments[index], as: UTF8.self) else {
      throw RunError(.usage, "\(flag): the value is not UTF-8", hint: "use a name in UTF-8")
    }
    index += 1
    return text
  }

  private mutating func single(_ flag: String, _ inline: String?) throws(RunError) -> String {
    try notTwice(flag)
    return try value(flag, inline)
  }

  private mutating func once(
    _ flag: String, _ inline: String?, _ store: (inout RunOptions, String) -> Void
  ) throws(RunError) {
    let text = try single(flag, inline)
    if text.isEmpty { throw RunError(.usage, "\(flag): the value is empty") }
    store(&options, text)
  }

  private mutating func label(_ flag: String, _ inline: String?) throws(RunError) -> String {
    let text = try single(flag, inline)
    if let reason = Label.problem(text) {
      throw RunError(.usage, "\(flag) \(text): \(reason)", hint: "\(flag) research-3")
    }
    return text
  }

  private mutating func path(_ flag: String, _ inline: String?) throws(RunError) -> String {
    let text = try value(flag, inline)
    if text.isEmpty { throw RunError(.usage, "\(flag): the value is empty") }
    return text
  }

  private mutating func set(
    _ flag: String, _ inline: String?, _ store: (inout RunOptions) -> Void
  ) throws(RunError) {
    if inline != nil { throw RunError(.usage, "\(flag) takes no value") }
    try notTwice(flag)
    store(&options)
  }

  private mutating func size(_ flag: String, _ inline: String?) throws(RunError) -> UInt64 {
    let text = try single(flag, inline)
    do throws(QuantityError) {
      let bytes = try Quantity.bytes(text)
      if bytes > 0 { return bytes }
    } catch {
      throw RunError(.usage, "\(flag) \(text): \(error.description)", hint: "\(flag) 512MiB")
    }
    throw RunError(.usage, "\(flag) \(text): nothing can run in no space", hint: "\(flag) 512MiB")
  }

  private mutating func duration(_ flag: String, _ inline: String?) throws(RunError) -> UInt64 {
    try milliseconds(flag, try single(flag, inline))
  }

  private mutating func timeout(_ flag: String, _ inline: String?) throws(RunError) {
    let text = try single(flag, inline)
    if text == "none" {
      options.hasNoTimeout = true
    } else {
      options.timeoutMilliseconds = try milliseconds(flag, text)
    }
  }

  private func milliseconds(_ flag: String, _ text: String) throws(RunError) -> UInt64 {
    do throws(QuantityError) {
      let milliseconds = try Quantity.milliseconds(text)
      if milliseconds > 0 { return milliseconds }
    } catch {
      throw RunError(.usage, "\(flag) \(text): \(error.description)", hint: "\(flag) 90s")
    }
    throw RunError(.usage, "\(flag) \(text): nothing can run in no time", hint: "\(flag) 90s")
  }

  private mutating func count(
    _ flag: String, _ inline: String?, _ range: ClosedRange<UInt64>
  ) throws(RunError) -> UInt64 {
    let text = try single(flag, inline)
    guard let number = UInt64(text), range.contains(number) else {
      throw RunError(
        .usage,
        "\(flag) \(text): a whole number from \(range.lowerBound) to \(range.upperBound) is needed")
    }
    return number
  }

  /// `0.5`, `2`: from a hundredth to a thousand, with at most three decimals.
  private mutating func processors(_ flag: String, _ inline: String?) throws(RunError) -> UInt64 {
    let text = try single(flag, inline)
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let isNumber =
      (1...2).contains(parts.count)
      && parts.allSatisfy {
        (1...4).contains($0.utf8.count) && $0.utf8.allSatisfy { (48...57).contains($0) }
      }
    let decimals = parts.count == 2 ? parts[1] : "0"
    if isNumber, decimals.utf8.count <= 3, let whole = UInt64(parts[0]) {
      let padded = decimals + String(repeating: "0", count: 3 - decimals.utf8.count)
      let thousandths = whole * 1000 + (UInt64(padded) ?? 0)
      if (10...1_000_000).contains(thousandths) { return thousandths }
    }
    throw RunError(
      .usage, "\(flag) \(text): a number of processors from 0.01 to 1000 is needed",
      hint: "\(flag) 0.5")
  }

  private mutating func choice<T: RawRepresentable & CaseIterable>(
    _ flag: String, _ inline: String?, _ type: T.Type, repeatable: Bool = false
  ) throws(RunError) -> T where T.RawValue == String {
    let text = repeatable ? try value(flag, inline) : try single(flag, inline)
    guard let choice = T(rawValue: text) else {
      let names = T.allCases.map(\.rawValue)
      throw RunError(
        .usage, "\(flag) \(text): one of \(names.joined(separator: ", ")) is needed",
        hint: NearestName.find(text, among: names).map { "did you mean \($0)?" })
    }
    return choice
  }

  private mutating func breach(_ flag: String, _ inline: String?) throws(RunError) {
    let text = try single(flag, inline)
    switch text {
    case "off": options.breachLevels = nil
    case "on": options.breachLevels = .usual
    default:
      guard let levels = BreachLevels(text) else {
        throw RunError(
          .usage,
          "\(flag) \(text): on, off or four growing numbers of points, 1 to \(BreachLevels.pointsMax), are needed",
          hint: "\(flag) \(BreachLevels.usual.text)")
      }
      options.breachLevels = levels
    }
  }

  private mutating func workspace(_ flag: String, _ inline: String?) throws(RunError) {
    var text = try single(flag, inline)
    if text.hasSuffix(":txn") {
      if options.transaction == nil { options.transaction = .keep }
      text.removeLast(4)
    }
    for access in RingProfile.Access.allCases where text.hasSuffix(":" + access.rawValue) {
      options.workspaceAccess = access
      text.removeLast(access.rawValue.utf8.count + 1)
      break
    }
    if text.isEmpty { throw RunError(.usage, "\(flag): the directory is empty", hint: "\(flag) .") }
    options.workspace = text
  }

  /// The mode is part of the word, because it may be left out.
  private mutating func transaction(_ flag: String, _ inline: String?) throws(RunError) {
    guard inline != nil else {
      try notTwice(flag)
      options.transaction = .keep
      return
    }
    options.transaction = try choice(flag, inline, TransactionMode.self)
  }

  private mutating func network(_ flag: String, _ inline: String?) throws(RunError) {
    let text = try value(flag, inline)
    do throws(NetworkRule.ArgumentError) {
      options.network.append(try NetworkRule(argument: text))
    } catch {
      throw RunError(.usage, "\(flag) \(text): \(error.message)", hint: error.hint)
    }
  }

  private mutating func environment(_ flag: String, _ inline: String?) throws(RunError) {
    let text = try value(flag, inline)
    let equals = text.firstIndex(of: "=")
    let name = equals.map { String(text[..<$0]) } ?? text
    guard !name.isEmpty, !name.utf8.contains(0) else {
      throw RunError(
        .usage, "\(flag) \(text): a name is needed", hint: "\(flag) NAME=VALUE, or \(flag) NAME")
    }
    options.environment.append(
      (name, equals.map { Array(text[text.index(after: $0)...].utf8) }))
  }
}
