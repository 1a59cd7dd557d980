import Testing

@testable import JSON

/// SplitMix64 (Steele, Lea and Flood 2014): seeded, so that a failure can be repeated.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

@Suite struct JSONPropertyTests {
  @Test(arguments: 0..<20 as Range<UInt64>)
  func everyWriterIsReadBack(seed: UInt64) throws {
    var generator = SplitMix64(state: seed)
    for _ in 0..<10 {
      let value = randomValue(depth: 4, &generator)
      #expect(try JSONParser.parse(JSONWriter.compact(value)) == value)
      #expect(try JSONParser.parse(JSONWriter.pretty(value)) == value)
      let canonical = try JSONWriter.canonical(value)
      let read = try JSONParser.parse(canonical)
      #expect(read == value)
      #expect(try JSONWriter.canonical(read) == canonical)
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func orderOfMembersDoesNotMatter(seed: UInt64) throws {
    var generator = SplitMix64(state: seed)
    guard case .object(let object) = randomObject(depth: 3, &generator) else { return }
    var shuffled = JSONObject()
    for member in object.members.shuffled(using: &generator) {
      shuffled[member.name] = member.value
    }
    #expect(shuffled == object)
    #expect(try JSONWriter.canonical(.object(shuffled)) == JSONWriter.canonical(.object(object)))
  }

  /// Broken texts are refused or read, and never trap; what is read has a readable compact form.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func mutatedTextsNeverTrap(seed: UInt64) {
    var generator = SplitMix64(state: seed)
    for _ in 0..<30 {
      var bytes = JSONWriter.compact(randomValue(depth: 3, &generator))
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        let index = Int.random(in: 0...bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: index)
        case 1 where index < bytes.count: bytes.remove(at: index)
        default: bytes = Array(bytes[..<index])
        }
      }
      guard let value = try? JSONParser.parse(bytes) else { continue }
      #expect((try? JSONParser.parse(JSONWriter.compact(value))) == value)
    }
  }

  private func randomValue(depth: Int, _ generator: inout SplitMix64) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
    case 0: return nil
    case 1: return .bool(Bool.random(using: &generator))
    case 2:
      let bound = JSONWriter.integerMaxCanonical
      return .integer(Int64.random(in: -bound...bound, using: &generator))
    case 3: return .integer(Int64.random(in: -9...9, using: &generator))
    case 4:
      // Fractions only: a large whole number reads back as an integer beyond the canonical range.
      return JSONValue(Double.random(in: -1...1, using: &generator) * 1e-5)
    case 5: return .string(randomString(&generator))
    case 6:
      let count = Int.random(in: 0..<5, using: &generator)
      return .array((0..<count).map { _ in randomValue(depth: depth - 1, &generator) })
    default: return randomObject(depth: depth, &generator)
    }
  }

  private func randomObject(depth: Int, _ generator: inout SplitMix64) -> JSONValue {
    var object = JSONObject()
    for _ in 0..<Int.random(in: 0..<15, using: &generator) {
      object[randomString(&generator)] = randomValue(depth: depth - 1, &generator)
    }
    return .object(object)
  }

  private func randomString(_ generator: inout SplitMix64) -> String {
    let bounds: [UInt32] = [0x20, 0x7F, 0xFF, 0xFFFF, 0x10FFFF]
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0..<12, using: &generator) {
      let bound = bounds.randomElement(using: &generator) ?? 0
      if let scalar = Unicode.Scalar(UInt32.random(in: 0...bound, using: &generator)) {
        text.append(scalar)
      }
    }
    return String(text)
  }
}
