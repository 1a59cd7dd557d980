/// Profiles as text for people.
public enum ProfileText {
  // MARK: quantities

  /// Bytes with the largest binary unit that divides them: `512MiB`.
  public static func size(_ bytes: UInt64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, UInt64)]
    where bytes != 0 && bytes % (1 << shift) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)"
  }

  /// Milliseconds with the largest unit that divides them: `10m`.
  public static func duration(_ milliseconds: UInt64) -> String {
    for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] as [(String, UInt64)]
    where milliseconds != 0 && milliseconds % factor == 0 {
      return "\(milliseconds / factor)\(unit)"
    }
    return "\(milliseconds)ms"
  }

  static func limit(_ value: UInt64?, _ unit: RingProfile.Limits.Unit) -> String {
    guard let value else { return "none" }
    return switch unit {
    case .bytes: size(value)
    case .milliseconds: duration(value)
    case .count: "\(value)"
    }
  }

  // MARK: list

  /// A table of the shipped rings (`agt profile list`).
  public static func list() -> String {
    var rows = [["RING", "NAME", "NETWORK", "WORKSPACE", "MEMORY", "PROCESSES", "WALL", "FOR"]]
    for ring in 0...3 as ClosedRange<UInt8> {
      let profile = RingProfile.shipped(ring)
      rows.append([
        "\(ring)", RingProfile.ringNames[Int(ring)][2], profile.network.rawValue,
        profile.filesystem.workspace.rawValue, limit(profile.limits.memoryBytes, .bytes),
        limit(profile.limits.processes, .count),
        limit(profile.limits.wallMilliseconds, .milliseconds),
        profile.description,
      ])
    }
    return table(rows)
  }

  /// Left-aligned columns, two spaces apart, each line ended by a newline.
  static func table(_ rows: [[String]]) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        column == row.count - 1
          ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
      }
      return cells.joined(separator: "  ") + "\n"
    }.joined()
  }

  // MARK: diff

  /// One line for each difference, saying whether it grants more or less (`agt profile diff`).
  public static func diff(from base: RingProfile, to derived: RingProfile) -> String {
    let differences = ProfileComparison.differences(from: base, to: derived)
    return table(
      differences.map {
        [$0.direction.rawValue, $0.what, "\($0.before) → \($0.after)"]
      })
  }
}
