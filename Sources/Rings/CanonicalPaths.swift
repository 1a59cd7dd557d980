internal import Paths

/// Where paths of the host lead with the symbolic links on the way (path_resolution(7)). Directories that were looked at
/// are remembered: most paths share their beginnings.
struct CanonicalPaths {
  let host: any HostView
  private var directories: Set<String> = []

  init(_ host: any HostView) { self.host = host }

  /// - Returns: nil when nothing is there, or a chain of links does not end.
  mutating func canonical(_ path: String) -> String? {
    var rest = ViewBuilder.normalised(PathText.components(path))
    var here = ""
    var links = 0
    while !rest.isEmpty {
      let next = here + "/" + rest.removeFirst()
      if directories.contains(next) {
        here = next
        continue
      }
      guard let kind = host.kind(of: next) else { return nil }
      guard kind == .symbolicLink else {
        if kind == .directory { directories.insert(next) }
        here = next
        continue
      }
      links += 1
      guard links <= ViewBuilder.maximumLinks, let target = host.linkTarget(of: next) else {
        return nil
      }
      let base = target.utf8.first == UInt8(ascii: "/") ? [] : PathText.components(here)
      rest = ViewBuilder.normalised(base + PathText.components(target)) + rest
      here = ""
    }
    return here.isEmpty ? "/" : here
  }
}
