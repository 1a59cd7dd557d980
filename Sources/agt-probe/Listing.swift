internal import Glibc

/// What the program prints.
enum Listing {
  /// One line: `{"probe":"mount.umount2","outcome":"refused","errno":"EPERM","detail":""}`.
  static func print(_ outcome: Outcome, of name: String) {
    let errno = outcome.errno == 0 ? "null" : quoted(ErrnoName.of(outcome.errno))
    line(
      "{\"probe\":\(quoted(name)),\"outcome\":\(quoted(outcome.kind.rawValue)),"
        + "\"errno\":\(errno),\"detail\":\(quoted(outcome.detail))}")
  }

  static func printJSON() {
    let entries = Probe.all.map { probe in
      let needs = probe.needs.map { quoted($0.rawValue) }.joined(separator: ",")
      return "{\"name\":\(quoted(probe.name)),\"group\":\(quoted(probe.group)),"
        + "\"rows\":[\(probe.rows.map(String.init).joined(separator: ","))],"
        + demand(probe.demand) + ",\"needs\":[\(needs)],\"twin\":\(quoted(twin(probe.twin))),"
        + "\"feature\":\(probe.feature.map(quoted) ?? "null"),\"alone\":\(probe.alone),"
        + "\"judge\":\(quoted(probe.judge.rawValue)),\"summary\":\(quoted(probe.summary))}"
    }
    line("[" + entries.joined(separator: ",\n") + "]")
  }

  static func printTable() {
    let width = Probe.all.map(\.name.count).max() ?? 0
    line(padded("VERB", width) + "  RINGS  TWIN    ROWS     SUMMARY")
    for probe in Probe.all {
      let rings =
        switch probe.demand {
        case .refused(let ring): "≥\(ring)   "
        case .works(let rings): "ok \(rings.lowerBound)-\(rings.upperBound)"
        }
      let needs =
        probe.needs.isEmpty ? "" : " [\(probe.needs.map(\.rawValue).joined(separator: " "))]"
      line(
        padded(probe.name, width) + "  " + padded(rings, 6) + " "
          + padded(twinWord(probe.twin), 7) + " "
          + padded(probe.rows.map(String.init).joined(separator: ","), 8) + " "
          + probe.summary + needs)
    }
  }

  private static func demand(_ demand: Probe.Demand) -> String {
    switch demand {
    case .refused(let ring): "\"refusedFromRing\":\(ring),\"worksInRings\":null"
    case .works(let rings): "\"refusedFromRing\":null,\"worksInRings\":\(Array(rings))"
    }
  }

  private static func twinWord(_ twin: Probe.Twin) -> String {
    switch twin {
    case .anyone: "anyone"
    case .root: "root"
    case .user: "user"
    case .nobody: "nobody"
    }
  }

  private static func twin(_ twin: Probe.Twin) -> String {
    if case .nobody(let reason) = twin { return "nobody: " + reason }
    return twinWord(twin)
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// One write(2) a line, so that lines of children never mix.
  static func line(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    var sent = 0
    while sent < bytes.count {
      let count = write(1, Array(bytes[sent...]))
      if count <= 0 { return }
      sent += count
    }
  }

  /// A JSON string (RFC 8259 section 7).
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// Names of errno values (errno(3)).
enum ErrnoName {
  static func of(_ value: Int32) -> String {
    for (name, number) in names where number == value { return name }
    return "errno \(value)"
  }

  private static let names: [(String, Int32)] = [
    ("EPERM", EPERM), ("ENOENT", ENOENT), ("ESRCH", ESRCH), ("EINTR", EINTR), ("EIO", EIO),
    ("ENXIO", ENXIO), ("E2BIG", E2BIG), ("ENOEXEC", ENOEXEC), ("EBADF", EBADF),
    ("ECHILD", ECHILD), ("EAGAIN", EAGAIN), ("ENOMEM", ENOMEM), ("EACCES", EACCES),
    ("EFAULT", EFAULT), ("ENOTBLK", ENOTBLK), ("EBUSY", EBUSY), ("EEXIST", EEXIST),
    ("EXDEV", EXDEV), ("ENODEV", ENODEV), ("ENOTDIR", ENOTDIR), ("EISDIR", EISDIR),
    ("EINVAL", EINVAL), ("ENFILE", ENFILE), ("EMFILE", EMFILE), ("ENOTTY", ENOTTY),
    ("ETXTBSY", ETXTBSY), ("EFBIG", EFBIG), ("ENOSPC", ENOSPC), ("ESPIPE", ESPIPE),
    ("EROFS", EROFS), ("EMLINK", EMLINK), ("EPIPE", EPIPE), ("EDOM", EDOM), ("ERANGE", ERANGE),
    ("EDEADLK", EDEADLK), ("ENAMETOOLONG", ENAMETOOLONG), ("ENOLCK", ENOLCK),
    ("ENOSYS", ENOSYS), ("ENOTEMPTY", ENOTEMPTY), ("ELOOP", ELOOP), ("ENOMSG", ENOMSG),
    ("EIDRM", EIDRM), ("ENODATA", ENODATA), ("EOVERFLOW", EOVERFLOW), ("EUSERS", EUSERS),
    ("ENOTSOCK", ENOTSOCK), ("EDESTADDRREQ", EDESTADDRREQ), ("EMSGSIZE", EMSGSIZE),
    ("EPROTOTYPE", EPROTOTYPE), ("ENOPROTOOPT", ENOPROTOOPT),
    ("EPROTONOSUPPORT", EPROTONOSUPPORT), ("ESOCKTNOSUPPORT", ESOCKTNOSUPPORT),
    ("EOPNOTSUPP", EOPNOTSUPP), ("EAFNOSUPPORT", EAFNOSUPPORT), ("EADDRINUSE", EADDRINUSE),
    ("EADDRNOTAVAIL", EADDRNOTAVAIL), ("ENETDOWN", ENETDOWN), ("ENETUNREACH", ENETUNREACH),
    ("ECONNRESET", ECONNRESET), ("ENOBUFS", ENOBUFS), ("EISCONN", EISCONN),
    ("ENOTCONN", ENOTCONN), ("ETIMEDOUT", ETIMEDOUT), ("ECONNREFUSED", ECONNREFUSED),
    ("EHOSTUNREACH", EHOSTUNREACH), ("EALREADY", EALREADY), ("EINPROGRESS", EINPROGRESS),
    ("ESTALE", ESTALE), ("EDQUOT", EDQUOT), ("ENOKEY", ENOKEY), ("EKEYREJECTED", EKEYREJECTED),
  ]
}
