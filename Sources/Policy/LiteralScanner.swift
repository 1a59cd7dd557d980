/// Finds in one pass over a text which of many patterns can match it at all: the automaton of Aho
/// and Corasick (1975) over texts of which each pattern needs one.
///
/// Letter case is ignored, so the answer "can match" is to be verified and "cannot" is final.
struct LiteralScanner: Sendable {
  /// Column of a byte in the table; 0 for bytes that no text has.
  private let classes: [UInt8]
  private let classCount: Int
  /// Next state by state and class.
  private let next: [Int32]
  /// Candidates of a state: a range of `candidates`.
  private let candidateStarts: [Int32]
  private let candidates: [Int32]
  /// Number of candidates, which are numbered from 0.
  let count: Int

  /// Longer texts hardly rule out more, and every byte is a row of the table.
  private static let textMaxBytes = 16

  /// - Parameter texts: Per candidate the texts of which one must occur.
  init(_ texts: [[String]]) {
    count = texts.count
    // What contains a text contains its first bytes.
    let folded = texts.map { $0.map { Array(Self.fold(Array($0.utf8)).prefix(Self.textMaxBytes)) } }
    var classes = [UInt8](repeating: 0, count: 256)
    var classCount = 1
    for byte in folded.joined().joined() where classes[Int(byte)] == 0 {
      // There are at most 230 different bytes: upper case is folded and UTF-8 lacks some.
      classes[Int(byte)] = UInt8(classCount)
      classCount += 1
    }
    var trie = Trie(classCount: classCount)
    for (candidate, alternatives) in folded.enumerated() {
      for text in alternatives { trie.insert(text, classes: classes, candidate: Int32(candidate)) }
    }
    trie.close()
    self.classes = classes
    self.classCount = classCount
    next = trie.next
    var starts: [Int32] = [0]
    var all: [Int32] = []
    for found in trie.candidates {
      all += found
      starts.append(Int32(all.count))
    }
    candidateStarts = starts
    candidates = all
  }

  private struct Trie {
    let classCount: Int
    var next: [Int32]
    var candidates: [[Int32]] = [[]]

    init(classCount: Int) {
      self.classCount = classCount
      next = Array(repeating: 0, count: classCount)
    }

    mutating func insert(_ text: [UInt8], classes: [UInt8], candidate: Int32) {
      var state = 0
      for byte in text {
        let cell = state * classCount + Int(classes[Int(byte)])
        if next[cell] == 0 {
          next[cell] = Int32(candidates.count)
          candidates.append([])
          next += Array(repeating: 0, count: classCount)
        }
        state = Int(next[cell])
      }
      candidates[state].append(candidate)
    }

    /// Turns the trie into an automaton without failure links, breadth first.
    mutating func close() {
      var failure = [Int](repeating: 0, count: candidates.count)
      var queue: [Int] = []
      for column in 0..<classCount where next[column] != 0 { queue.append(Int(next[column])) }
      var position = 0
      while position < queue.count {
        let state = queue[position]
        position += 1
        candidates[state] += candidates[failure[state]]
        for column in 0..<classCount {
          let cell = state * classCount + column
          let fallback = next[failure[state] * classCount + column]
          if next[cell] == 0 {
            next[cell] = fallback
          } else {
            failure[Int(next[cell])] = Int(fallback)
            queue.append(Int(next[cell]))
          }
        }
      }
    }
  }

  /// One bit per candidate.
  func scan(_ text: Span<UInt8>) -> [UInt64] {
    var found = [UInt64](repeating: 0, count: (count + 63) / 64)
    let folded = Self.fold(text)
    var state = 0
    for byte in folded {
      state = Int(next[state * classCount + Int(classes[Int(byte)])])
      let start = Int(candidateStarts[state])
      let end = Int(candidateStarts[state + 1])
      if start < end {
        for index in start..<end {
          let candidate = Int(candidates[index])
          found[candidate >> 6] |= 1 << UInt64(candidate & 63)
        }
      }
    }
    return found
  }

  static func fold(_ text: [UInt8]) -> [UInt8] { fold(text.span) }

  /// Lower case for ASCII. The two other characters that equal an ASCII letter when case is ignored
  /// become that letter: U+017F (ſ) and U+212A (K), see Unicode's CaseFolding.txt.
  private static func fold(_ text: Span<UInt8>) -> [UInt8] {
    var folded: [UInt8] = []
    folded.reserveCapacity(text.count)
    var offset = 0
    while offset < text.count {
      let byte = text[offset]
      if byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") {
        folded.append(byte | 0x20)
      } else if byte == 0xC5 && offset + 1 < text.count && text[offset + 1] == 0xBF {
        folded.append(UInt8(ascii: "s"))
        offset += 1
      } else if byte == 0xE2 && offset + 2 < text.count && text[offset + 1] == 0x84
        && text[offset + 2] == 0xAA
      {
        folded.append(UInt8(ascii: "k"))
        offset += 2
      } else {
        folded.append(byte)
      }
      offset += 1
    }
    return folded
  }
}
