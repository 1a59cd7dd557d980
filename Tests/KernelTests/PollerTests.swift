import Glibc
import Testing

@testable import Kernel

@Suite struct PollerTests {
  private func current(_ events: [Poller.Event], _ poller: borrowing Poller) -> [Int32] {
    var numbers: [Int32] = []
    for event in events where poller.isCurrent(event) { numbers.append(event.descriptor) }
    return numbers
  }

  /// Handling one event closes what another one is of, and its number is given to a new file.
  @Test func anEventOfAClosedDescriptorIsOutdated() throws {
    var poller = try Poller()
    let first = try Descriptors.pipe()
    // Its reader has the number from the beginning to the end, but not always the same file.
    let second = try Descriptors.pipe()
    let number = second.reader.raw
    try poller.add(first.reader.raw, .input)
    try poller.add(number, .input)
    try Descriptors.write(first.writer.raw, [1])
    try Descriptors.write(second.writer.raw, [1])
    let ready = try poller.wait(milliseconds: 1000)
    let before = current(ready, poller)
    #expect(before.sorted() == [first.reader.raw, number].sorted())
    try poller.remove(number)
    let third = try Descriptors.pipe()
    try Descriptors.duplicate(third.reader.raw, onto: number)
    try poller.add(number, .input)
    let after = current(ready, poller)
    #expect(after == [first.reader.raw])
    // What reports for the new one is current.
    try Descriptors.write(third.writer.raw, [1])
    let later = try poller.wait(milliseconds: 1000)
    let newer = current(later, poller)
    #expect(newer.sorted() == [first.reader.raw, number].sorted())
  }

  /// A file that is open elsewhere goes on reporting under the number that it had here (epoll(7)).
  @Test func aFileThatWasClosedHereIsNotHeardOf() throws {
    var poller = try Poller()
    let pipe = try Descriptors.pipe()
    let here = try Descriptors.duplicate(pipe.reader.raw, atLeast: 100).release()
    try poller.add(here, .input)
    _ = OwnedFD(here)
    try Descriptors.write(pipe.writer.raw, [1])
    let other = try Descriptors.pipe()
    try Descriptors.duplicate(other.reader.raw, onto: here)
    try poller.add(here, .input)
    let silence = try poller.wait(milliseconds: 50)
    #expect(silence == [])
    try Descriptors.write(other.writer.raw, [1])
    let heard = try poller.wait(milliseconds: 1000)
    #expect(heard.map(\.descriptor) == [here])
    _ = OwnedFD(here)
  }

  @Test func changesKeepTheGeneration() throws {
    var poller = try Poller()
    let pipe = try Descriptors.pipe()
    try poller.add(pipe.reader.raw, [])
    try Descriptors.write(pipe.writer.raw, [1])
    let silence = try poller.wait(milliseconds: 0)
    #expect(silence == [])
    try poller.change(pipe.reader.raw, .input)
    let ready = try poller.wait(milliseconds: 1000)
    let before = current(ready, poller)
    #expect(before == [pipe.reader.raw])
    try poller.remove(pipe.reader.raw)
    let after = current(ready, poller)
    #expect(after == [])
  }
}
