internal import Hashing
internal import Kernel

/// What a commit does, written down before the first of it is done. Each step can be done again.
///
/// One line a step, paths in hexadecimal, and at the end the number of lines and the digest of all of them:
/// a manifest is there as a whole or not at all.
struct Manifest: Equatable {
  enum Step: Equatable {
    /// The leaves first.
    case removeFile(ByteString)
    case removeDirectory(ByteString)
    case makeDirectory(ByteString)
    /// Staged file `number` takes its place; the digest is that of a regular file's content.
    case place(ByteString, number: Int, digest: [UInt8]?)
    /// Takes mode, owner, attributes and times from the upper layer; the root is the empty path.
    case settle(ByteString)

    var path: ByteString {
      switch self {
      case .removeFile(let path), .removeDirectory(let path), .makeDirectory(let path),
        .place(let path, _, _), .settle(let path):
        path
      }
    }
  }

  var steps: [Step] = []
  /// Only some of the changes: the transaction goes on with the others.
  var isPartial = false

  init(steps: [Step], isPartial: Bool) {
    self.steps = steps
    self.isPartial = isPartial
  }

  /// The steps of these changes. Staged files are numbered in their order.
  /// - Parameter digests: of the regular files, by number.
  init(_ changes: ChangeSet, _ digests: [Int: [UInt8]], isPartial: Bool) {
    self.isPartial = isPartial
    for change in changes.removals {
      steps.append(
        change.before?.kind == .directory
          ? .removeDirectory(change.path) : .removeFile(change.path))
    }
    var number = 0
    for change in changes.additions {
      if change.after?.kind == .directory {
        if change.before?.kind != .directory { steps.append(.makeDirectory(change.path)) }
        continue
      }
      steps.append(.place(change.path, number: number, digest: digests[number]))
      number += 1
    }
    // The leaves first: whatever is done below a directory changes its times.
    for path in changes.directories.reversed() { steps.append(.settle(path)) }
  }

  var encoded: [UInt8] {
    var text = "agt-txn 1 \(isPartial ? "part" : "all")\n"
    for step in steps {
      switch step {
      case .removeFile(let path): text += "remove \(Hexadecimal.encode(path))\n"
      case .removeDirectory(let path): text += "rmdir \(Hexadecimal.encode(path))\n"
      case .makeDirectory(let path): text += "mkdir \(Hexadecimal.encode(path))\n"
      case .place(let path, let number, let digest):
        text +=
          "place \(Hexadecimal.encode(path)) \(number) \(digest.map { Hexadecimal.encode($0) } ?? "-")\n"
      case .settle(let path): text += "settle \(path.isEmpty ? "." : Hexadecimal.encode(path))\n"
      }
    }
    let bytes = Array(text.utf8)
    return bytes + Array("end \(steps.count) \(Hexadecimal.encode(SHA256.digest(bytes)))\n".utf8)
  }

  init(decoding bytes: [UInt8]) throws(TransactionError) {
    let damaged = TransactionError(.refused, "its manifest is damaged")
    var lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
    guard lines.count >= 3, lines.removeLast().isEmpty else { throw damaged }
    let last = Self.words(lines.removeLast())
    let body = bytes[..<(lines.last!.endIndex + 1)]
    guard last.count == 3, last[0] == ByteString("end"),
      last[1] == ByteString("\(lines.count - 1)"),
      last[2] == ByteString(Hexadecimal.encode(SHA256.digest(Array(body))))
    else { throw damaged }
    let head = Self.words(lines.removeFirst())
    guard head.count == 3, head[0] == ByteString("agt-txn"), head[1] == ByteString("1"),
      head[2] == ByteString("part") || head[2] == ByteString("all")
    else { throw damaged }
    isPartial = head[2] == ByteString("part")
    for line in lines {
      guard let step = Self.step(Self.words(line)) else { throw damaged }
      steps.append(step)
    }
  }

  private static func words(_ line: ArraySlice<UInt8>) -> [ByteString] {
    line.split(separator: 32, omittingEmptySubsequences: false).map { Array($0) }
  }

  private static func step(_ words: [ByteString]) -> Step? {
    guard words.count >= 2 else { return nil }
    if words[0] == ByteString("settle"), words[1] == ByteString(".") {
      return words.count == 2 ? .settle([]) : nil
    }
    guard let path = Hexadecimal.decode(words[1]), isProper(path) else { return nil }
    switch (words[0].text, words.count) {
    case ("remove", 2): return .removeFile(path)
    case ("rmdir", 2): return .removeDirectory(path)
    case ("mkdir", 2): return .makeDirectory(path)
    case ("settle", 2): return .settle(path)
    case ("place", 4):
      guard let number = Int(words[2].text), number >= 0 else { return nil }
      if words[3] == ByteString("-") { return .place(path, number: number, digest: nil) }
      guard let digest = Hexadecimal.decode(words[3]), digest.count == 32 else { return nil }
      return .place(path, number: number, digest: digest)
    default: return nil
    }
  }

  /// Relative, and without a component that is empty, `.` or `..`.
  private static func isProper(_ path: ByteString) -> Bool {
    !path.isEmpty && !path.contains(0)
      && path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
        !$0.isEmpty && !$0.elementsEqual([46]) && !$0.elementsEqual([46, 46])
      }
  }
}
