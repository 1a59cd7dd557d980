internal import JSON

/// Whatever is read survives each writer, and a refusal names a place inside the text.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  do {
    let value = try JSONParser.parse(bytes)
    checkWriters(value)
  } catch {
    guard case .malformed(let offset, let line, let column, _) = error else {
      preconditionFailure("the parser threw \(error)")
    }
    precondition((0...count).contains(offset) && line >= 1 && column >= 1)
    precondition(line + column <= count + 2)
  }
  return 0
}

private func checkWriters(_ value: JSONValue) {
  // Escapes and indentation may make the text longer than what was read.
  let limits = JSONLimits(sizeMaxBytes: 1 << 24, depthMax: 32, elementsMax: 100_000)
  func read(_ bytes: [UInt8]) -> JSONValue? { try? JSONParser.parse(bytes, limits: limits) }
  precondition(read(JSONWriter.compact(value)) == value, "the compact form says something else")
  precondition(read(JSONWriter.pretty(value)) == value, "the pretty form says something else")
  guard let canonical = try? JSONWriter.canonical(value) else { return }
  precondition(read(canonical) == value, "the canonical form says something else")
  let again = read(canonical).flatMap { try? JSONWriter.canonical($0) }
  precondition(again == canonical, "the canonical form is not stable")
}
