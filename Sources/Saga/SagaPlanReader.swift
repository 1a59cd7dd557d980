public import YAML

/// Reads a plan. Every error gives file, line and column, the cause and how to mend it; an unknown key
/// names the nearest one that exists.
public struct SagaPlanReader {
  private let file: String
  private var defaults = SagaDefaults()

  /// - Parameters:
  ///   - bytes: the text of the plan, YAML in UTF-8.
  ///   - file: the name that errors give.
  public static func read(_ bytes: [UInt8], file: String) throws(YAMLError) -> SagaPlan {
    // A plan of the largest size has some twenty values a step.
    let limits = YAMLLimits(sizeMaxBytes: 8 << 20, depthMax: 16, nodesMax: 1_000_000)
    let root = try YAMLParser.parse(bytes, file: file, limits: limits)
    var reader = SagaPlanReader(file: file)
    return try reader.plan(root)
  }

  private init(file: String) { self.file = file }

  private mutating func plan(_ root: YAMLNode) throws(YAMLError) -> SagaPlan {
    var reader = try YAMLMappingReader(root, file: file)
    try expect(try reader.require("apiVersion"), "agt-run/v1")
    try expect(try reader.require("kind"), "Saga")
    var metadata = try YAMLMappingReader(try reader.require("metadata"), file: file)
    var plan = SagaPlan(name: try name(try metadata.require("name")).text)
    _ = try metadata.optional("description")?.string(file)
    try metadata.finish()
    if let node = reader.optional("params") { plan.parameters = try parameters(node) }
    if let node = reader.optional("deadline") { plan.deadlineMilliseconds = try duration(node) }
    if let node = reader.optional("onFailure") { plan.onFailure = try choice(node) }
    if let node = reader.optional("onViolation") { plan.onViolation = try choice(node) }
    if let node = reader.optional("parallelism") {
      plan.parallelism = try node.integer(file, in: 1...SagaLimits.parallelismMax)
    }
    if let node = reader.optional("defaults") { defaults = try readDefaults(node) }
    let steps = try reader.require("steps")
    for node in try steps.sequence(file) { plan.steps.append(try step(node)) }
    if plan.steps.isEmpty { throw steps.error(file, "a saga needs at least one step; add one") }
    if plan.steps.count > SagaLimits.stepsMax {
      throw steps.error(
        file, "\(plan.steps.count) steps; at most \(SagaLimits.stepsMax) are run, split the saga")
    }
    if let node = reader.optional("fanOut") {
      for node in try node.sequence(file) { plan.fanOuts.append(try fanOut(node)) }
    }
    try reader.finish()
    return plan
  }

  private func readDefaults(_ node: YAMLNode) throws(YAMLError) -> SagaDefaults {
    var reader = try YAMLMappingReader(node, file: file)
    var defaults = SagaDefaults()
    defaults.runs = try runs(&reader, SagaDefaults().runs)
    if let node = reader.optional("retry") { defaults.retry = try retry(node, .never) }
    try reader.finish()
    return defaults
  }

  private func step(_ node: YAMLNode) throws(YAMLError) -> SagaStep {
    var reader = try YAMLMappingReader(node, file: file)
    let id = try name(try reader.require("id"))
    let kind: SagaStep.Kind = try choice(try reader.require("kind"))
    _ = try reader.optional("description")?.string(file)
    var needs: [SagaName] = []
    if let node = reader.optional("needs") {
      for node in try node.sequence(file) { needs.append(try name(node)) }
    }
    let run = try reader.require("run")
    let settings = try runs(&reader, defaults.runs)
    let command = try self.command(run, settings)
    var idempotency: SagaIdempotency?
    if let node = reader.optional("idempotency") {
      idempotency = try self.idempotency(node, settings)
    }
    let standard = idempotency == nil ? SagaRetry.never : .idempotent
    let retry = try reader.optional("retry").map { node throws(YAMLError) in
      try self.retry(node, defaults.retry ?? standard)
    }
    var outputs: [SagaOutput] = []
    if let node = reader.optional("outputs") {
      for entry in try node.mapping(file) { outputs.append(try output(entry)) }
    }
    let approval = try reader.optional("approval").map { node throws(YAMLError) in
      try self.approval(node)
    }
    let compensation = try reader.optional("compensate").map { node throws(YAMLError) in
      try self.compensation(node, settings)
    }
    let irreversible = try reader.optional("irreversible")?.string(file)
    let waived = try reader.optional("approvalWaived")?.string(file)
    try reader.finish()
    return SagaStep(
      id: id, kind: kind, needs: needs, command: command,
      retry: retry ?? defaults.retry ?? standard, outputs: outputs, idempotency: idempotency,
      approval: approval, compensation: compensation, irreversible: irreversible,
      approvalWaived: waived)
  }

