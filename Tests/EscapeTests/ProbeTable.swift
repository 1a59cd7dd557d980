import Foundation
import JSON

/// One verb of agt-probe, as `--list --json` describes it.
struct ProbeEntry: Sendable {
  var name: String
  var group: String
  var rows: [Int]
  var refusedFromRing: Int?
  var worksInRings: [Int]?
  var needs: [String]
  var twin: String
  var feature: String?
  var alone: Bool
  var judge: String

  /// Whether something is demanded of the ring.
  func concerns(ring: Int) -> Bool {
    if let worksInRings { return worksInRings.contains(ring) }
    return ring >= refusedFromRing ?? 0
  }

  /// The twin must succeed as this caller.
  func hasTwin(_ caller: Caller) -> Bool {
    switch twin {
    case "anyone": true
    case "root": caller == .root
    case "user": caller == .user
    default: false
    }
  }

  static let all: [ProbeEntry] = {
    let listed = Command(arguments: [Binaries.directory + "/agt-probe", "--list", "--json"]).run()
    guard let entries = try? JSONParser.parse(Array(listed.output.utf8)).arrayValue else {
      preconditionFailure("agt-probe --list --json printed no list: \(listed.output.prefix(200))")
    }
    return entries.map(ProbeEntry.init)
  }()

  private init(_ value: JSONValue) {
    name = value["name"]?.stringValue ?? ""
    group = value["group"]?.stringValue ?? ""
    rows = (value["rows"]?.arrayValue ?? []).compactMap { $0.integerValue.map { Int($0) } }
    refusedFromRing = value["refusedFromRing"]?.integerValue.map { Int($0) }
    worksInRings = value["worksInRings"]?.arrayValue?.compactMap { $0.integerValue.map { Int($0) } }
    needs = (value["needs"]?.arrayValue ?? []).compactMap { $0.stringValue }
    twin = value["twin"]?.stringValue ?? ""
    feature = value["feature"]?.stringValue
    alone = value["alone"]?.boolValue ?? false
    judge = value["judge"]?.stringValue ?? ""
  }
}

/// What a probe said.
struct Answer: Sendable, CustomStringConvertible {
  var outcome: String
  var errno: String?
  var detail: String

  var description: String {
    [outcome, errno, detail].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: " ")
  }

  /// The lines of JSON in an output, by probe.
  static func parse(_ output: String) -> [String: Answer] {
    var answers: [String: Answer] = [:]
    for line in output.split(whereSeparator: \.isNewline) {
      // A terminal may have echoed something in front.
      guard let begin = line.firstIndex(of: "{"),
        let value = try? JSONParser.parse(Array(line[begin...].utf8)),
        let name = value["probe"]?.stringValue
      else { continue }
      answers[name] = Answer(
        outcome: value["outcome"]?.stringValue ?? "", errno: value["errno"]?.stringValue,
        detail: value["detail"]?.stringValue ?? "")
    }
    return answers
  }
}
