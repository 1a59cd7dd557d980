import Testing

@testable import Rings

@Suite struct ProfileLoadingTests {
  @Test func shippedRingsLoad() throws {
    for ring in 0...3 as ClosedRange<UInt8> {
      let profile = RingProfile.shipped(ring)
      #expect(profile.ring == ring)
      #expect(profile.widenings == [])
      let both = try SeccompFilter.compileBoth(profile.syscalls)
      print(ring, profile.name, both.notify.count, both.plain.count)
      print(ProfileText.show(profile))
    }
    print(ProfileText.list())
    print(ProfileText.diff(from: .shipped(3), to: .shipped(2)))
    print(ProfileText.diff(from: .shipped(0), to: .shipped(1)))
    print(ProfileText.diff(from: .shipped(1), to: .shipped(2)))
  }
}
