internal import YAML

extension ProfileReader {
  mutating func filesystem(
    _ node: YAMLNode, _ filesystem: inout RingProfile.Filesystem
  ) throws(YAMLError) {
    let lists = ["read", "write", "hide"]
    let section = try ProfileSection(
      node, file: file,
      keys: ["workspace", "proc"] + lists + ["scratch"] + (isDerived ? ["without"] : []))
    if let node = try value(section, "workspace") {
      filesystem.workspace = try choice(node, "filesystem.workspace")
    }
    if let node = try value(section, "proc") {
      filesystem.proc = try choice(node, "filesystem.proc")
    }
    if let node = section["without"] { try without(node, &filesystem) }
    if let node = section["read"] { try paths(node, "read", &filesystem.read) }
    if let node = section["write"] { try paths(node, "write", &filesystem.write) }
    if let node = section["hide"] { try paths(node, "hide", &filesystem.hide) }
    if let node = section["scratch"] { try scratch(node, &filesystem.scratch) }
    let count = filesystem.read.count + filesystem.write.count + filesystem.hide.count
    guard count <= ProfileLimits.pathsMax else {
      throw node.error(file, "\(count) paths; at most \(ProfileLimits.pathsMax) are read")
    }
    var counts: [String: Int] = [:]
    for rules in [filesystem.read, filesystem.write, filesystem.hide] {
      for rule in rules { counts[rule.path, default: 0] += 1 }
    }
    guard let path = counts.first(where: { $0.value > 1 })?.key else { return }
    var place = node
    for list in lists { place = places["filesystem.\(list) \(path)"] ?? place }
    throw place.error(file, "\"\(path)\" is read, written or hidden twice; name it once")
  }

  /// Takes inherited entries away.
  private func without(
    _ node: YAMLNode, _ filesystem: inout RingProfile.Filesystem
  ) throws(YAMLError) {
    for item in try node.sequence(file) {
      let path = try item.string(file)
      let known = (filesystem.read + filesystem.write + filesystem.hide).map(\.path)
      guard known.contains(path) else {
        throw item.error(
          file,
          "\"\(path)\" is not inherited"
            + Suggestion.text(path, among: known, else: "remove it"))
      }
      filesystem.read.removeAll { $0.path == path }
      filesystem.write.removeAll { $0.path == path }
      filesystem.hide.removeAll { $0.path == path }
    }
  }

  /// Appends a list's entries; an entry for an inherited path replaces it.
  private mutating func paths(
    _ node: YAMLNode, _ list: String, _ rules: inout [RingProfile.PathRule]
  ) throws(YAMLError) {
    for item in try node.sequence(file) {
      let section = try ProfileSection(item, file: file, keys: ["path", "optional", "why"])
      let path = try path(of: item)
      let why = try ProfileSection.sentence(
        section.require("why", "say what needs this path"), file)
      let rule = RingProfile.PathRule(
        path: path, optional: try section["optional"]?.boolean(file) ?? false, why: why)
      let what = "filesystem.\(list) \(path)"
      if places[what] != nil { throw item.error(file, "\"\(path)\" is there twice; name it once") }
      places[what] = item
      whys[what] = why
      if let index = rules.firstIndex(where: { $0.path == path }) {
        rules[index] = rule
      } else {
        rules.append(rule)
      }
    }
  }

  private func path(of item: YAMLNode) throws(YAMLError) -> String {
    var reader = try YAMLMappingReader(item, file: file)
    let node = try reader.require("path")
    let text = try node.string(file)
    if let fault = Self.fault(text) { throw node.error(file, "\"\(text)\" \(fault)") }
    return text
  }

  /// Why a path is refused. Paths are compared component by component, so each has one spelling.
  static func fault(_ path: String) -> String? {
    let bytes = path.utf8.span
    guard bytes.count <= ProfileLimits.pathMaxBytes else {
      return "is longer than \(ProfileLimits.pathMaxBytes) bytes"
    }
    var start: Int
    if path.hasPrefix("/") {
      start = 1
    } else if path.hasPrefix("~/") {
      start = 2
    } else {
      return "is not absolute; write /… or ~/…"
    }
    for index in start...bytes.count {
      let byte = index < bytes.count ? bytes[index] : UInt8(ascii: "/")
      if byte < 0x20 || byte == 0x7f { return "contains a control character" }
      guard byte == UInt8(ascii: "/") else { continue }
      let dots = (start..<index).allSatisfy { bytes[$0] == UInt8(ascii: ".") } ? index - start : 3
      switch dots {
      case 0: return "has an empty component; write each / once and none at the end"
      case 1, 2: return "contains a component . or ..; write the path without it"
      default: start = index + 1
      }
    }
    return nil
  }

  private mutating func scratch(
    _ node: YAMLNode, _ scratch: inout RingProfile.Scratch?
  ) throws(YAMLError) {
    places["filesystem.scratch"] = node
    if case .scalar = node.content {
      guard try node.string(file) == "none" else {
        throw node.error(file, "write none, or {size: 256MiB, inodes: 65536, exec: false}")
      }
      scratch = nil
      return
    }
    let section = try ProfileSection(node, file: file, keys: ["size", "inodes", "exec"])
    var value = scratch
    if value == nil {
      for key in ["size", "inodes", "exec"] { _ = try section.require(key) }
      value = RingProfile.Scratch(sizeBytes: 0, inodes: 0, executable: false)
    }
    if let size = section["size"] { value?.sizeBytes = try size.sizeBytes(file) }
    if let inodes = section["inodes"] {
      value?.inodes = UInt64(try inodes.integer(file, in: 1...Int.max))
    }
    if let exec = section["exec"] { value?.executable = try exec.boolean(file) }
    // tmpfs(5) takes size=0 and nr_inodes=0 for "no limit".
    if value?.sizeBytes == 0 {
      throw node.error(file, "size is 0; write none for no scratch space")
    }
    scratch = value
  }
}
