internal import Glibc
internal import Kernel
internal import Paths
internal import Policy

/// Where a path leads, as far as anything is there: what the policy judges before anybody hears whether a file exists.
///
/// An agent can put a link of its own to a place outside. Were a path that leads nowhere judged as it is written,
/// the kernel's answer would tell what exists behind that link. So links are followed one after the other, each
/// looked at without following another on the way, and what does not exist, or may not be looked at, keeps its
/// name below the place that does. `..` takes back the name that was written before it, which is never looked at:
/// otherwise the answer would tell whether that is a link. Everything here may block, and belongs in a thread.
enum PathWalk {
  /// A chain that is longer is a loop (path_resolution(7)).
  private static let linksMax = 40

  /// - Parameters:
  ///   - asked: absolute.
  ///   - followsLast: false for a name that is to be created.
  /// - Returns: a path without links as far as it exists, and why it cannot be used, when that is known already.
  static func end(of asked: String, followsLast: Bool = true) -> (path: String, errno: Int32?) {
    let whole = PolicyPath.normalize(asked)
    if followsLast, !isOfProc(whole), isWithoutLinks(whole) { return (whole, nil) }
    var here: [String] = []
    var rest = Array(PathText.components(whole).reversed())
    var links = 0
    while let name = rest.popLast() {
      here.append(name)
      let path = text(here)
      // What a link of the kernel's own leads to is no path, and nothing there is opened for anybody.
      if isOfProc(path) || rest.isEmpty && !followsLast { break }
      let target: [UInt8]?
      do throws(SyscallError) { target = try link(path) } catch { break }
      guard let target else { continue }
      links += 1
      guard links <= linksMax else { return (text(here + rest.reversed()), ELOOP) }
      guard let words = String(validating: target, as: UTF8.self) else {
        return (text(here + rest.reversed()), EILSEQ)
      }
      here.removeLast()
      // `here` has no links, so that its parent is what is written before it.
      let joined = PolicyPath.normalize(
        words.utf8.first == UInt8(ascii: "/") ? words : text(here) + "/" + words)
      here = []
      rest += PathText.components(joined).reversed()
    }
    return (text(here + rest.reversed()), nil)
  }

  private static func text(_ names: [String]) -> String { "/" + names.joined(separator: "/") }

  private static func isOfProc(_ path: String) -> Bool {
    PathText.isInside(path, "/proc")
  }

  private static func isWithoutLinks(_ path: String) -> Bool {
    let place = try? Files.open(
      ByteString(path), FileLook.pathOnly, resolve: [.noMagicLinks, .noSymlinks])
    return place.raw != nil
  }

  /// The target of a link; nil for what is none. On the way to it there is none.
  private static func link(_ path: String) throws(SyscallError) -> [UInt8]? {
    let place = try Files.open(
      ByteString(path), FileLook.pathOnly | O_NOFOLLOW, resolve: [.noMagicLinks, .noSymlinks])
    guard try Files.status(place.raw).kind == .symbolicLink else { return nil }
    return Array(try Files.readLink(ByteString(""), at: place.raw))
  }
}
