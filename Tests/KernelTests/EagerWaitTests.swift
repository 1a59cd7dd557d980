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
    for _ in 0..<9 {
      #expect(try eager.look(at: poller).isEmpty)
      // Other tests may want the processor: that is a pause of its own length.
      if eager.skips == EagerWait.skippedBusy {
        eager.skips = 0
        continue
      }
      turnsBetween.append(eager.skips)
      // While turns are passed over not even what is there is seen.
      try Descriptors.write(pipe.writer.raw, [1])
      while eager.skips > 0 { #expect(try eager.look(at: poller).isEmpty) }
      _ = try Descriptors.read(pipe.reader.raw, upTo: 64)
    }
    #expect(turnsBetween == turnsBetween.indices.map { min(1 << $0, EagerWait.skippedMax) })
  }

  @Test func whatIsSeenMakesLookingWorthwhileAgain() throws {
    let pipe = try Descriptors.pipe()
    var poller = try Poller()
    try poller.add(pipe.reader.raw, .input)
    var eager = EagerWait()
    for _ in 0..<40 { _ = try eager.look(at: poller) }
    eager.skips = 0
    try Descriptors.write(pipe.writer.raw, [1])
    #expect(try !eager.look(at: poller).isEmpty)
    _ = try Descriptors.read(pipe.reader.raw, upTo: 1)
    _ = try eager.look(at: poller)
    #expect([1, EagerWait.skippedBusy].contains(eager.skips))
  }
}
