internal import YAML

/// Places lie inside the text, accessors do not trap, and a document written out again in flow
/// style with every string quoted reads as the same document.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzYAML(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let lineCount = bytes.count { $0 == 0x0A } + 1
  do {
    let documents = try YAMLParser.parseDocuments(bytes, file: "f")
    precondition(!documents.isEmpty)
    for document in documents {
      checkNode(document, lineCount: lineCount, byteCount: count)
      checkRewriting(document)
    }
    let single = try? YAMLParser.parse(bytes, file: "f")
    precondition(single == (documents.count == 1 ? documents[0] : nil))
  } catch {
    checkPlace(error.line, error.column, lineCount: lineCount, byteCount: count)
    precondition(!error.message.isEmpty)
    precondition((try? YAMLParser.parse(bytes, file: "f")) == nil)
  }
  return 0
}

private func checkPlace(_ line: Int, _ column: Int, lineCount: Int, byteCount: Int) {
  precondition((1...lineCount).contains(line) && (1...byteCount + 1).contains(column))
}

private func checkNode(_ node: YAMLNode, lineCount: Int, byteCount: Int) {
  checkPlace(node.line, node.column, lineCount: lineCount, byteCount: byteCount)
  _ = try? node.string("f")
  _ = try? node.integer("f", in: 0...10)
  _ = try? node.number("f")
  _ = try? node.boolean("f")
  _ = try? node.sizeBytes("f")
  _ = try? node.durationMilliseconds("f")
  switch node.content {
  case .scalar: break
  case .sequence(let items):
    for item in items { checkNode(item, lineCount: lineCount, byteCount: byteCount) }
  case .mapping(let entries):
    for entry in entries {
      checkNode(entry.key, lineCount: lineCount, byteCount: byteCount)
      checkNode(entry.value, lineCount: lineCount, byteCount: byteCount)
    }
    guard var reader = try? YAMLMappingReader(node, file: "f") else {
      preconditionFailure("a mapping is not a mapping")
    }
    _ = try? reader.require("name")
    try? reader.finish()
  }
}

private func checkRewriting(_ document: YAMLNode) {
  var text = ""
  write(document, to: &text)
  let limits = YAMLLimits(sizeMaxBytes: 1 << 24, depthMax: 64, nodesMax: 100_000)
  do {
    let read = try YAMLParser.parse(Array(text.utf8), file: "f", limits: limits)
    var again = ""
    write(read, to: &again)
    precondition(text == again, "rewriting changed the document")
  } catch {
    preconditionFailure("what was written is refused: \(error)")
  }
}

private func write(_ node: YAMLNode, to output: inout String) {
  switch node.content {
  case .scalar(let text, _): writeQuoted(text, to: &output)
  case .sequence(let items):
    output += "["
    for item in items {
      write(item, to: &output)
      output += ", "
    }
    output += "]"
  case .mapping(let entries):
    output += "{"
    for entry in entries {
      // An explicit key may be longer than the 1024 characters of an implicit one.
      output += "? "
      write(entry.key, to: &output)
      output += " : "
      write(entry.value, to: &output)
      output += ", "
    }
    output += "}"
  }
}

private func writeQuoted(_ text: String, to output: inout String) {
  output += "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": output += "\\\""
    case "\\": output += "\\\\"
    case " "..."~": output.unicodeScalars.append(scalar)
    default:
      let digits = String(scalar.value, radix: 16)
      output += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
    }
  }
  output += "\""
}
