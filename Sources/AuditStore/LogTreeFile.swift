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
    var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")[...]
    guard lines.popFirst() == Self.header[...],
      let size = lines.popFirst().flatMap({ Self.words($0, "size", 1)?[0] }).flatMap({ UInt64($0) }
      ),
      let state = lines.popFirst()?.split(separator: " "), state.count == 2
    else { return nil }
    isSynced = state[0] == "synced"
    boot = String(state[1])
    segments = []
    var subtrees: [Digest] = []
    while let line = lines.popFirst(), line != "end" {
      if let words = Self.words(line, "segment", 4) {
        guard let first = UInt64(words[0]), let length = Int64(words[1]), length >= 0,
          let inode = UInt64(words[2]), let changed = Int64(words[3])
        else { return nil }
        segments.append(
          Segment(first: first, bytes: length, inode: inode, changedNanoseconds: changed))
      } else if let word = Self.words(line, "subtree", 1)?[0] {
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

  private static func words(_ line: Substring, _ name: String, _ count: Int) -> [Substring]? {
    let words = line.split(separator: " ")
    guard words.first == name[...], words.count == count + 1 else { return nil }
    return Array(words.dropFirst())
  }
}
