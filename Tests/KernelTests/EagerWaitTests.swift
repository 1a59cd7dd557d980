import Glibc
import Testing

@testable import Kernel

@Suite struct EagerWaitTests {
  @Test func whatHasComeIsSeenAtOnce() throws {
    let pipe = try Descriptors.pipe()
    var poller = try Poller()
    try poller.add(pipe.reader.raw, .input)
    var eager = EagerWait()
    try Descriptors.write(pipe.writer.raw, [1])
    for _ in 0..<10 {
      #expect(try eager.look(at: poller).map(\.descriptor) == [pipe.reader.raw])
    }
  }

  /// What is waited for in vain is looked for less and less often, and at every 65th turn at last.
  @Test func lookingInVainBecomesSeldom() throws {
    let pipe = try Descriptors.pipe()
    var poller = try Poller()
    try poller.add(pipe.reader.raw, .input)
    var eager = EagerWait()
    var turnsBetween: [Int] = []
    while turnsBetween.count < 9 {
      #expect(try eager.look(at: poller).isEmpty)
      // Other tests may have wanted the processor, and then it rests by the clock.
      if eager.quietUntil > 0 {
        eager.quietUntil = 0
        continue
      }
      turnsBetween.append(eager.skips)
      // While turns are passed over not even what is there is seen.
      try Descriptors.write(pipe.writer.raw, [1])
      while eager.skips > 0 { #expect(try eager.look(at: poller).isEmpty) }
      _ = try Descriptors.read(pipe.reader.raw, upTo: 64)
    }
    #expect(turnsBetween == [1, 2, 4, 8, 16, 32, 64, 64, 64])
    // What is seen makes looking worthwhile again.
    try Descriptors.write(pipe.writer.raw, [1])
    #expect(try !eager.look(at: poller).isEmpty)
    _ = try Descriptors.read(pipe.reader.raw, upTo: 1)
    repeat {
      eager.quietUntil = 0
      _ = try eager.look(at: poller)
    } while eager.quietUntil > 0
    #expect(eager.skips == 1)
  }

  @Test func itRestsByTheClock() throws {
    let pipe = try Descriptors.pipe()
    var poller = try Poller()
    try poller.add(pipe.reader.raw, .input)
    try Descriptors.write(pipe.writer.raw, [1])
    var eager = EagerWait()
    eager.quietUntil = Clock.monotonicNanoseconds() + 3_600_000_000_000
    #expect(try eager.look(at: poller).isEmpty)
    eager.quietUntil = Clock.monotonicNanoseconds()
    #expect(try eager.look(at: poller).count == 1)
  }
}
