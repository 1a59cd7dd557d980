internal import Paths
internal import YAML

/// `governance.yaml` files in the folders above a path, merged from the root down.
///
/// A folder may add rules and replace rules of the folders above it by `override: true`. What a
/// folder above denies stays denied: neither a rule of the same name, nor a higher priority, nor
/// `inherit: false` sets it aside. An agent that can write such a file can still allow what nothing
/// above denies, so the files must lie where the agent cannot write.
public enum FolderPolicies {
  /// In this order; the first that exists in a folder counts.
  public static let names = ["governance.yaml", "governance.yml"]

  static func isGovernanceFile(_ name: String) -> Bool {
    names.contains { name == $0 || name.hasSuffix("/" + $0) }
  }

  /// The set for one path, or nil when no file applies and the usual set decides.
  ///
  /// - Parameters:
  ///   - path: Absolute and resolved. One that is not under `root` has no files.
  ///   - root: Absolute; nothing above it is read.
  ///   - loader: Reads a file by its absolute path.
  public static func load(
    path: String, root: String, strategy: ConflictStrategy? = nil,
    loader: (String) -> LoadedFile
  ) throws(PolicyError) -> PolicySet? {
    let root = PolicyPath.normalize(root)
    let path = PolicyPath.normalize(path)
    guard root.utf8.first == UInt8(ascii: "/"), PolicyPath.isPath(path, under: root) else {
      return nil
    }
    var builder = SetBuilder()
    var chain: [FieldDocument] = []
    for folder in folders(path, root) {
      do {
        guard let document = try document(folder, loader, &builder) else { continue }
        if try isInScope(document, path, root) { chain.append(document) }
      } catch {
        builder.report(error)
      }
    }
    if chain.isEmpty && builder.problems.isEmpty { return nil }
    if let last = chain.last {
      FieldDocument.add(last.header, merge(chain), file: last.file, to: &builder)
    }
    return try PolicySet(builder, strategy: strategy)
  }

  /// From the root to the path itself, which may be a folder.
  private static func folders(_ path: String, _ root: String) -> [String] {
    var folders = [root == "/" ? "" : root]
    for component in PathText.components(PathText.below(path, root) ?? "") {
      folders.append(folders[folders.count - 1] + "/" + component)
    }
    return folders
  }

  private static func document(
    _ folder: String, _ loader: (String) -> LoadedFile, _ builder: inout SetBuilder
  ) throws(YAMLError) -> FieldDocument? {
    for name in names {
      let file = folder + "/" + name
      switch loader(file) {
      case .missing: continue
      case .unreadable(let reason):
        throw YAMLError(file: file, line: 1, column: 1, message: "cannot be read: \(reason)")
      case .bytes(let bytes):
        builder.files.append((file, bytes))
        let root = try YAMLParser.parse(bytes, file: file)
        guard try DocumentReader.form(root, file) == .document else {
          throw root.error(file, "conditions in \(name) are {field, operator, value}")
        }
        return try FieldDocument(root, file: file, into: &builder)
      }
    }
    return nil
  }

  private static func isInScope(
    _ document: FieldDocument, _ path: String, _ root: String
  ) throws(YAMLError) -> Bool {
    guard let scope = document.header.scope else { return true }
    let relative = path == root ? "." : String(path.dropFirst(root == "/" ? 1 : root.count + 1))
    do {
      return try Glob(scope, isFlat: true).matches(relative)
    } catch {
      throw (document.scopeNode!).error(
        document.file, "the scope \(Text.quote(scope)) has \(error.message)")
    }
  }

  /// One rule a name. Above the deepest `inherit: false` only what denies is kept.
  private static func merge(_ chain: [FieldDocument]) -> [FieldDocument.Parsed] {
    let start = chain.lastIndex { !$0.header.isInheriting } ?? 0
    var merged: [FieldDocument.Parsed] = []
    for (level, document) in chain.enumerated() {
      for var rule in document.rules {
        rule.level = level
        if level < start && rule.verdict != .deny { continue }
        guard let index = merged.firstIndex(where: { $0.id == rule.id }) else {
          merged.append(rule)
          continue
        }
        if rule.isOverride && merged[index].verdict != .deny { merged[index] = rule }
      }
    }
    return merged
  }
}