  private func idempotency(
    _ node: YAMLNode, _ settings: SagaDefaults.Runs
  ) throws(YAMLError) -> SagaIdempotency {
    var reader = try YAMLMappingReader(node, file: file)
    let key = try template(try reader.require("key"))
    let probe = try reader.optional("probe").map { node throws(YAMLError) in
      try command(node, settings)
    }
    try reader.finish()
    return SagaIdempotency(key: key, probe: probe)
  }

  private func compensation(
    _ node: YAMLNode, _ settings: SagaDefaults.Runs
  ) throws(YAMLError) -> SagaCompensation {
    var reader = try YAMLMappingReader(node, file: file)
    let run = try reader.require("run")
    let own = try runs(&reader, settings)
    let condition: SagaCompensation.Condition =
      try reader.optional("when").map { node throws(YAMLError) in try choice(node) } ?? .started
    let retry = try reader.optional("retry").map { node throws(YAMLError) in
      try self.retry(node, .compensation)
    }
    let elevates = try reader.optional("elevates")?.string(file)
    try reader.finish()
    return SagaCompensation(
      command: try command(run, own), condition: condition, retry: retry ?? .compensation,
      elevates: elevates)
  }

  private func approval(_ node: YAMLNode) throws(YAMLError) -> SagaApproval {
    var reader = try YAMLMappingReader(node, file: file)
    let groupNode = try reader.require("group")
    let group = try groupNode.string(file)
    if group.isEmpty {
      throw groupNode.error(file, "the group is empty; name one of: getent group")
    }
    let quorum =
      try reader.optional("quorum")?.integer(file, in: 1...SagaLimits.quorumMax) ?? 1
    let expires = try duration(try reader.require("expires"))
    let counts = try reader.optional("countsRequester")?.boolean(file) ?? false
    try reader.finish()
    return SagaApproval(
      group: group, quorum: quorum, expiresMilliseconds: expires, countsRequester: counts)
  }

  private func retry(_ node: YAMLNode, _ base: SagaRetry) throws(YAMLError) -> SagaRetry {
    var reader = try YAMLMappingReader(node, file: file)
    var retry = base
    if let node = reader.optional("maxAttempts") {
      retry.attemptsMax = try node.integer(file, in: 1...SagaLimits.attemptsMax)
    }
    let initial = reader.optional("initial")
    if let initial { retry.initialMilliseconds = try duration(initial) }
    if let node = reader.optional("max") { retry.delayMaxMilliseconds = try duration(node) }
    if retry.initialMilliseconds > retry.delayMaxMilliseconds {
      if let initial {
        throw initial.error(
          file,
          "the first delay is longer than the longest one, max, which is "
            + "\(retry.delayMaxMilliseconds)ms; make one of them fit")
      }
      // Not written: a shorter max shortens it.
      retry.initialMilliseconds = retry.delayMaxMilliseconds
    }
    if let node = reader.optional("factor") { retry.factor = try number(node, 1...100) }
    if let node = reader.optional("jitter") { retry.jitter = try number(node, 0...1) }
    if let node = reader.optional("on") {
      var on = try YAMLMappingReader(node, file: file)
      retry.statuses = []
      retry.onTimeout = try on.optional("timeout")?.boolean(file) ?? false
      if let node = on.optional("exit") {
        for node in try node.sequence(file) {
          retry.statuses!.insert(try node.integer(file, in: 1...255))
        }
      }
      try on.finish()
    }
    try reader.finish()
    return retry
  }

  private func output(_ entry: YAMLNode.Entry) throws(YAMLError) -> SagaOutput {
    let name = try name(entry.key)
    var reader = try YAMLMappingReader(entry.value, file: file)
    let from = try reader.require("from")
    let source: SagaOutput.Source
    switch try from.string(file) {
    case "file":
      let path = try reader.require("path")
      source = .file(try relative(path))
    case "stdout": source = .standardOutput
    default: throw from.error(file, "an output comes from a file or from stdout; write one of them")
    }
    var size = SagaLimits.outputDefaultBytes
    if let node = reader.optional("maxBytes") {
      size = try node.integer(file, in: 1...SagaLimits.outputMaxBytes)
    }
    try reader.finish()
    return SagaOutput(name: name, source: source, sizeMaxBytes: size)
  }

  private func fanOut(_ node: YAMLNode) throws(YAMLError) -> SagaFanOut {
    var reader = try YAMLMappingReader(node, file: file)
    var steps: [SagaName] = []
    for node in try reader.require("steps").sequence(file) { steps.append(try name(node)) }
    let policy: SagaFanOut.Policy = try choice(try reader.require("policy"))
    try reader.finish()
    return SagaFanOut(steps: steps, policy: policy, place: place(node))
  }

