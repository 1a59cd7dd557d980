extension RingProfile {
  /// What a ring may do with a path of the host.
  public enum PathAccess: Int, Comparable, Sendable {
    case none, readOnly, readWrite

    public static func < (a: PathAccess, b: PathAccess) -> Bool { a.rawValue < b.rawValue }

    var text: String {
      switch self {
      case .none: "not visible"
      case .readOnly: "ro"
      case .readWrite: "rw"
      }
    }
  }

  /// The access to a path, from the rule for it or for the nearest directory above that has one.
  ///
  /// The workspace and scratch space are not paths of a profile and are not looked at here.
  public func access(_ path: String) -> PathAccess {
    var best: (depth: Int, access: PathAccess)?
    let lists: [(rules: [PathRule], access: PathAccess)] = [
      (filesystem.hide, .none), (filesystem.read, .readOnly), (filesystem.write, .readWrite),
    ]
    for (rules, access) in lists {
      for rule in rules where Self.isUnder(path, rule.path) {
        let depth = rule.path.utf8.count
        if depth > best?.depth ?? -1 { best = (depth, access) }
      }
    }
    if let best { return best.access }
    switch (root, landlock.files) {
    case (.private, _): return .none
    case (.host, .none): return .readWrite
    // Under Landlock's write scope the rest of the host is for reading.
    case (.host, .write), (.host, .full): return .readOnly
    }
  }

  /// Whether a path is `directory` or below it. Components are compared: /data2 is not under /data.
  static func isUnder(_ path: String, _ directory: String) -> Bool {
    guard path.hasPrefix(directory) else { return false }
    let rest = path.utf8.dropFirst(directory.utf8.count)
    return rest.isEmpty || rest.first == UInt8(ascii: "/") || directory == "/"
  }
}
