public import Audit
internal import Glibc
internal import Kernel

/// A log as C2SP tlog-tiles has it: `checkpoint`, `tile/LEVEL/N` with up to 256 hashes of complete subtrees of
/// 256^LEVEL leaves, `tile/entries/N` with the entries that they are of, each behind its length in 2 bytes. The
/// last of each level is partial: `N.p/W`. Any web server gives it to readers; nothing of it has to be believed.
///
/// Memory is that of one tile per level, whatever the log's size.
struct LogTiles {
  private let directory: Int32
  private var levels: [[Digest]] = []
  private var counts: [UInt64] = []
  private var entries: [UInt8] = []
  private var entryCount = 0

  private static let width = 256
  /// - Parameter directory: empty.
  init(_ directory: Int32) { self.directory = directory }

  /// - Parameter line: an entry, whose length 2 bytes can say (`Entry.sizeMaxBytes`).
  mutating func take(_ line: [UInt8]) throws(LogError) {
    guard line.count <= Entry.sizeMaxBytes else {
      throw .audit(.malformed("an entry has \(line.count) bytes"))
    }
    entries.append(UInt8(line.count >> 8))
    entries.append(UInt8(line.count & 255))
    entries += line
    entryCount += 1
    if entryCount % Self.width == 0 {
      try write("tile/entries", UInt64(entryCount / Self.width - 1), nil, entries)
      entries = []
    }
    try take(MerkleTree.leaf(line), level: 0)
  }

  private mutating func take(_ hash: Digest, level: Int) throws(LogError) {
    if levels.count == level {
      levels.append([])
      counts.append(0)
    }
    levels[level].append(hash)
    guard levels[level].count == Self.width else { return }
    try write("tile/\(level)", counts[level], nil, levels[level].flatMap(\.bytes))
    counts[level] += 1
    var tree = MerkleTree()
    for node in levels[level] { tree.append(node) }
    levels[level] = []
    try take(tree.root, level: level + 1)
  }

  /// The partial tiles, and the checkpoint last: a reader that finds it finds everything.
  func finish(_ checkpoint: [UInt8]) throws(LogError) {
    for (level, hashes) in levels.enumerated() where !hashes.isEmpty {
      try write("tile/\(level)", counts[level], hashes.count, hashes.flatMap(\.bytes))
    }
    if entryCount % Self.width != 0 {
      try write(
        "tile/entries", UInt64(entryCount / Self.width), entryCount % Self.width, entries)
    }
    try put(["checkpoint"], checkpoint)
  }

  private func write(
    _ prefix: String, _ number: UInt64, _ partial: Int?, _ bytes: [UInt8]
  ) throws(LogError) {
    var parts = prefix.split(separator: "/").map(String.init) + Self.path(number)
    if let partial {
      parts[parts.count - 1] += ".p"
      parts.append("\(partial)")
    }
    try put(parts, bytes)
  }

  /// Groups of three digits, all but the last marked: 1234067 is `x001`, `x234`, `067`.
  static func path(_ number: UInt64) -> [String] {
    func three(_ value: UInt64) -> String {
      let text = String(value)
      return String(repeating: "0", count: 3 - text.count) + text
    }
    var parts = [three(number % 1000)]
    var rest = number / 1000
    while rest > 0 {
      parts.insert("x" + three(rest % 1000), at: 0)
      rest /= 1000
    }
    return parts
  }

  private func put(_ parts: [String], _ bytes: [UInt8]) throws(LogError) {
    try calling { () throws(SyscallError) in
      var place = try Files.open(ByteString("."), O_RDONLY | O_DIRECTORY, at: directory)
      for part in parts.dropLast() {
        do throws(SyscallError) {
          try Files.makeDirectory(ByteString(part), mode: 0o755, at: place.raw)
        } catch {
          if error.errno != EEXIST { throw error }
        }
        place = try Files.open(
          ByteString(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: place.raw)
      }
      try Files.create(
        ByteString(parts[parts.count - 1]), mode: 0o644, contents: bytes, at: place.raw)
    }
  }
}

extension LogVerifier {
  /// Writes the signed part of the log as tiles, after it was verified.
  /// - Parameter path: of a directory that is not there yet.
  public func exportTiles(to path: String, key: VerifierKey) throws(LogError) {
    let finding = try verify(key: key)
    let directory = try calling { () throws(SyscallError) in
      try Files.makeDirectory(ByteString(path), mode: 0o755)
      return try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
    do throws(LogError) {
      var tiles = LogTiles(directory.raw)
      var count: UInt64 = 0
      try eachEntry { (line) throws(LogError) in
        guard count < finding.checkpoint.size else { return }
        count += 1
        try tiles.take(line)
      }
      try tiles.finish(finding.note.bytes)
    } catch {
      // A half would be taken for the whole, and stand in the way of the next.
      try? Files.removeTree(ByteString(path))
      throw error
    }
  }
}
