internal import LaunchPlan

/// Any bytes are a plan or a refusal; a plan that is read is written as it came.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLaunchPlan(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  if let plan = try? LaunchPlan(decoding: bytes) {
    precondition(plan.encoded() == bytes, "two encodings of one plan")
  }
  _ = try? StageStart(decoding: bytes)
  _ = try? StageReport(decoding: bytes)
  _ = try? StageCommand(decoding: bytes)
  return 0
}