  private func parameters(_ node: YAMLNode) throws(YAMLError) -> [SagaParameter] {
    var parameters: [SagaParameter] = []
    for entry in try node.mapping(file) {
      var reader = try YAMLMappingReader(entry.value, file: file)
      var parameter = SagaParameter(
        name: try name(entry.key), kind: try choice(try reader.require("type")))
      _ = try reader.optional("description")?.string(file)
      if let node = reader.optional("enum") {
        var choices: [String] = []
        for node in try node.sequence(file) { choices.append(try value(node, parameter)) }
        if choices.isEmpty { throw node.error(file, "nothing is allowed; name a value") }
        parameter.choices = choices
      }
      if let node = reader.optional("default") { parameter.fallback = try value(node, parameter) }
      try reader.finish()
      parameters.append(parameter)
    }
    return parameters
  }

  private func value(_ node: YAMLNode, _ parameter: SagaParameter) throws(YAMLError) -> String {
    let text = try node.string(file)
    if let problem = parameter.problem(with: text) { throw node.error(file, problem.description) }
    return text
  }
}

/// What `defaults:` gives to every step.
struct SagaDefaults {
  /// Where and how a program runs.
  struct Runs {
    var ring: Int? = 3
    var profile: String?
    var timeoutMilliseconds: UInt64?
    var graceMilliseconds = SagaLimits.graceDefaultMilliseconds
    var workspace: SagaCommand.Workspace?
    var commitsWithSaga = false
    var reads: [String] = []
    var writes: [String] = []
    var network: [SagaName] = []
    var environment: [SagaVariable] = []
    var memoryBytes: UInt64?
    var processes: UInt64?
  }

  var runs = Runs()
  var retry: SagaRetry?
}

extension SagaPlanReader {
  /// The keys that steps, compensations and `defaults` share.
  private func runs(
    _ reader: inout YAMLMappingReader, _ base: SagaDefaults.Runs
  ) throws(YAMLError) -> SagaDefaults.Runs {
    var runs = base
    let ring = reader.optional("ring")
    let profile = reader.optional("profile")
    if let ring, profile != nil {
      throw ring.error(file, "ring and profile contradict each other; leave one of them out")
    }
    if let ring {
      runs.ring = try ring.integer(file, in: 0...3)
      runs.profile = nil
    }
    if let profile {
      runs.profile = try profile.string(file)
      runs.ring = nil
    }
    if let node = reader.optional("timeout") {
      if case .scalar(let text, _) = node.content, !node.isNull {
        throw node.error(file, "a timeout has parts; write {run: \(SagaText.plain(text))}")
      }
      var timeout = try YAMLMappingReader(node, file: file)
      if let node = timeout.optional("run") { runs.timeoutMilliseconds = try duration(node) }
      if let node = timeout.optional("grace") { runs.graceMilliseconds = try duration(node) }
      try timeout.finish()
    }
    if let node = reader.optional("fs") {
      var files = try YAMLMappingReader(node, file: file)
      if let node = files.optional("mode") {
        runs.workspace = try choice(node)
        runs.commitsWithSaga = false
      }
      if let node = files.optional("commit") {
        let commit: SagaCommand.Commit = try choice(node)
        guard runs.workspace == .transaction else {
          throw node.error(
            file, "commit says when a transaction is committed; add mode: transaction")
        }
        runs.commitsWithSaga = commit == .saga
      }
      if let node = files.optional("read") { runs.reads = try strings(node) }
      if let node = files.optional("write") { runs.writes = try strings(node) }
      try files.finish()
    }
    if let node = reader.optional("net") {
      runs.network = []
      for node in try node.sequence(file) {
        runs.network.append(SagaName(try nonEmpty(node), place(node)))
      }
    }
    if let node = reader.optional("env") {
      for entry in try node.mapping(file) {
        let name = try entry.key.string(file)
        guard Self.isVariable(name), !name.hasPrefix("AGT_") else {
          throw entry.key.error(
            file, "\(SagaText.quote(name)) cannot be set; use letters, digits and _, not AGT_…")
        }
        runs.environment.removeAll { $0.name == name }
        runs.environment.append(SagaVariable(name: name, value: try template(entry.value)))
      }
    }
    if let node = reader.optional("memory") { runs.memoryBytes = try node.sizeBytes(file) }
    if let node = reader.optional("pids") {
      runs.processes = UInt64(try node.integer(file, in: 1...4_194_304))
    }
    return runs
  }

