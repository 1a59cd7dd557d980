import Audit
import AuditStore
import TestSupport
import Testing

/// C2SP tlog-tiles: a reader who has only the tiles gets the entries, and the root that was signed.
@Suite struct TilesTests {
  private func exported(_ count: Int) throws -> (site: LogSite, place: String) {
    let site = LogSite()
    let writer = try site.create()
    for number in 0..<count { try site.append(writer, number, commit: false) }
    try writer.commit()
    let place = site.scratch.path + "/tiles"
    try LogVerifier(site.path).exportTiles(to: place, key: site.verifier)
    return (site, place)
  }

  private func tile(_ place: String, _ kind: String, _ number: Int, _ count: Int) throws -> [UInt8]
  {
    let whole = min(256, count - number * 256)
    let digits = "\(number)"
    let name = String(repeating: "0", count: 3 - digits.count) + digits
    let path = "\(place)/tile/\(kind)/\(name)" + (whole == 256 ? "" : ".p/\(whole)")
    return try #require(File.bytes(path), "\(path)")
  }

  @Test(arguments: [1, 255, 256, 257, 600, 1024]) func readers(_ count: Int) throws {
    let (site, place) = try exported(count)
    var tree = MerkleTree()
    var lines: [String] = []
    for number in 0..<(count + 255) / 256 {
      let bundle = try tile(place, "entries", number, count)
      let hashes = try tile(place, "0", number, count)
      var offset = 0
      var subtree = MerkleTree()
      for place in 0..<min(256, count - number * 256) {
        let length = Int(bundle[offset]) << 8 | Int(bundle[offset + 1])
        let line = Array(bundle[offset + 2..<offset + 2 + length])
        offset += 2 + length
        lines.append(String(decoding: line, as: UTF8.self))
        let leaf = MerkleTree.leaf(line)
        #expect(Array(hashes[place * 32..<place * 32 + 32]) == leaf.bytes)
        tree.append(leaf)
        subtree.append(leaf)
      }
      #expect(offset == bundle.count)
      if subtree.size == 256 {
        let above = try tile(place, "1", 0, count / 256)
        #expect(Array(above[number * 32..<number * 32 + 32]) == subtree.root.bytes)
      }
    }
    #expect(lines.joined(separator: "\n") + "\n" == site.scratch.read("log/" + site.segments[0]))
    let note = try SignedNote(parsing: try #require(File.bytes(place + "/checkpoint")))
    let head = try Checkpoint.open(note, key: site.verifier)
    #expect(head.size == UInt64(count) && head.root == tree.root)
  }

  /// What the other formats read of an entry.
  @Test func times() {
    #expect(
      Timestamp.milliseconds(Timestamp.text(milliseconds: 1_764_000_000_123)) == 1_764_000_000_123)
    #expect(Timestamp.milliseconds("2024-02-29T23:59:59.999Z") == 1_709_251_199_999)
    for text in [
      "", "2024-02-30T00:00:00.000Z", "2024-02-29T24:00:00.000Z", "2024-02-29 23:59:59.999Z",
    ] {
      #expect(Timestamp.milliseconds(text) == nil)
    }
  }
}
