import Testing

@testable import Supervisor

@Suite struct AmountsTests {
  @Test(
    arguments: [
      (0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (1025, "1025 bytes"),
      (512 << 20, "512 MiB"), (1 << 30, "1 GiB"), (3 << 29, "1536 MiB"), (1 << 40, "1 TiB"),
      (UInt64.max, "18446744073709551615 bytes"),
    ] as [(UInt64, String)]) func sizes(_ bytes: UInt64, _ text: String)
  {
    #expect(Amounts.size(bytes) == text)
  }

  @Test(
    arguments: [
      (0, "0 ms"), (999, "999 ms"), (1000, "1 s"), (1500, "1500 ms"), (60_000, "1 min"),
      (90_000, "90 s"), (600_000, "10 min"), (3_600_000, "1 h"), (5_400_000, "90 min"),
    ] as [(UInt64, String)]) func durations(_ milliseconds: UInt64, _ text: String)
  {
    #expect(Amounts.duration(milliseconds) == text)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (951_868_799_999, "2000-02-29T23:59:59.999Z"), (951_868_800_000, "2000-03-01T00:00:00.000Z"),
      (1_709_164_800_005, "2024-02-29T00:00:00.005Z"),
      (1_735_689_599_050, "2024-12-31T23:59:59.050Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] as [(UInt64, String)]) func timestamps(_ milliseconds: UInt64, _ text: String)
  {
    #expect(Amounts.timestamp(milliseconds * 1_000_000 + 999_999) == text)
  }
}
