internal import Hashing
public import JSON
internal import Kernel

/// How `agt txn diff` shows a transaction.
extension Transaction {
  /// Longer files are shown by digest: nobody reads them as a difference.
  static let maximumTextBytes = 1 << 20

  /// A unified difference with modes; binary and long files by digest. Lines are safe for a terminal.
  public func unifiedDiff(_ changes: ChangeSet) -> [String] {
    changes.sorted.flatMap { text(of: $0) }
  }

  private func text(of change: Change) -> [String] {
    let name = Display.path(change.path)
    var lines = ["\(change.kind.rawValue) \(name)" + described(change)]
    guard change.after?.kind != .directory || change.before?.kind != .directory else {
      return lines
    }
    if let first = change.linkedTo {
      return lines + ["  the same file as \(Display.path(first))"]
    }
    let old = change.before.map { content(of: change.path, in: .workspace, $0, limit: limit($0)) }
    let new = change.after.map { content(of: change.path, in: .transaction, $0, limit: limit($0)) }
    let isText = [change.before?.kind, change.after?.kind].allSatisfy {
      $0 == nil || $0 == .regular || $0 == .symbolicLink
    }
    guard isText else { return lines }
    if let old = old ?? [], let new = new ?? [], !old.contains(0), !new.contains(0) {
      let hunks = UnifiedDiff.hunks(old, new)
      if hunks.isEmpty { return lines }
      lines.append("--- " + (change.before == nil ? "/dev/null" : "workspace/\(name)"))
      lines.append("+++ " + (change.after == nil ? "/dev/null" : "transaction/\(name)"))
      return lines + hunks
    }
    let before = digest(of: change.path, in: .workspace, change.before)
    let after = digest(of: change.path, in: .transaction, change.after)
    lines.append("  sha256 \(before.map { Hexadecimal.encode($0) } ?? "-")")
    lines.append("      -> \(after.map { Hexadecimal.encode($0) } ?? "-")")
    return lines
  }

  private func limit(_ entry: Entry) -> Int {
    entry.kind == .symbolicLink ? 4096 : Self.maximumTextBytes
  }

  /// ` (mode 644 -> 755, uid 0 -> 1)`, and what is new.
  private func described(_ change: Change) -> String {
    var parts: [String] = []
    switch (change.before, change.after) {
    case (nil, let after?):
      if after.kind == .directory || after.kind == .fifo || after.kind == .socket
        || after.kind == .symbolicLink
      {
        parts.append(Self.name(after.kind))
      }
      if after.kind != .symbolicLink { parts.append("mode \(String(after.mode, radix: 8))") }
    case (let before?, nil):
      if before.kind != .regular { parts.append(Self.name(before.kind)) }
    case (let before?, let after?):
      if before.kind != after.kind {
        parts.append("\(Self.name(before.kind)) -> \(Self.name(after.kind))")
      }
      if before.mode != after.mode {
        parts.append("mode \(String(before.mode, radix: 8)) -> \(String(after.mode, radix: 8))")
      }
      if before.uid != after.uid { parts.append("uid \(before.uid) -> \(after.uid)") }
      if before.gid != after.gid { parts.append("gid \(before.gid) -> \(after.gid)") }
    case (nil, nil): break
    }
    return parts.isEmpty ? "" : " (" + parts.joined(separator: ", ") + ")"
  }

  static func name(_ kind: FileStatus.Kind) -> String {
    switch kind {
    case .regular: "file"
    case .directory: "directory"
    case .symbolicLink: "link"
    case .fifo: "pipe"
    case .socket: "socket"
    case .characterDevice, .blockDevice: "device"
    }
  }

  /// One line a path: letter, bytes and name.
  public func stat(_ changes: ChangeSet) -> [String] {
    var lines = changes.sorted.map { change in
      let letter =
        switch change.kind {
        case .added: "A"
        case .modified: "M"
        case .removed: "D"
        case .attributes: "T"
        }
      let size = change.after.map { $0.kind == .regular ? "\($0.sizeBytes)" : "-" } ?? "-"
      return "\(letter) \(String(repeating: " ", count: max(0, 10 - size.count)))\(size)  "
        + Display.path(change.path) + (change.after?.kind == .directory ? "/" : "")
        + described(change)
    }
    lines.append("\(changes.count) change\(changes.count == 1 ? "" : "s")")
    return lines
  }

  /// Stable keys (docs/transactions.md).
  public func json(_ changes: ChangeSet, _ gated: [Gate.Finding]) -> JSONValue {
    .object([
      "id": .string(id), "workspace": .string(record.workspace),
      "changes": .array(changes.sorted.map(json)),
      "conflicts": .array(
        changes.conflicts.map {
          Self.object(Self.names($0.path) + [("what", .string($0.what))])
        }),
      "gated": .array(
        gated.map { Self.object(Self.names($0.path) + [("reason", .string($0.reason))]) }),
    ])
  }

  /// `path` for people; `pathHex` as well when the name is not UTF-8.
  private static func names(_ path: [UInt8]) -> [(String, JSONValue)] {
    let text = String(decoding: path, as: UTF8.self)
    let isExact = text.utf8.elementsEqual(path)
    return [("path", .string(text))]
      + (isExact ? [] : [("pathHex", .string(Hexadecimal.encode(path)))])
  }

  private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
    var object = JSONObject()
    for (name, value) in members { object[name] = value }
    return .object(object)
  }

  private func json(_ change: Change) -> JSONValue {
    let entry = { (entry: Entry?) -> JSONValue in
      guard let entry else { return .null }
      return .object([
        "kind": .string(Self.name(entry.kind)), "mode": .string(String(entry.mode, radix: 8)),
        "uid": JSONValue(entry.uid), "gid": JSONValue(entry.gid),
        "size": JSONValue(entry.sizeBytes),
      ])
    }
    let digest = digest(of: change.path, in: .transaction, change.after)
    return Self.object(
      Self.names(change.path) + [
        ("change", .string(change.kind.rawValue)), ("before", entry(change.before)),
        ("after", entry(change.after)),
        ("sha256", JSONValue(digest.map { Hexadecimal.encode($0) })),
      ])
  }
}
