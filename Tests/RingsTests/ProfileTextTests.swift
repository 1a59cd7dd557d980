import Foundation
import JSON
import Testing

@testable import Rings

@Suite struct ProfileTextTests {
  static let golden = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Golden")

  /// What `agt profile show` prints. After a wanted change: AGT_UPDATE_GOLDEN=1 swift test.
  @Test(arguments: [0, 1, 2, 3] as [UInt8])
  func showIsGolden(_ ring: UInt8) throws {
    let text = ProfileText.show(.shipped(ring))
    let file = Self.golden.appending(path: "show-ring\(ring).yaml")
    if ProcessInfo.processInfo.environment["AGT_UPDATE_GOLDEN"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(text == (try String(contentsOf: file, encoding: .utf8)))
    #expect(try ProfileLoadingTests.load(text) == RingProfile.shipped(ring))
  }

  /// What is shown loads to the same value again.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func showLoadsBack(_ seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let text = ProfileText.show(random.profile())
    // The first loading records the widenings, the second must find the same ones again.
    let loaded = try ProfileLoadingTests.load(text)
    let again = try ProfileLoadingTests.load(ProfileText.show(loaded))
    #expect(again == loaded)
    var bare = loaded
    bare.widenings = []
    var random2 = SeededGenerator(seed)
    #expect(bare == random2.profile())
  }

  @Test func diffSaysWhatIsWidenedAndNarrowed() throws {
    let profile = try ProfileLoadingTests.load(
      ProfileLoadingTests.derived(
        """
        filesystem: {read: [{path: ~/data, why: w}]}
        limits: {memory: 2GiB, wall: 5m}
        syscalls:
          groups:
            - {name: no pipes, why: w, deny: [pipe]}
        """))
    #expect(
      ProfileText.diff(from: .shipped(3), to: profile) == """
        widened   filesystem.read ~/data  not visible → ro
        widened   limits.memory           512MiB → 2GiB
        narrowed  limits.wall             10m → 5m
        narrowed  syscalls pipe           allowed → EPERM

        """)
    #expect(ProfileText.diff(from: profile, to: profile) == "")
  }

  @Test func listNamesTheRings() {
    let lines = ProfileText.list().split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[4].hasPrefix("3     sandbox "))
    #expect(!ProfileText.list().contains(" \n"))
  }

  @Test func quantitiesAreWrittenAsTheyAreRead() {
    #expect(ProfileText.size(512 << 20) == "512MiB")
    #expect(ProfileText.size(1025) == "1025")
    #expect(ProfileText.size(0) == "0")
    #expect(ProfileText.duration(600_000) == "10m")
    #expect(ProfileText.duration(1500) == "1500ms")
    #expect(ProfileText.duration(7_200_000) == "2h")
  }

  @Test func jsonHasEveryPart() throws {
    let json = ProfileJSON.show(.shipped(3))
    #expect(json["ring"] == 3)
    #expect(json["limits"]?["memoryBytes"] == .integer(512 << 20))
    #expect(json["filesystem"]?["scratch"]?["exec"] == false)
    let groups = try #require(json["syscalls"]?["groups"]?.arrayValue)
    #expect(groups.count == RingProfile.shipped(3).syscalls.groups.count)
    #expect(ProfileJSON.show(.shipped(0))["limits"]?["memoryBytes"] == .null)
    #expect(ProfileJSON.list().arrayValue?.count == 4)
    let diff = ProfileJSON.diff(from: .shipped(3), to: .shipped(2))
    #expect(diff.arrayValue?.first?["what"] == "ring")
    #expect(diff.arrayValue?.first?["direction"] == "widened")
  }
}
