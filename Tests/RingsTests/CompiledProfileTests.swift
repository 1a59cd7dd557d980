import Testing

@testable import Rings

@Suite struct CompiledProfileTests {
  @Test(arguments: [0, 1, 2, 3] as [UInt8])
  func shippedRingsSurvive(_ ring: UInt8) throws {
    let compiled = try CompiledProfile(compiling: .shipped(ring))
    let bytes = compiled.encode()
    #expect(bytes.count < 65536)
    #expect(try CompiledProfile.decode(bytes) == compiled)
    #expect(compiled.filter(violations: true) != compiled.filter(violations: false))
  }

  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func randomProfilesSurvive(_ seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let loaded = try ProfileLoadingTests.load(ProfileText.show(random.profile()))
    let compiled = try CompiledProfile(compiling: loaded)
    #expect(try CompiledProfile.decode(compiled.encode()) == compiled)
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try CompiledProfile(compiling: .shipped(0)).encode()
    for count in 0..<bytes.count {
      #expect(throws: RingProfileError.self) { try CompiledProfile.decode(Array(bytes[..<count])) }
    }
    #expect(throws: RingProfileError.self) { try CompiledProfile.decode(bytes + [0]) }
  }

  /// Flipped bits are refused or give another profile that itself survives; nothing traps.
  @Test(arguments: [0, 3] as [UInt8])
  func flippedBitsNeverTrap(_ ring: UInt8) throws {
    let bytes = try CompiledProfile(compiling: .shipped(ring)).encode()
    let step = ring == 0 ? 1 : 401
    for bit in stride(from: 0, to: bytes.count * 8, by: step) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      guard let decoded = try? CompiledProfile.decode(flipped) else { continue }
      #expect(decoded.encode() == flipped)
    }
  }

  @Test func randomBytesAreRefused() {
    var random = SeededGenerator(7)
    for _ in 0..<500 {
      let bytes = (0..<random.pick([0, 1, 20, 200])).map { _ in
        UInt8(truncatingIfNeeded: random.next())
      }
      #expect(throws: RingProfileError.self) { try CompiledProfile.decode(bytes) }
    }
  }

  @Test func refusalsSayWhere() {
    let tooLong = [UInt8](repeating: 0, count: CompiledProfile.maximumBytes + 1)
    #expect(throws: RingProfileError.encoding(offset: 1 << 20, reason: "longer than 1048576 bytes"))
    { try CompiledProfile.decode(tooLong) }
    #expect(
      throws: RingProfileError.encoding(
        offset: 0, reason: "not a compiled profile of this version")
    ) { try CompiledProfile.decode([1, 2, 3]) }
  }

  /// A list that claims more than the input holds allocates nothing.
  @Test func countsAreBoundedByTheInput() throws {
    var writer = ProfileEncoder()
    writer.integer(0x0001_5054_4741)
    writer.integer(UInt64.max)
    #expect(throws: RingProfileError.self) { try CompiledProfile.decode(writer.bytes) }
  }
}
