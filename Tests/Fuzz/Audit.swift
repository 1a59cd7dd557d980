import Audit

/// Any bytes are a note, a proof, a request or an entry, or a refusal; what is read is written as it came.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzAudit(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let key = SigningKey(seed: Array(0..<32)).verifier(name: "log.example")
  if let note = try? SignedNote(parsing: bytes) {
    precondition(note.bytes == bytes, "two forms of one note")
    precondition(!note.isSigned(by: key), "a forged signature")
    if let checkpoint = try? Checkpoint(text: note.text) {
      precondition(checkpoint.text == note.text, "two forms of one checkpoint")
    }
  }
  if let proof = try? LogProof(parsing: bytes) {
    precondition(proof.bytes == bytes, "two forms of one proof")
    precondition((try? proof.check(proof.extra ?? [], key: key)) == nil, "a forged proof")
  }
  if let request = try? WitnessRequest(parsing: bytes) {
    precondition(request.bytes == bytes, "two forms of one request")
  }
  if let entry = try? Entry(parsing: bytes) {
    precondition(entry.kind.rawValue.utf8.count > 0)
  }
  if let text = String(validating: bytes, as: UTF8.self), let key = VerifierKey(text) {
    precondition(key.text == text, "two forms of one key")
  }
  return 0
}
