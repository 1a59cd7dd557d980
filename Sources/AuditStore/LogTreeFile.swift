internal import Audit
internal import Hashing
internal import Kernel

/// What `tree.N` says beside `checkpoint.N`: how a log is opened again without reading all of it. Nothing of
/// it is believed that the signed checkpoint does not confirm; without it the log is read from the start.
struct LogTreeFile: Equatable {
  /// One file of entries.
  struct Segment: Equatable {
    /// Index of its first entry.
    var first: UInt64
    /// Bytes of its complete lines.
    var bytes: Int64
    var inode: UInt64
    /// When the file last changed, which nobody can set (inode(7), ctime): who changed a byte since, changed
    /// this as well.
    var changedNanoseconds: Int64
  }

  var tree: MerkleTree
  var segments: [Segment]
  /// Whether the entries were on the disk before the checkpoint was signed. Those of another boot of the
  /// machine may be lost then without anybody's doing.
  var isSynced: Bool
  var boot: String

  /// A word also where the kernel does not tell.
  static var thisBoot: String {
    let known = Boot.identifier
    return known.isEmpty ? "unknown" : known
  }

  private static let header = "agt-log-tree v1"

  var bytes: [UInt8] {
    var text = "\(Self.header)\nsize \(tree.size)\n\(isSynced ? "synced" : "unsynced") \(boot)\n"
    for segment in segments {
      text +=
        "segment \(segment.first) \(segment.bytes) \(segment.inode)"
        + " \(segment.changedNanoseconds)\n"
    }
    for subtree in tree.subtrees { text += "subtree \(subtree.base64)\n" }
    return Array((text + "end\n").utf8)
  }

  init(tree: MerkleTree, segments: [Segment], isSynced: Bool, boot: String) {
    self.tree = tree
    self.segments = segments
    self.isSynced = isSynced
    self.boot = boot
  }

  /// nil when it is something else; text behind `end` is an older, longer one's.
  init?(parsing bytes: [UInt8]) {
    // Bytes and not characters: every launch reads one.
    var lines = bytes.split(separator: 0x0A)[...]
    guard lines.popFirst().map({ $0.elementsEqual(Self.header.utf8) }) == true,
      let size = lines.popFirst().flatMap({ Self.numbers($0, "size", 1)?.first }),
      let state = lines.popFirst()?.split(separator: 0x20), state.count == 2
    else { return nil }
    isSynced = state[0].elementsEqual("synced".utf8)
    boot = String(decoding: state[1], as: UTF8.self)
    segments = []
    var subtrees: [Digest] = []
    while let line = lines.popFirst(), !line.elementsEqual("end".utf8) {
      if let numbers = Self.numbers(line, "segment", 4) {
        guard let length = Int64(exactly: numbers[1]), let changed = Int64(exactly: numbers[3])
        else { return nil }
        segments.append(
          Segment(
            first: numbers[0], bytes: length, inode: numbers[2], changedNanoseconds: changed))
      } else if let words = Self.words(line, "subtree"), words.count == 1, let word = words.first {
        guard let raw = Base64.decode(word), let digest = Digest(bytes: raw) else { return nil }
        subtrees.append(digest)
      } else {
        return nil
      }
    }
    guard let tree = MerkleTree(size: size, subtrees: subtrees), !segments.isEmpty else {
      return nil
    }
    self.tree = tree
  }

  /// What follows the name of a line.
  private static func words(_ line: ArraySlice<UInt8>, _ name: String) -> [ArraySlice<UInt8>]? {
    guard line.starts(with: name.utf8) else { return nil }
    let words = line.split(separator: 0x20)
    return words[0].count == name.utf8.count ? Array(words.dropFirst()) : nil
  }

  private static func numbers(
    _ line: ArraySlice<UInt8>, _ name: String, _ count: Int
  ) -> [UInt64]? {
    guard let words = words(line, name), words.count == count else { return nil }
    var numbers: [UInt64] = []
    for word in words {
      guard let number = UInt64(String(decoding: word, as: UTF8.self)) else { return nil }
      numbers.append(number)
    }
    return numbers
  }
}