  private func command(
    _ node: YAMLNode, _ runs: SagaDefaults.Runs
  ) throws(YAMLError) -> SagaCommand {
    if case .scalar(let text, _) = node.content, !node.isNull {
      throw node.error(file, "there is no shell; write \(Self.list(of: text))")
    }
    var arguments: [SagaTemplate] = []
    for node in try node.sequence(file) { arguments.append(try template(node)) }
    if arguments.isEmpty {
      throw node.error(file, "no program is named; write [program, argument]")
    }
    if arguments[0].literal == "" {
      throw node.error(file, "the name of the program is empty; write [program, argument]")
    }
    if arguments.count > SagaLimits.argumentsMax {
      throw node.error(file, "more than \(SagaLimits.argumentsMax) arguments; pass a file instead")
    }
    var command = SagaCommand(
      arguments: arguments, ring: runs.ring, profile: runs.profile,
      timeoutMilliseconds: runs.timeoutMilliseconds, graceMilliseconds: runs.graceMilliseconds,
      workspace: runs.workspace, reads: runs.reads, writes: runs.writes, network: runs.network,
      environment: runs.environment, memoryBytes: runs.memoryBytes, processes: runs.processes,
      place: place(node))
    command.commitsWithSaga = runs.commitsWithSaga
    return command
  }

  /// The list that a line for a shell stands for, when it is but words.
  private static func list(of line: String) -> String {
    let words = line.split(separator: " ")
    let isPlain = words.allSatisfy { word in
      word.utf8.allSatisfy {
        ($0 | 32 >= 97 && $0 | 32 <= 122) || (48...57).contains($0) || "-_./=+".utf8.contains($0)
      }
    }
    return words.isEmpty || !isPlain
      ? "[program, argument]" : "[\(words.joined(separator: ", "))]"
  }

  // MARK: values

  private func place(_ node: YAMLNode) -> SagaPlace {
    SagaPlace(line: node.line, column: node.column)
  }

  private func expect(_ node: YAMLNode, _ text: String) throws(YAMLError) {
    let found = try node.string(file)
    if found != text {
      throw node.error(file, "\(SagaText.quote(found)) is not known here; write \(text)")
    }
  }

  /// Letters, digits, `-` and `_`, beginning with a letter: names become parts of file names.
  private func name(_ node: YAMLNode) throws(YAMLError) -> SagaName {
    let text = try node.string(file)
    guard SagaName.isValid(text) else {
      throw node.error(
        file,
        "\(SagaText.quote(text)) is not a name; write at most \(SagaLimits.nameMaxBytes) letters, "
          + "digits, - and _, beginning with a letter")
    }
    return SagaName(text, place(node))
  }

  private static func isVariable(_ text: String) -> Bool {
    guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
    return text.utf8.allSatisfy {
      ($0 | 32 >= 97 && $0 | 32 <= 122) || (48...57).contains($0) || $0 == UInt8(ascii: "_")
    }
  }

  private func template(_ node: YAMLNode) throws(YAMLError) -> SagaTemplate {
    let text = try node.string(file)
    switch SagaTemplate.parse(text, place: place(node)) {
    case .success(let template): return template
    case .failure(let problem): throw node.error(file, problem.description)
    }
  }

  private func strings(_ node: YAMLNode) throws(YAMLError) -> [String] {
    var strings: [String] = []
    for node in try node.sequence(file) {
      strings.append(try nonEmpty(node))
    }
    return strings
  }

  private func nonEmpty(_ node: YAMLNode) throws(YAMLError) -> String {
    let text = try node.string(file)
    if text.isEmpty { throw node.error(file, "the text is empty; leave the entry out") }
    return text
  }

  /// A path that stays below the workspace.
  private func relative(_ node: YAMLNode) throws(YAMLError) -> String {
    let path = try node.string(file)
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !path.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
      throw node.error(
        file,
        "\(SagaText.quote(path)) is not a path below the workspace; write for example out/digest")
    }
    return path
  }

  private func duration(_ node: YAMLNode) throws(YAMLError) -> UInt64 {
    let milliseconds = try node.durationMilliseconds(file)
    guard (1...SagaLimits.durationMaxMilliseconds).contains(milliseconds) else {
      throw node.error(file, "write a duration of more than nothing and at most a year")
    }
    return milliseconds
  }

  private func number(
    _ node: YAMLNode, _ range: ClosedRange<Double>
  ) throws(YAMLError) -> Double {
    let value = try node.number(file)
    guard range.contains(value) else {
      throw node.error(
        file, "write a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))")
    }
    return value
  }

  private func choice<T: RawRepresentable & CaseIterable>(
    _ node: YAMLNode
  ) throws(YAMLError) -> T where T.RawValue == String {
    let text = try node.string(file)
    if let value = T(rawValue: text) { return value }
    let names = T.allCases.map(\.rawValue)
    let hint =
      NearestName.find(text, among: names).map { "did you mean \(SagaText.quote($0))?" }
      ?? "write \(names.joined(separator: ", "))"
    throw node.error(file, "\(SagaText.quote(text)) is not known here; \(hint)")
  }
}
