internal import CYAML

/// One event of libyaml in Swift's types, with the 1-based place where it starts.
struct YAMLEvent {
  enum Kind {
    case streamStart, streamEnd, documentStart, documentEnd
    case scalar(String, YAMLNode.ScalarStyle)
    case sequenceStart, sequenceEnd, mappingStart, mappingEnd
  }

  let kind: Kind
  let line: Int
  let column: Int
}

/// Pulls events from libyaml and refuses those that have no place in a configuration file.
///
/// Safe to use once made: what is unsafe is the initialiser, which borrows a buffer.
@safe struct YAMLEventReader: ~Copyable {
  // libyaml keeps a pointer to the parser inside the parser, so its address must not change.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let event: UnsafeMutablePointer<yaml_event_t>
  private let text: YAMLText
  private let file: String

  /// - Parameter buffer: Checked by `YAMLText`; must outlive the reader.
  @unsafe init(_ buffer: UnsafeBufferPointer<UInt8>, text: YAMLText, file: String) {
    // SAFETY: both are owned by this value and released once, in deinit.
    unsafe parser = UnsafeMutablePointer.allocate(capacity: 1)
    unsafe event = UnsafeMutablePointer.allocate(capacity: 1)
    self.text = text
    self.file = file
    // SAFETY: initialize fills the whole structure; it fails only when memory is exhausted.
    let isInitialized = unsafe yaml_parser_initialize(parser) == 1
    precondition(isInitialized, "out of memory")
    // SAFETY: an enum is stored.
    unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    let body = unsafe UnsafeBufferPointer(rebasing: buffer[text.byteOrderMarkLength...])
    if let base = body.baseAddress {
      // SAFETY: the caller keeps the buffer alive as long as this value.
      unsafe yaml_parser_set_input_string(parser, base, body.count)
    } else {
      // SAFETY: libyaml asserts a non-null pointer, and reads none of its 0 bytes.
      unsafe yaml_parser_set_input_string(parser, UnsafePointer(bitPattern: 1)!, 0)
    }
  }

  deinit {
    // SAFETY: initialised in init; no event is alive, `next` deletes each before it returns.
    unsafe yaml_parser_delete(parser)
    unsafe parser.deallocate()
    unsafe event.deallocate()
  }

  /// The next event. Not to be called again after an error or `streamEnd`.
  func next() throws(YAMLError) -> YAMLEvent {
    // SAFETY: the parser is initialised; the event is written by libyaml before it is read.
    guard unsafe yaml_parser_parse(parser, event) == 1 else { throw problem() }
    // SAFETY: libyaml initialised the event; it is deleted once, after its contents are copied.
    defer { unsafe yaml_event_delete(event) }
    let (line, column) = unsafe place(event.pointee.start_mark)
    let kind = try kind(line: line, column: column)
    if let tab = text.tabIndentedLines[line], tab.contentColumn == column, kind.isNodeStart {
      throw tabError(line: line, column: tab.tabColumn)
    }
    return YAMLEvent(kind: kind, line: line, column: column)
  }

  private func kind(line: Int, column: Int) throws(YAMLError) -> YAMLEvent.Kind {
    // SAFETY: in each case the member of the union that belongs to the event's type is read.
    switch unsafe event.pointee.type {
    case YAML_STREAM_START_EVENT: return .streamStart
    case YAML_STREAM_END_EVENT: return .streamEnd
    case YAML_DOCUMENT_START_EVENT:
      let directives = unsafe event.pointee.data.document_start.tag_directives
      if unsafe directives.start != directives.end {
        throw error(line, column, "%TAG directives are not supported; remove the directive")
      }
      return .documentStart
    case YAML_DOCUMENT_END_EVENT: return .documentEnd
    case YAML_ALIAS_EVENT:
      throw error(line, column, "aliases (*name) are not supported; write the value out in full")
    case YAML_SCALAR_EVENT:
      let scalar = unsafe event.pointee.data.scalar
      try unsafe refuse(anchor: scalar.anchor, tag: scalar.tag, line, column)
      let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let text = unsafe String(decoding: bytes, as: UTF8.self)
      // Only escapes can bring in what YAMLText has not seen.
      if unsafe scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE, Self.holdsControl(text) {
        throw error(
          line, column, "the string holds an escaped control character; remove it from the string")
      }
      return .scalar(text, unsafe Self.style(scalar.style))
    case YAML_SEQUENCE_START_EVENT:
      let start = unsafe event.pointee.data.sequence_start
      try unsafe refuse(anchor: start.anchor, tag: start.tag, line, column)
      return .sequenceStart
    case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
    case YAML_MAPPING_START_EVENT:
      let start = unsafe event.pointee.data.mapping_start
      try unsafe refuse(anchor: start.anchor, tag: start.tag, line, column)
      return .mappingStart
    case YAML_MAPPING_END_EVENT: return .mappingEnd
    default: throw error(line, column, "unexpected content; remove it")
    }
  }

  /// Tags are refused even where they name a core type: what a value means is decided by the key
  /// that holds it, and a file with two ways to say it can be read in two ways.
  @unsafe private func refuse(
    anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?,
    _ line: Int, _ column: Int
  ) throws(YAMLError) {
    if unsafe anchor != nil {
      throw error(line, column, "anchors (&name) are not supported; remove the anchor")
    }
    if unsafe tag != nil {
      throw error(
        line, column,
        "tags (!name) are not supported; write the value without the tag, "
          + "or in quotes if the text starts with \"!\"")
    }
  }

  /// Whether a control character other than tab and line feed is in the text.
  private static func holdsControl(_ text: String) -> Bool {
    text.unicodeScalars.contains { scalar in
      switch scalar.value {
      case 0x09, 0x0A: false
      case 0..<0x20, 0x7F..<0xA0: true
      default: false
      }
    }
  }

  private static func style(_ style: yaml_scalar_style_t) -> YAMLNode.ScalarStyle {
    switch style {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE, YAML_DOUBLE_QUOTED_SCALAR_STYLE: .quoted
    case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: .block
    default: .plain
    }
  }

  private func problem() -> YAMLError {
    // SAFETY: libyaml's texts are static, NUL-terminated strings of ASCII.
    let report = unsafe parser.pointee
    let problem = unsafe report.problem.map { unsafe String(cString: $0) } ?? "out of memory"
    let context = unsafe report.context.map { unsafe String(cString: $0) }
    let (line, column) = unsafe place(report.problem_mark)
    if let tab = text.tabIndentedLines[line], column <= tab.contentColumn {
      return tabError(line: line, column: tab.tabColumn)
    }
    let start = unsafe place(report.context_mark)
    return YAMLProblem(
      problem: problem, context: context, line: line, column: column,
      contextLine: start.line, contextColumn: start.column
    ).error(file: file)
  }

  private func place(_ mark: yaml_mark_t) -> (line: Int, column: Int) {
    text.place(line: Int(mark.line), column: Int(mark.column))
  }

  private func tabError(line: Int, column: Int) -> YAMLError {
    error(line, column, "tab used for indentation; indent with spaces")
  }

  private func error(_ line: Int, _ column: Int, _ message: String) -> YAMLError {
    YAMLError(file: file, line: line, column: column, message: message)
  }
}

extension YAMLEvent.Kind {
  fileprivate var isNodeStart: Bool {
    switch self {
    case .scalar, .sequenceStart, .mappingStart: true
    default: false
    }
  }
}
