/// Paths as the kernel reads them: bytes between slashes (path_resolution(7)).
///
/// A `Character` can be a slash with the combining mark behind it, and texts of different bytes can be equal: neither
/// may decide where a file lies, or a name that somebody else chose would lead out of a directory that is closed.
public enum PathText {
  private static let slash = UInt8(ascii: "/")

  /// `a` and `b` of `/a//b/`.
  public static func components(_ path: String) -> [String] {
    Array(path.utf8).split(separator: slash).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Whether a path is that directory or lies below it; both without `.`, `..` and doubled slashes.
  public static func isInside(_ path: String, _ directory: String) -> Bool {
    let (path, directory) = (path.utf8Span.span, directory.utf8Span.span)
    let isRoot = directory.count == 1 && directory[0] == slash
    let count = isRoot ? 0 : directory.count
    guard path.count >= count else { return false }
    for index in 0..<count where path[index] != directory[index] { return false }
    return path.count == count || path[count] == slash
  }

  /// What follows the directory and a slash; empty for the directory itself, nil for what lies elsewhere.
  public static func below(_ path: String, _ directory: String) -> String? {
    var directory = directory.utf8[...]
    if directory.count == 1, directory.first == slash { directory = "".utf8[...] }
    guard path.utf8.starts(with: directory) else { return nil }
    let rest = path.utf8.dropFirst(directory.count)
    guard let first = rest.first else { return "" }
    return first == slash ? String(decoding: rest.dropFirst(), as: UTF8.self) : nil
  }

  /// The directory that holds it; `/` for what lies there, and for a name alone.
  public static func parent(_ path: String) -> String {
    guard let last = path.utf8.lastIndex(of: slash), last != path.utf8.startIndex else {
      return "/"
    }
    return String(decoding: path.utf8[..<last], as: UTF8.self)
  }

  /// Whether both are the same bytes.
  public static func areEqual(_ first: String, _ second: String) -> Bool {
    first.utf8.elementsEqual(second.utf8)
  }
}
