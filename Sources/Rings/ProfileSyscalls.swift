internal import Glibc
internal import YAML

extension ProfileReader {
  mutating func syscalls(
    _ node: YAMLNode, _ policy: inout SyscallPolicy
  ) throws(YAMLError) {
    let section = try ProfileSection(node, file: file, keys: ["default", "groups"])
    if let node = try value(section, "default") {
      places["syscalls.default"] = node
      policy.defaultAction = try defaultAction(node)
    }
    var stated: [StatedCall] = []
    var names: [String] = []
    for item in try value(section, "groups")?.sequence(file) ?? [] {
      let groups = try self.groups(item, &stated)
      let name = groups[0].name
      if names.contains(name) {
        throw item.error(file, "there are two groups \"\(name)\"; join them or rename one")
      }
      names.append(name)
      policy.replace(name, by: groups)
    }
    let refused = stated.filter { $0.action != .allow && $0.call.when.isEmpty }
    policy.remove(Set(refused.map(\.call.name)), exceptIn: Set(names))
    guard policy.groups.count <= ProfileLimits.groupsMax,
      policy.groups.reduce(0, { $0 + $1.calls.count }) <= ProfileLimits.callsMax
    else {
      throw node.error(
        file, "more than \(ProfileLimits.groupsMax) groups or \(ProfileLimits.callsMax) calls")
    }
    try refuseContradictions(stated, policy)
  }

  private func defaultAction(_ node: YAMLNode) throws(YAMLError) -> SyscallPolicy.Default {
    let text = try node.string(file)
    return text == "allow" ? .allow : .fail(errno: try errno(node))
  }

  private func errno(_ node: YAMLNode) throws(YAMLError) -> Int32 {
    let text = try node.string(file)
    if let value = SyscallConstants.errno(text) { return value }
    throw node.error(
      file,
      "\"\(text)\" is no errno"
        + Suggestion.text(
          text, among: SyscallConstants.errnos.map(\.name) + ["allow"],
          else: "write a name of errno(3) such as EPERM"))
  }

  /// A call as one group of this file names it.
  struct StatedCall {
    let group: String
    let action: SyscallPolicy.Action
    let call: SyscallPolicy.Call
    let node: YAMLNode
  }

  // MARK: groups

  /// One group of the file: one value for each kind of answer that it has, all of the same name.
  private mutating func groups(
    _ node: YAMLNode, _ stated: inout [StatedCall]
  ) throws(YAMLError) -> [SyscallPolicy.Group] {
    let section = try ProfileSection(
      node, file: file, keys: ["name", "why", "violation", "deny", "fail", "allow"])
    let name = try ProfileSection.sentence(section.require("name"), file)
    let why = try ProfileSection.sentence(
      section.require("why", "say why group \"\(name)\" is as it is"), file)
    var lists: [(action: SyscallPolicy.Action, calls: YAMLNode)] = []
    if let calls = section["violation"] { lists.append((.violation, calls)) }
    if let calls = section["deny"] { lists.append((.fail(errno: EPERM), calls)) }
    for fail in try failures(section["fail"]) {
      let parts = try ProfileSection(fail, file: file, keys: ["errno", "calls"])
      let errno = try errno(parts.require("errno"))
      if errno == EPERM { throw fail.error(file, "write deny: instead of fail: with EPERM") }
      lists.append((.fail(errno: errno), try parts.require("calls")))
    }
    if let calls = section["allow"] { lists.append((.allow, calls)) }
    var groups: [SyscallPolicy.Group] = []
    for (action, list) in lists {
      var calls: [SyscallPolicy.Call] = []
      for item in try list.sequence(file) {
        let call = try self.call(item)
        stated.append(StatedCall(group: name, action: action, call: call, node: item))
        calls.append(call)
        let what = "syscalls \(call.name)"
        if action == .allow || whys[what] == nil {
          whys[what] = why
          places[what] = item
        }
      }
      guard !calls.isEmpty else {
        throw list.error(file, "names no call; write at least one, or leave the list out")
      }
      groups.append(SyscallPolicy.Group(name: name, why: why, action: action, calls: calls))
    }
    guard !groups.isEmpty else {
      throw node.error(
        file, "group \"\(name)\" names no call; write allow, deny, violation or fail")
    }
    return groups
  }

  /// `fail` is one mapping, or a list of them when a group answers with several errnos.
  private func failures(_ node: YAMLNode?) throws(YAMLError) -> [YAMLNode] {
    guard let node else { return [] }
    if case .sequence(let items) = node.content { return items }
    return [node]
  }

  // MARK: calls and conditions

  private func call(_ node: YAMLNode) throws(YAMLError) -> SyscallPolicy.Call {
    guard case .mapping = node.content else {
      return SyscallPolicy.Call(name: try callName(node), when: [])
    }
    let section = try ProfileSection(node, file: file, keys: ["call", "when"])
    let name = try callName(section.require("call"))
    let list = try section.require("when", "or write only the call's name")
    var conditions: [SyscallPolicy.Condition] = []
    for item in try list.sequence(file) { conditions.append(try condition(item)) }
    guard (1...Self.conditionsMax).contains(conditions.count) else {
      throw list.error(
        file, "a call has 1 to \(Self.conditionsMax) conditions; without, write only its name")
    }
    return SyscallPolicy.Call(name: name, when: conditions)
  }

