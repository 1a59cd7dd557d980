internal import CPCRE2

/// A compiled regular expression (pcre2pattern(3)) with bounds on the steps of a match.
@safe final class Pattern: @unchecked Sendable {
  // SAFETY: written once in init; pcre2api(3), "Multithreading": compiled code is read-only while
  // matching, and the JIT code is attached in init.
  private let code: OpaquePointer
  let text: String
  /// Whether machine code is used; where memory cannot be made executable, the interpreter is.
  let isCompiledToMachineCode: Bool

  struct Problem: Error, Equatable {
    /// In bytes of the expression.
    let offset: Int
    let message: String
  }

  /// - Throws: what PCRE2 says, or that the expression takes too many steps on a short text.
  init(_ text: String) throws(Problem) {
    if text.utf8.count > PolicyLimits.patternMaxBytes {
      throw Problem(
        offset: 0,
        message: "more than \(PolicyLimits.patternMaxBytes) bytes; write several rules")
    }
    self.text = text
    var errorNumber: CInt = 0
    var errorOffset = 0
    // Python's re reads \d, \w and \b by Unicode, and so do published packs.
    let options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C
    let bytes = Array(text.utf8)
    // SAFETY: the buffer and its length belong together; both results are written before return.
    let compiled = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe pcre2_compile_8(
        buffer.baseAddress ?? UnsafePointer(bitPattern: 1)!, buffer.count, options, &errorNumber,
        &errorOffset, nil)
    }
    guard let compiled = unsafe compiled else {
      throw Problem(offset: errorOffset, message: Self.message(errorNumber))
    }
    unsafe code = compiled
    // SAFETY: the code was just compiled.
    isCompiledToMachineCode = unsafe pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0
    try checkSteps()
  }

  deinit {
    // SAFETY: compiled in init, freed once.
    unsafe pcre2_code_free_8(code)
  }

  private static func message(_ number: CInt) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    // SAFETY: PCRE2 writes at most the given number of bytes, with a zero at the end.
    let length = unsafe buffer.withUnsafeMutableBufferPointer {
      unsafe pcre2_get_error_message_8(number, $0.baseAddress, $0.count)
    }
    return length > 0 ? String(decoding: buffer[..<Int(length)], as: UTF8.self) : "does not compile"
  }

  /// Whether the expression is found anywhere in valid UTF-8; nil when a bound was reached.
  func isFound(in text: Span<UInt8>, using state: MatchState) -> Bool? {
    // SAFETY: the pointer is used only in the closure; the text is valid UTF-8 because it comes
    // from a String; the match data has one pair and is written by one match at a time.
    unsafe text.withUnsafeBufferPointer { buffer in
      let base = unsafe buffer.baseAddress ?? UnsafePointer(bitPattern: 1)!
      var result = unsafe pcre2_match_8(
        code, base, buffer.count, 0, PCRE2_NO_UTF_CHECK, state.data, state.context)
      if result == PCRE2_ERROR_JIT_STACKLIMIT {
        // The interpreter keeps its state on the heap, which has its own bound.
        result = unsafe pcre2_match_8(
          code, base, buffer.count, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data,
          state.context)
      }
      if result >= 0 { return true }
      return result == PCRE2_ERROR_NOMATCH ? false : nil
    }
  }

  /// Refuses what already blows up on a short text of its own characters, such as `(a+)+$`.
  private func checkSteps() throws(Problem) {
    guard
      text.utf8.contains(where: {
        $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "*")
          || $0 == UInt8(ascii: "}")
      })
    else { return }
    let state = MatchState()
    var tried: Set<UInt8> = []
    for byte in [UInt8(ascii: "a"), UInt8(ascii: "0"), 0x20] + Array(text.utf8) {
      let isUseful =
        byte < 0x80 && (ConditionLexer.isNameByte(byte) || byte == 0x20 || byte == 0x2E)
      guard isUseful, tried.count < 8, tried.insert(byte).inserted else { continue }
      let probe = [UInt8](repeating: byte, count: 40) + [0x01]
      if isFound(in: probe.span, using: state) == nil {
        throw Problem(
          offset: 0,
          message: "takes more than \(PolicyLimits.patternStepsMax) steps on 40 characters; "
            + "do not repeat what is itself repeated, as in (a+)+")
      }
    }
  }
}

/// What a match writes to, and its bounds (pcre2api(3), "The match context").
@safe final class MatchState {
  fileprivate let data: OpaquePointer
  fileprivate let context: OpaquePointer

  init() {
    // SAFETY: both are owned by this value and freed once, in deinit; they fail only when memory
    // is exhausted.
    unsafe data = pcre2_match_data_create_8(1, nil)!
    unsafe context = pcre2_match_context_create_8(nil)!
    unsafe pcre2_set_match_limit_8(context, PolicyLimits.patternStepsMax)
    unsafe pcre2_set_depth_limit_8(context, PolicyLimits.patternStepsMax)
    unsafe pcre2_set_heap_limit_8(context, PolicyLimits.patternHeapMaxKiB)
  }

  deinit {
    // SAFETY: see init.
    unsafe pcre2_match_context_free_8(context)
    unsafe pcre2_match_data_free_8(data)
  }
}
