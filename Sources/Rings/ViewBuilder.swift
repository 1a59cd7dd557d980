internal import LaunchPlan
internal import Paths

/// Builds the mount steps of a private root path by path. It keeps a picture of what stands already, so
/// that parents, links and nested mounts come out in an order that can be executed.
struct ViewBuilder {
  /// What stands at a path of the new root.
  enum Node: Equatable {
    case directory
    case file
    case symbolicLink
    /// A part of the host: everything below is there already.
    case host
    /// A file system of its own, empty.
    case own
  }

  /// A chain of links that is longer is a loop (path_resolution(7)).
  static let maximumLinks = 40

  let host: any HostView
  private(set) var steps: [LaunchPlan.MountStep] = []
  private(set) var nodes: [String: Node] = ["/": .own]
  /// Directories of the host that were looked at already: most paths share their beginnings.
  private var seenOnHost: [String: Node] = [:]

  init(host: any HostView) { self.host = host }

  /// A directory of the new root with its parents.
  mutating func directory(_ path: String, mode: UInt32 = 0o755) {
    guard nodes[path] == nil, !isInsideHost(path) else { return }
    directory(PathText.parent(path))
    nodes[path] = .directory
    steps.append(.directory(path: Array(path.utf8), mode: mode))
  }

  mutating func file(_ path: String, mode: UInt32 = 0o644, contents: String) {
    file(path, mode: mode, bytes: Array(contents.utf8))
  }

  mutating func file(_ path: String, mode: UInt32, bytes: [UInt8]) {
    directory(PathText.parent(path))
    nodes[path] = .file
    steps.append(.file(path: Array(path.utf8), mode: mode, contents: bytes))
  }

  mutating func symbolicLink(_ path: String, to target: String) {
    guard nodes[path] == nil, !isInsideHost(path) else { return }
    directory(PathText.parent(path))
    nodes[path] = .symbolicLink
    steps.append(.symbolicLink(path: Array(path.utf8), target: Array(target.utf8)))
  }

  /// A file system of our own on a directory that is made for it.
  mutating func mount(_ path: String, _ step: LaunchPlan.MountStep) {
    directory(path)
    nodes[path] = .own
    steps.append(step)
  }

  /// A step that covers something that stands already.
  mutating func cover(_ step: LaunchPlan.MountStep) { steps.append(step) }

  /// Shows a part of the host at its own path: links on the way are made again as links, and where they
  /// lead is shown as well.
  /// - Returns: the canonical path that was mounted; nil when nothing is there.
  mutating func show(
    _ path: String, options: LaunchPlan.MountOptions, judged: LaunchPlan.Judged? = nil,
    owner: LaunchPlan.Owner? = nil, evenInside: Bool = false
  ) -> String? {
    var rest = PathText.components(path)
    var here = ""
    var links = 0
    while !rest.isEmpty {
      let next = here + "/" + rest.removeFirst()
      if !rest.isEmpty, seenOnHost[next] != nil {
        here = next
        continue
      }
      guard let kind = host.kind(of: next) else { return nil }
      if kind == .symbolicLink {
        links += 1
        guard links <= Self.maximumLinks, let target = host.linkTarget(of: next) else { return nil }
        symbolicLink(next, to: target)
        let base = target.utf8.first == UInt8(ascii: "/") ? [] : PathText.components(here)
        rest = Self.normalised(base + PathText.components(target)) + rest
        here = ""
        continue
      }
      if rest.isEmpty { return bind(next, kind, options, judged, owner, evenInside: evenInside) }
      if kind == .directory { seenOnHost[next] = .directory }
      here = next
    }
    return nil
  }

  private mutating func bind(
    _ path: String, _ kind: HostFileKind, _ options: LaunchPlan.MountOptions,
    _ judged: LaunchPlan.Judged?, _ owner: LaunchPlan.Owner?, evenInside: Bool
  ) -> String {
    if !evenInside && (isInsideHost(path) || nodes[path] == .host) { return path }
    if !isInsideHost(path) && nodes[path] == nil {
      if kind == .directory { directory(path) } else { file(path, contents: "") }
    }
    nodes[path] = .host
    steps.append(
      .bind(
        source: Array(path.utf8), target: Array(path.utf8), options: options, judged: judged,
        owner: owner))
    return path
  }

  /// An overlay at the path of the directory that it covers.
  /// - Returns: false when nothing is there.
  mutating func overlay(at path: String) -> Bool {
    let before = steps.count
    guard show(path, options: [], evenInside: true) == path, steps.count > before else {
      return false
    }
    steps[steps.count - 1] = .overlay(path: Array(path.utf8))
    return true
  }

  /// Whether a mounted part of the host covers the path.
  func isInsideHost(_ path: String) -> Bool {
    var here = path
    while here != "/" {
      here = PathText.parent(here)
      switch nodes[here] {
      case .host: return true
      case .own: return false
      default: continue
      }
    }
    return false
  }

  /// Without `.` and `..`, which the caller's links may contain.
  static func normalised(_ components: [String]) -> [String] {
    var out: [String] = []
    for component in components where component != "." {
      if component == ".." { _ = out.popLast() } else { out.append(component) }
    }
    return out
  }
}
