import Broker
import Testing

/// Lines come out as they were sent, however they were cut on the way, and never longer than allowed.
@Suite struct LineReaderTests {
  private func lines(_ reader: inout LineReader) -> (lines: [String], last: LineReader.Next) {
    var all: [String] = []
    while true {
      switch reader.next() {
      case .line(let line): all.append(String(decoding: line, as: UTF8.self))
      case let other: return (all, other)
      }
    }
  }

  @Test func everyCut() {
    let text = Array("{\"a\":1}\n\n{\"b\":\"ü\"}\nrest".utf8)
    for size in 1...text.count {
      var reader = LineReader()
      var all: [String] = []
      for start in stride(from: 0, to: text.count, by: size) {
        reader.append(Array(text[start..<min(start + size, text.count)]))
        let (some, last) = lines(&reader)
        all += some
        #expect(last == .incomplete)
      }
      #expect(all == ["{\"a\":1}", "", "{\"b\":\"ü\"}"], "pieces of \(size)")
      #expect(!reader.isEmpty)
      reader.append([10])
      #expect(lines(&reader).lines == ["rest"] && reader.isEmpty)
    }
  }

  @Test func theLongest() {
    let most = [UInt8](repeating: 97, count: LineReader.lineMaxBytes)
    var reader = LineReader()
    reader.append(most)
    #expect(reader.next() == .incomplete)
    reader.append([10])
    #expect(reader.next() == .line(most[...]))
    reader.append(most + [97])
    #expect(reader.next() == .tooLong)
    var whole = LineReader()
    whole.append(most + [97, 10])
    #expect(whole.next() == .tooLong)
  }

  /// A line in single bytes takes time in proportion to its length.
  @Test func slowly() {
    var reader = LineReader()
    let began = ContinuousClock.now
    for _ in 0..<LineReader.lineMaxBytes {
      reader.append([97])
      #expect(reader.next() == .incomplete)
    }
    #expect(ContinuousClock.now - began < .seconds(5))
  }
}
