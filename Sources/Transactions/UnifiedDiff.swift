internal import Kernel

/// The lines that differ, as `diff -u` prints them (POSIX diff, "Diff -u Output Format").
///
/// The shortest edit script by Myers (Algorithmica 1, 1986), up to a distance; what differs more is shown as
/// replaced.
enum UnifiedDiff {
  /// Bounds time and memory: at this distance the traces take some 16 MB.
  static let maximumDistance = 1000
  private static let context = 3

  enum Edit: Equatable {
    case keep(Int, Int)
    case remove(Int)
    case add(Int)
  }

  /// The hunks, escaped for a terminal; empty when the texts are equal.
  static func hunks(_ old: ByteString, _ new: ByteString) -> [String] {
    let a = lines(old)
    let b = lines(new)
    let edits = script(a, b)
    var out: [String] = []
    var index = 0
    while let change = edits[index...].firstIndex(where: { !isKept($0) }) {
      let begin = max(index, change - context)
      var end = change
      var last = change
      while end < edits.count, end - last <= 2 * context {
        if !isKept(edits[end]) { last = end }
        end += 1
      }
      end = min(edits.count, last + 1 + context)
      out += hunk(edits[begin..<end], a, b)
      index = end
    }
    return out
  }

  private static func isKept(_ edit: Edit) -> Bool {
    if case .keep = edit { true } else { false }
  }

  /// With their newlines, so that a last line without one differs from one with.
  private static func lines(_ text: ByteString) -> [ArraySlice<UInt8>] {
    var all: [ArraySlice<UInt8>] = []
    var rest = text[...]
    while let end = rest.firstIndex(of: 10) {
      all.append(rest[...end])
      rest = rest[(end + 1)...]
    }
    if !rest.isEmpty { all.append(rest) }
    return all
  }

  private static func hunk(
    _ edits: ArraySlice<Edit>, _ a: [ArraySlice<UInt8>], _ b: [ArraySlice<UInt8>]
  ) -> [String] {
    var body: [String] = []
    var oldStart: Int?
    var newStart: Int?
    var oldCount = 0
    var newCount = 0
    let show = { (sign: String, line: ArraySlice<UInt8>) in
      let ends = line.last == 10
      body.append(sign + Display.escaped(Array(ends ? line.dropLast() : line), keepingTabs: true))
      if !ends { body.append("\\ No newline at end of file") }
    }
    for edit in edits {
      switch edit {
      case .keep(let i, let j):
        oldStart = oldStart ?? i
        newStart = newStart ?? j
        oldCount += 1
        newCount += 1
        show(" ", a[i])
      case .remove(let i):
        oldStart = oldStart ?? i
        oldCount += 1
        show("-", a[i])
      case .add(let j):
        newStart = newStart ?? j
        newCount += 1
        show("+", b[j])
      }
    }
    let old = oldCount == 0 ? "0,0" : "\(oldStart! + 1),\(oldCount)"
    let new = newCount == 0 ? "0,0" : "\(newStart! + 1),\(newCount)"
    return ["@@ -\(old) +\(new) @@"] + body
  }

  // MARK: the edit script

  static func script(_ a: [ArraySlice<UInt8>], _ b: [ArraySlice<UInt8>]) -> [Edit] {
    var head = 0
    while head < a.count, head < b.count, a[head] == b[head] { head += 1 }
    var tail = 0
    while tail < a.count - head, tail < b.count - head,
      a[a.count - 1 - tail] == b[b.count - 1 - tail]
    { tail += 1 }
    let old = Array(a[head..<(a.count - tail)])
    let new = Array(b[head..<(b.count - tail)])
    var edits = (0..<head).map { Edit.keep($0, $0) }
    edits += middle(old, new).map { edit in
      switch edit {
      case .keep(let i, let j): .keep(i + head, j + head)
      case .remove(let i): .remove(i + head)
      case .add(let j): .add(j + head)
      }
    }
    edits += (0..<tail).map { .keep(a.count - tail + $0, b.count - tail + $0) }
    return edits
  }

  private static func middle(
    _ a: [ArraySlice<UInt8>], _ b: [ArraySlice<UInt8>]
  ) -> [Edit] {
    let replaced = a.indices.map { Edit.remove($0) } + b.indices.map { Edit.add($0) }
    if a.isEmpty || b.isEmpty { return replaced }
    let limit = min(maximumDistance, a.count + b.count)
    var furthest = [Int](repeating: 0, count: 2 * limit + 2)
    var traces: [[Int]] = []
    for distance in 0...limit {
      traces.append(furthest)
      for diagonal in stride(from: -distance, through: distance, by: 2) {
        let goesDown =
          diagonal == -distance
          || (diagonal != distance
            && furthest[limit + diagonal - 1] < furthest[limit + diagonal + 1])
        var x =
          goesDown ? furthest[limit + diagonal + 1] : furthest[limit + diagonal - 1] + 1
        while x < a.count, x - diagonal < b.count, x - diagonal >= 0, a[x] == b[x - diagonal] {
          x += 1
        }
        furthest[limit + diagonal] = x
        if x >= a.count, x - diagonal >= b.count {
          return walkBack(traces, distance, a.count, b.count, limit)
        }
      }
    }
    return replaced
  }

  private static func walkBack(
    _ traces: [[Int]], _ distance: Int, _ oldCount: Int, _ newCount: Int, _ limit: Int
  ) -> [Edit] {
    var edits: [Edit] = []
    var x = oldCount
    var y = newCount
    for step in stride(from: distance, through: 0, by: -1) {
      let furthest = traces[step]
      let diagonal = x - y
      if step == 0 {
        while x > 0, y > 0 {
          x -= 1
          y -= 1
          edits.append(.keep(x, y))
        }
        break
      }
      let goesDown =
        diagonal == -step
        || (diagonal != step && furthest[limit + diagonal - 1] < furthest[limit + diagonal + 1])
      let before = goesDown ? diagonal + 1 : diagonal - 1
      let beforeX = furthest[limit + before]
      let beforeY = beforeX - before
      while x > beforeX, y > beforeY, x > 0, y > 0 {
        x -= 1
        y -= 1
        edits.append(.keep(x, y))
      }
      if goesDown {
        y -= 1
        edits.append(.add(y))
      } else {
        x -= 1
        edits.append(.remove(x))
      }
    }
    return edits.reversed()
  }
}
