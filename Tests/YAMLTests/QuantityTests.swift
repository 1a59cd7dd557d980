import Testing

@testable import YAML

@Suite struct QuantityTests {
  @Test(
    arguments: [
      ("0", 0), ("4096", 4096), ("1k", 1_000), ("3M", 3_000_000), ("2G", 2_000_000_000),
      ("1KiB", 1024), ("512MiB", 536_870_912), ("2GiB", 2_147_483_648), ("007k", 7_000),
      ("18446744073709551615", UInt64.max), ("17179869183GiB", 17_179_869_183 << 30),
    ] as [(String, UInt64)])
  func sizes(text: String, expected: UInt64) throws {
    #expect(try Quantity.bytes(text) == expected)
  }

  @Test(
    arguments: [
      ("0", 0), ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0h", 0),
    ] as [(String, UInt64)])
  func durations(text: String, expected: UInt64) throws {
    #expect(try Quantity.milliseconds(text) == expected)
  }

  @Test(arguments: [
    "", "k", "-1", "+1", "1.5k", "1 k", " 1", "1 ", "1K", "1KB", "1kb", "1mib", "1T", "1k1",
    "1\u{301}",
    "18446744073709551616", "17179869184GiB", "18446744073709551615k", "٣k",
    String(repeating: "0", count: 33),
  ])
  func refusedSizes(text: String) {
    #expect(throws: QuantityError.self) { try Quantity.bytes(text) }
  }

  @Test(arguments: [
    "", "1", "s", "-1s", "1.5s", "1 s", "1d", "1S", "1min", "1s1m", "5124095576030432h",
  ])
  func refusedDurations(text: String) {
    #expect(throws: QuantityError.self) { try Quantity.milliseconds(text) }
  }

  @Test func messagesSayHowToMend() {
    let size = #expect(throws: QuantityError.self) { try Quantity.bytes("1KB") }
    #expect(
      size?.description == "unknown unit in the size \"1KB\"; write KiB, MiB or GiB (powers of "
        + "1024), or k, M or G (powers of 1000)")
    let large = #expect(throws: QuantityError.self) { try Quantity.bytes("99999999999G") }
    #expect(
      large?.description == "\"99999999999G\" does not fit into 64 bits; write a smaller number")
    let number = #expect(throws: QuantityError.self) { try Quantity.milliseconds("soon") }
    #expect(
      number?.description == "\"soon\" is not a whole number with a unit; write for example 30s")
  }
}

@Suite struct NearestNameTests {
  private let names = ["syscalls", "mounts", "memory", "wall", "ring"]

  @Test(arguments: [
    ("syscals", "syscalls"), ("mount", "mounts"), ("MEMORY", "memory"), ("memroy", "memory"),
    ("walls", "wall"), ("rnig", "ring"),
  ])
  func misspellings(name: String, expected: String) {
    #expect(NearestName.find(name, among: names) == expected)
  }

  @Test(arguments: ["", "x", "colour", "network", "syscallsyscallsyscalls"])
  func strangers(name: String) {
    #expect(NearestName.find(name, among: names) == nil)
  }

  @Test func distancesCountSwapsOnce() {
    #expect(NearestName.distance("abcd", "abdc") == 1)
    #expect(NearestName.distance("kitten", "sitting") == 3)
    #expect(NearestName.distance("", "abc") == 3)
    #expect(NearestName.distance("abc", "") == 3)
    #expect(NearestName.distance("same", "same") == 0)
  }

  @Test func firstOfEquallyNearWins() {
    #expect(NearestName.find("cat", among: ["bat", "rat"]) == "bat")
    #expect(NearestName.find(String(repeating: "a", count: 65), among: ["a"]) == nil)
  }
}
