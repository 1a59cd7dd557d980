internal import JSON

/// What a command prints and its exit status.
public struct ToolOutput: Equatable, Sendable {
  /// For standard output, with a line feed at the end.
  public var text: String
  public var status: Int32
  /// A second report that goes into a file of its own: JUnit.
  public var report: String?

  public init(text: String, status: Int32, report: String? = nil) {
    self.text = text
    self.status = status
    self.report = report
  }

  /// Files that could not be loaded.
  public static let cannotLoad: Int32 = 2

  static func json(_ value: JSONValue, status: Int32) -> ToolOutput {
    ToolOutput(
      text: String(decoding: JSONWriter.pretty(value), as: UTF8.self) + "\n", status: status)
  }

  static func refused(_ error: PolicyError, isJSON: Bool) -> ToolOutput {
    guard isJSON else {
      return ToolOutput(text: error.description + "\n", status: cannotLoad)
    }
    let problems = error.problems.map { problem -> JSONValue in
      [
        "file": .string(problem.file), "line": .integer(Int64(problem.line)),
        "column": .integer(Int64(problem.column)), "message": .string(problem.message),
      ]
    }
    return json(["error": .array(problems)], status: cannotLoad)
  }
}

/// `agt policy explain`.
public enum PolicyExplain {
  /// - Parameter request: JSON of one object.
  /// - Returns: status 0 allow, 1 deny, 3 require_approval, 2 cannot be loaded.
  public static func run(
    _ policies: [PolicySource], request: [UInt8], strategy: ConflictStrategy?, isJSON: Bool,
    loader: @escaping (String) -> LoadedFile
  ) -> ToolOutput {
    let set: PolicySet
    do {
      set = try PolicySet.load(policies, strategy: strategy, loader: loader)
    } catch {
      return .refused(error, isJSON: isJSON)
    }
    let fields: JSONObject
    do {
      guard case .object(let object) = try JSONParser.parse(request) else {
        return .refused(problem(1, 1, "a request is an object: {\"tool\": …}"), isJSON: isJSON)
      }
      fields = object
    } catch {
      guard case .malformed(_, let line, let column, let cause) = error else {
        return .refused(problem(1, 1, error.description), isJSON: isJSON)
      }
      return .refused(problem(line, column, cause), isJSON: isJSON)
    }
    let explanation = set.explain(Request(fields))
    let statuses: [Verdict: Int32] = [.allow: 0, .deny: 1, .requireApproval: 3]
    let status = statuses[explanation.decision.verdict] ?? 1
    if isJSON { return .json(explanation.json, status: status) }
    return ToolOutput(text: explanation.text, status: status)
  }

  private static func problem(_ line: Int, _ column: Int, _ message: String) -> PolicyError {
    PolicyError(
      PolicyError.Problem(file: "request", line: line, column: column, message: message))
  }
}
