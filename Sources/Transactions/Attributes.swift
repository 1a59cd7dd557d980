internal import Glibc
internal import Kernel

/// Which extended attributes a commit carries: those that the agent could set, access control lists, and
/// nothing that gives rights (`security.capability`) or is the kernel's own (`trusted.`, labels).
enum Attributes {
  struct Attribute: Equatable {
    var name: ByteString
    var value: [UInt8]
  }

  /// Sorted by name. What overlayfs had to rename, because it looks like a mark of its own, has the name
  /// again that the agent gave it.
  static func carried(
    of name: ByteString, at directory: Int32, marks: ByteString
  ) throws(SyscallError) -> [Attribute] {
    var all: [Attribute] = []
    for attribute in try Files.extendedAttributeNames(of: name, at: directory) {
      guard let meant = meaning(of: attribute, marks: marks),
        let value = try Files.extendedAttribute(attribute, of: name, at: directory)
      else { continue }
      all.append(Attribute(name: meant, value: value))
    }
    return all.sorted { $0.name.lexicographicallyPrecedes($1.name) }
  }

  /// The name that the agent meant; nil for what is not carried.
  private static func meaning(of attribute: ByteString, marks: ByteString) -> ByteString? {
    if attribute.starts(with: marks) {
      let rest = attribute.dropFirst(marks.count)
      let escape = ByteString("overlay.")
      guard marks.starts(with: ByteString("user.")), rest.starts(with: escape) else { return nil }
      return marks + rest.dropFirst(escape.count)
    }
    if attribute.starts(with: ByteString("user.")) { return attribute }
    if attribute.starts(with: ByteString("system.posix_acl_")) { return attribute }
    return nil
  }

  /// Makes those of a file be exactly these, as far as a commit carries them.
  static func set(
    _ wanted: [Attribute], of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    for attribute in try Files.extendedAttributeNames(of: name, at: directory)
    where attribute.starts(with: ByteString("user."))
      || attribute.starts(with: ByteString("system.posix_acl_"))
    {
      if wanted.contains(where: { $0.name == attribute }) { continue }
      try Files.removeExtendedAttribute(attribute, of: name, at: directory)
    }
    for attribute in wanted
    where try Files.extendedAttribute(attribute.name, of: name, at: directory) != attribute.value {
      try Files.setExtendedAttribute(
        attribute.name, attribute.value, of: name, at: directory)
    }
  }

  /// The overlay's own marks, which a file of the layers loses when it is taken over as it is; nil when it
  /// has something else that the workspace must not get, or must get under another name: it is copied then.
  static func marksToRemove(
    of name: ByteString, at directory: Int32, marks: ByteString
  ) throws(SyscallError) -> [ByteString]? {
    var found: [ByteString] = []
    for attribute in try Files.extendedAttributeNames(of: name, at: directory) {
      let meant = meaning(of: attribute, marks: marks)
      if meant == attribute { continue }
      // Labels are the system's to set, and it does.
      let isLabel =
        attribute.starts(with: ByteString("security."))
        && attribute != ByteString("security.capability")
      if isLabel { continue }
      guard meant == nil, attribute.starts(with: marks) else { return nil }
      found.append(attribute)
    }
    return found
  }
}

extension Attributes {
  /// Whether it is the agent's, under the name that it has in the layers, and no mark of overlayfs.
  static func isOfFile(_ attribute: ByteString, marks: ByteString) -> Bool {
    meaning(of: attribute, marks: marks) != nil
  }
}
