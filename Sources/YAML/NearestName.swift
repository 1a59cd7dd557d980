/// Finds the name that was probably meant, for "did you mean" in messages.
public enum NearestName {
  /// Longer names are not compared: the work is quadratic in the length.
  public static let lengthMaxBytes = 64

  /// The candidate closest to `name`, or nil when none is close enough to be a misspelling.
  ///
  /// Close enough means an edit distance of at most a third of the longer name, at least 1; letter
  /// case costs nothing. Of equally close candidates the first is taken.
  public static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let longest = max(name.utf8.count, candidate.utf8.count)
      guard longest <= lengthMaxBytes else { continue }
      let distance = distance(name.lowercased(), candidate.lowercased())
      let isShared = distance < longest
      if isShared && distance <= max(1, longest / 3) && distance < best?.distance ?? Int.max {
        best = (candidate, distance)
      }
    }
    return best?.name
  }

  /// Insertions, deletions, substitutions and swaps of neighbours, in bytes of UTF-8, that turn
  /// one name into the other (optimal string alignment).
  static func distance(_ first: String, _ second: String) -> Int {
    let first = Array(first.utf8)
    let second = Array(second.utf8)
    var beforePrevious: [Int] = []
    var previous = Array(0...second.count)
    for row in first.indices {
      var current = [row + 1]
      current.reserveCapacity(second.count + 1)
      for column in second.indices {
        let substitution = previous[column] + (first[row] == second[column] ? 0 : 1)
        var cost = min(previous[column + 1] + 1, current[column] + 1, substitution)
        if row > 0 && column > 0 && first[row] == second[column - 1]
          && first[row - 1] == second[column]
        {
          cost = min(cost, beforePrevious[column - 1] + 1)
        }
        current.append(cost)
      }
      beforePrevious = previous
      previous = current
    }
    return previous[second.count]
  }
}
