internal import Kernel
internal import Paths
internal import Rings
internal import YAML

/// Where a setting of a profile is written: its own file first, then those that it extends.
struct ProfileLocator {
  private var documents: [(file: String, root: YAMLNode)] = []

  /// A chain of profiles is as long as the loader lets it be.
  private static let documentsMax = 8

  /// - Parameter file: of the profile; nil for a shipped ring.
  init(ring: UInt8, file: String?) {
    var next: (file: String, bytes: [UInt8])?
    if let file {
      next = (try? ProfileSource.read(file)).map { (file, $0) }
    } else {
      next = Self.shipped(ring)
    }
    while let (name, bytes) = next, documents.count < Self.documentsMax,
      let root = try? YAMLParser.parse(bytes, file: name)
    {
      documents.append((name, root))
      next = Self.child(root, "extends").flatMap { Self.text($0) }.flatMap {
        Self.base($0, besides: name)
      }
    }
  }

  private static func shipped(_ ring: UInt8) -> (file: String, bytes: [UInt8]) {
    let profile = EmbeddedProfiles.all[Int(ring)]
    return ("Profiles/ring\(ring).yaml", Array(profile.text.utf8))
  }

  private static func base(
    _ name: String, besides file: String
  ) -> (file: String, bytes: [UInt8])? {
    if let ring = RingProfile.ring(named: name) { return shipped(ring) }
    let path = name.hasPrefix("/") ? name : PathText.parent(file) + "/" + name
    return (try? ProfileSource.read(path)).map { (path, $0) }
  }

  // MARK: places

  /// `Profiles/ring3.yaml:392` of `limits.wall`, say; nil when no file has it.
  func setting(_ keys: [String]) -> String? {
    for (file, root) in documents {
      var node = root
      var line: Int?
      for key in keys {
        guard let entry = Self.entry(node, key) else {
          line = nil
          break
        }
        node = entry.value
        line = entry.key.line
      }
      if let line { return "\(file):\(line)" }
    }
    return nil
  }

  /// Of the rule for a path, in `filesystem.read`, `write` or `hide`.
  func pathRule(_ path: String) -> String? {
    for (file, root) in documents {
      for list in ["read", "write", "hide"] {
        guard let filesystem = Self.child(root, "filesystem"),
          let rules = Self.child(filesystem, list), case .sequence(let items) = rules.content
        else { continue }
        for item in items where Self.child(item, "path").flatMap({ Self.text($0) }) == path {
          return "\(file):\(item.line)"
        }
      }
    }
    return nil
  }

  /// Of a system call in a group that refuses it.
  func refusal(of call: String) -> String? {
    for (file, root) in documents {
      guard let syscalls = Self.child(root, "syscalls"),
        let groups = Self.child(syscalls, "groups"), case .sequence(let items) = groups.content
      else { continue }
      for group in items {
        for kind in ["violation", "deny", "fail"] {
          if let line = Self.child(group, kind).flatMap({ Self.line(of: call, in: $0) }) {
            return "\(file):\(line)"
          }
        }
      }
    }
    return nil
  }

  /// The first scalar with this text, at any depth.
  private static func line(of text: String, in node: YAMLNode) -> Int? {
    switch node.content {
    case .scalar(let found, _): return found == text ? node.line : nil
    case .sequence(let items):
      for item in items { if let line = line(of: text, in: item) { return line } }
    case .mapping(let entries):
      for entry in entries { if let line = line(of: text, in: entry.value) { return line } }
    }
    return nil
  }

  private static func entry(_ node: YAMLNode, _ key: String) -> YAMLNode.Entry? {
    guard case .mapping(let entries) = node.content else { return nil }
    return entries.first { text($0.key) == key }
  }

  private static func child(_ node: YAMLNode, _ key: String) -> YAMLNode? {
    entry(node, key)?.value
  }

  private static func text(_ node: YAMLNode) -> String? {
    guard case .scalar(let text, _) = node.content else { return nil }
    return text
  }
}
