/// A text with `${…}` in it. What is substituted is never split, never expanded again, and never becomes
/// more than the one argument or value that the template stands for. `$${` is a literal `${`.
public struct SagaTemplate: Equatable, Sendable {
  public enum Reference: Equatable, Sendable {
    /// `${params.NAME}`
    case parameter(String)
    /// `${saga.id}`
    case sagaID
    /// `${saga.name}`
    case sagaName
    /// `${steps.STEP.outputs.NAME}`
    case output(step: String, name: String)
  }

  public enum Segment: Equatable, Sendable {
    case literal(String)
    case reference(Reference)
  }

  public let segments: [Segment]
  public let place: SagaPlace

  public var references: [Reference] {
    segments.compactMap { if case .reference(let reference) = $0 { reference } else { nil } }
  }

  /// The text, when nothing is substituted.
  public var literal: String? {
    var text = ""
    for segment in segments {
      guard case .literal(let part) = segment else { return nil }
      text += part
    }
    return text
  }

  public init(literal text: String, place: SagaPlace) {
    segments = [.literal(text)]
    self.place = place
  }

  /// - Returns: nil and the cause when the text is not a template.
  static func parse(_ text: String, place: SagaPlace) -> Result<SagaTemplate, SagaProblem> {
    var segments: [Segment] = []
    var literal = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
      literal += rest[..<dollar]
      let after = rest[dollar...]
      if after.hasPrefix("$${") {
        literal += "${"
        rest = after.dropFirst(3)
      } else if after.hasPrefix("${") {
        guard let end = after.firstIndex(of: "}") else {
          return .failure(SagaProblem("\"${\" has no \"}\"; write $${ for a literal ${"))
        }
        let name = after[after.index(after.startIndex, offsetBy: 2)..<end]
        switch reference(name) {
        case .success(let reference):
          if !literal.isEmpty { segments.append(.literal(literal)) }
          literal = ""
          segments.append(.reference(reference))
        case .failure(let problem): return .failure(problem)
        }
        rest = after[after.index(after: end)...]
      } else {
        literal += "$"
        rest = after.dropFirst()
      }
    }
    literal += rest
    if !literal.isEmpty || segments.isEmpty { segments.append(.literal(literal)) }
    return .success(SagaTemplate(segments: segments, place: place))
  }

  private init(segments: [Segment], place: SagaPlace) {
    self.segments = segments
    self.place = place
  }

  private static func reference(_ text: Substring) -> Result<Reference, SagaProblem> {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if parts == ["saga", "id"] { return .success(.sagaID) }
    if parts == ["saga", "name"] { return .success(.sagaName) }
    if parts.count == 2, parts[0] == "params", !parts[1].isEmpty {
      return .success(.parameter(parts[1]))
    }
    if parts.count == 4, parts[0] == "steps", parts[2] == "outputs", !parts[1].isEmpty,
      !parts[3].isEmpty
    {
      return .success(.output(step: parts[1], name: parts[3]))
    }
    return .failure(
      SagaProblem(
        "\"${\(text)}\" names nothing; there are ${params.NAME}, ${saga.id}, ${saga.name} and "
          + "${steps.STEP.outputs.NAME}; write $${ for a literal ${"))
  }
}

/// What templates are filled with.
struct SagaValues {
  var sagaID: String
  var sagaName: String
  var parameters: [String: String]
  /// By step and name.
  var outputs: (String, String) -> String?

  /// One argument vector; each template gives exactly one element.
  ///
  /// An element that begins with a substituted `-` is refused unless a literal `--` stands before it: the
  /// program would take data for an option.
  func arguments(_ templates: [SagaTemplate]) -> Result<[String], SagaProblem> {
    var arguments: [String] = []
    var optionsEnded = false
    for (index, template) in templates.enumerated() {
      let text: String
      switch render(template) {
      case .success(let rendered): text = rendered
      case .failure(let problem): return .failure(problem)
      }
      if !optionsEnded, text.hasPrefix("-"), case .reference = template.segments.first {
        return .failure(
          SagaProblem(
            "argument \(index) would become \(SagaText.quote(text)), which the program may take for an "
              + "option; put \"--\" before it"))
      }
      if template.literal == "--" { optionsEnded = true }
      arguments.append(text)
    }
    return .success(arguments)
  }

  func render(_ template: SagaTemplate) -> Result<String, SagaProblem> {
    var text = ""
    for segment in template.segments {
      switch segment {
      case .literal(let part): text += part
      case .reference(.sagaID): text += sagaID
      case .reference(.sagaName): text += sagaName
      case .reference(.parameter(let name)):
        guard let value = parameters[name] else {
          return .failure(SagaProblem("the parameter \(SagaText.quote(name)) has no value"))
        }
        text += value
      case .reference(.output(let step, let name)):
        guard let value = outputs(step, name) else {
          return .failure(
            SagaProblem("the output \(SagaText.quote(name)) of step \(step) is not known"))
        }
        text += value
      }
    }
    if text.utf8.count > SagaLimits.argumentMaxBytes {
      return .failure(
        SagaProblem(
          "an argument would have \(text.utf8.count) bytes; at most "
            + "\(SagaLimits.argumentMaxBytes) are passed"))
    }
    if text.utf8.contains(0) {
      return .failure(
        SagaProblem("an argument would hold a NUL byte, which no program can be given"))
    }
    return .success(text)
  }
}
