internal import Glibc
internal import Kernel
internal import Paths

/// Where a path that somebody named leads, with the symbolic links on the way (path_resolution(7)).
///
/// A link in a directory that a ring may write, or could in an earlier run, is nobody's word: followed, it would make the
/// supervisor show or write what the agent chose.
enum LinkWalk {
  /// A chain that is longer is a loop (path_resolution(7)).
  private static let linksMax = 40

  /// The canonical path, like realpath(3).
  /// - Parameter meet: sees the path of each symbolic link on the way.
  static func canonical(
    _ path: String, meet: (String) throws(SyscallError) -> Void
  ) throws(SyscallError) -> String {
    let slash = UInt8(ascii: "/")
    var here = path.utf8.first == slash ? "" : try Files.workingDirectory().text
    if here == "/" { here = "" }
    var rest = PathText.components(path)
    var links = 0
    while !rest.isEmpty {
      let part = rest.removeFirst()
      if part == "." { continue }
      if part == ".." {
        here = here.isEmpty || PathText.parent(here) == "/" ? "" : PathText.parent(here)
        continue
      }
      let next = here + "/" + part
      guard try Files.status(of: ByteString(next), followLink: false).kind == .symbolicLink else {
        here = next
        continue
      }
      try meet(next)
      links += 1
      guard links <= linksMax else { throw loop(next) }
      let target = try Files.readLink(ByteString(next)).text
      if target.utf8.first == slash { here = "" }
      rest = PathText.components(target) + rest
    }
    return here.isEmpty ? "/" : here
  }

  /// - Throws: ELOOP, with the link, when it lies in one of the directories.
  static func refuse(_ link: String, in directories: [String]) throws(SyscallError) {
    if directories.contains(where: { PathText.isInside(link, $0) }) { throw loop(link) }
  }

  private static func loop(_ link: String) -> SyscallError {
    SyscallError(call: "readlink", object: link, errno: ELOOP)
  }
}