  /// Two for each argument.
  static let conditionsMax = 12

  private func callName(_ node: YAMLNode) throws(YAMLError) -> String {
    let name = try node.string(file)
    if SyscallTable.lookup(name) != .unknown { return name }
    throw node.error(
      file,
      "there is no system call \"\(name)\""
        + Suggestion.text(name, among: SyscallTable.names, else: "write a name of syscalls(2)"))
  }

  private func condition(_ node: YAMLNode) throws(YAMLError) -> SyscallPolicy.Condition {
    let section = try ProfileSection(
      node, file: file, keys: ["argument", "mask", "in", "notIn", "wide"])
    let argument = UInt8(try section.require("argument").integer(file, in: 0...5))
    let wide = try section["wide"]?.boolean(file) ?? false
    let width: UInt64 = wide ? .max : 0xffff_ffff
    var mask = UInt64.max
    if let node = section["mask"] {
      mask = try number(node)
      guard mask != 0, mask <= width else {
        throw node.error(file, "a mask has 1 to \(wide ? 64 : 32) bits; add wide: true for 64")
      }
    }
    let isMember = section["in"] != nil
    guard isMember != (section["notIn"] != nil), let list = section["in"] ?? section["notIn"] else {
      throw node.error(file, "write either in: or notIn: with the values to compare with")
    }
    var values: [UInt64] = []
    for item in try list.sequence(file) {
      let value = try number(item)
      guard value & mask & width == value else {
        throw item.error(
          file,
          value > width
            ? "\(hex(value)) has more than 32 bits; add wide: true to compare all 64"
            : "\(hex(value)) can never be equal to an argument masked with \(hex(mask))")
      }
      if values.contains(value) { throw item.error(file, "the value is there twice") }
      values.append(value)
    }
    guard (1...ProfileLimits.valuesMax).contains(values.count) else {
      throw list.error(file, "write 1 to \(ProfileLimits.valuesMax) values to compare with")
    }
    return SyscallPolicy.Condition(
      argument: argument, mask: mask, comparison: isMember ? .isIn(values) : .isNotIn(values),
      wide: wide)
  }

  /// A number, a name of linux headers, or several joined by `|`.
  private func number(_ node: YAMLNode) throws(YAMLError) -> UInt64 {
    let text = try node.string(file)
    var value: UInt64 = 0
    for part in text.split(separator: "|", omittingEmptySubsequences: false) {
      value |= try term(String(part), node)
    }
    return value
  }

  private func term(_ text: String, _ node: YAMLNode) throws(YAMLError) -> UInt64 {
    let first = text.utf8.first ?? 0
    if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
      let value = text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
      let isOctalLooking = text.utf8.count > 1 && text.hasPrefix("0") && !text.hasPrefix("0x")
      if let value, !isOctalLooking { return value }
      throw node.error(
        file,
        "\"\(text)\" is no number of 64 bits; write decimal, or hexadecimal "
          + "after 0x")
    }
    if let value = SyscallConstants.value(text) { return value }
    throw node.error(
      file,
      "\"\(text)\" is no known constant"
        + Suggestion.text(
          text, among: SyscallConstants.names,
          else: "write a name of Linux's headers or a number"))
  }

  private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

  // MARK: contradictions

  /// Two rules without conditions cannot both answer the same call.
  private func refuseContradictions(
    _ stated: [StatedCall], _ policy: SyscallPolicy
  ) throws(YAMLError) {
    var seen: [String: (action: SyscallPolicy.Action, group: String)] = [:]
    var contradictions: [String: String] = [:]
    for group in policy.groups {
      for call in group.calls where call.when.isEmpty {
        if let other = seen[call.name], other.action != group.action {
          contradictions[call.name] =
            "\(call.name) is answered by the groups \"\(other.group)\" and \"\(group.name)\" "
            + "in different ways; define one of them again without it"
        }
        seen[call.name] = (group.action, group.name)
      }
    }
    for call in stated where call.call.when.isEmpty {
      if let message = contradictions[call.call.name] { throw call.node.error(file, message) }
    }
  }
}

extension SyscallPolicy {
  /// Puts a group where one of the same name was, else at the end.
  fileprivate mutating func replace(_ name: String, by new: [Group]) {
    let index = groups.firstIndex { $0.name == name } ?? groups.endIndex
    groups.removeAll { $0.name == name }
    groups.insert(contentsOf: new, at: index)
  }

  /// A refusal without conditions takes away what inherited groups said of the call, except the
  /// conditions under which they refuse it.
  fileprivate mutating func remove(_ calls: Set<String>, exceptIn stated: Set<String>) {
    for index in groups.indices where !stated.contains(groups[index].name) {
      let isAllowed = groups[index].action == .allow
      groups[index].calls.removeAll { (isAllowed || $0.when.isEmpty) && calls.contains($0.name) }
    }
    groups.removeAll { $0.calls.isEmpty }
  }
}
