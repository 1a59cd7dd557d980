internal import Paths

/// Where paths of the host lead with the symbolic links on the way (path_resolution(7)). Directories that were looked at
/// are remembered: most paths share their beginnings.
struct CanonicalPaths {
  let host: any HostView
  /// As bytes: texts of different bytes can be equal.
  private var directories: Set<[UInt8]> = []

  init(_ host: any HostView) { self.host = host }

  /// - Returns: nil when nothing is there, when it may not be seen, or when a chain of links does not end.
  mutating func canonical(_ path: String) -> String? {
    var rest = PathText.components(path)
    var here = ""
    var links = 0
    while !rest.isEmpty {
      let part = rest.removeFirst()
      if part == "." { continue }
      if part == ".." {
        here = PathText.parent(here)
        if here == "/" { here = "" }
        continue
      }
      let next = here + "/" + part
      if directories.contains(Array(next.utf8)) {
        here = next
        continue
      }
      guard let kind = host.kind(of: next) else { return nil }
      guard kind == .symbolicLink else {
        if kind == .directory { directories.insert(Array(next.utf8)) }
        here = next
        continue
      }
      links += 1
      guard links <= ViewBuilder.maximumLinks, let target = host.linkTarget(of: next) else {
        return nil
      }
      if target.utf8.first == UInt8(ascii: "/") { here = "" }
      rest = PathText.components(target) + rest
    }
    return here.isEmpty ? "/" : here
  }
}
