internal import Rings

/// A compiled profile that is read writes the same bytes again, and its filters run; a profile text
/// that loads shows as a text that loads to the same value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRings(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  decode(bytes)
  // The fuzzer would not find the magic number: the input is also taken for changes of a profile.
  var changed = shipped
  for index in stride(from: 0, to: count - 2, by: 3) {
    changed[(Int(bytes[index]) << 8 | Int(bytes[index + 1])) % changed.count] = bytes[index + 2]
  }
  decode(changed)
  load(head + bytes)
  return 0
}

/// The shipped rings live for ever, and some of their arrays are behind pointers whose upper bits
/// say which case of an enumeration they are: the leak detector takes them for lost.
@_cdecl("__lsan_is_turned_off")
public func leaksAreNotSearched() -> CInt { 1 }

private let shipped: [UInt8] = {
  guard let compiled = try? CompiledProfile(compiling: .shipped(0)) else {
    preconditionFailure("ring 0 compiles")
  }
  return compiled.encode()
}()

private let head = Array("apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: f}\n".utf8)

private func decode(_ bytes: [UInt8]) {
  guard let compiled = try? CompiledProfile.decode(bytes) else { return }
  precondition(compiled.encode() == bytes, "two encodings of one profile")
  for violations in [true, false] {
    guard let machine = try? FilterMachine(compiled.program(violations: violations)) else {
      preconditionFailure("a decoded filter is valid")
    }
    for number in [0, 16, 41, 317, 450] as [UInt32] {
      let call = FilterMachine.Call(
        number: number, architecture: SyscallTable.nativeArchitecture,
        arguments: [UInt64](repeating: UInt64(bytes.count), count: 6))
      _ = machine.run(call)
    }
  }
}

private func load(_ yaml: [UInt8]) {
  guard let profile = try? RingProfile.load(yaml: yaml, file: "f", resolve: refuse) else { return }
  let shown = ProfileText.show(profile)
  do throws(RingProfileError) {
    let again = try RingProfile.load(yaml: Array(shown.utf8), file: "shown", resolve: refuse)
    precondition(again == profile, "what is shown is another profile")
  } catch {
    preconditionFailure("\(error.description)")
  }
}

private func refuse(_ path: String) throws -> (bytes: [UInt8], file: String) {
  throw RingProfileError.filter(message: "no file \(path)")
}
