internal import Audit
internal import JSON
internal import Supervisor

/// One entry of the log as other programs take it, one line (or block) each. Nothing is left out: where a
/// format has no place for a member, it has one for the whole of the data.
struct LogFormat {
  /// Of the log: the origin that its checkpoints name.
  let origin: String

  /// CloudEvents 1.0 in JSON.
  func cloudEvent(_ entry: Entry) -> [UInt8] {
    line([
      "specversion": "1.0", "id": .string("\(entry.index)"), "source": .string(origin),
      "type": .string("agt-run." + entry.kind.rawValue), "time": .string(entry.time),
      "datacontenttype": "application/json", "data": .object(entry.data),
    ])
  }

  /// Open Cybersecurity Schema Framework 1.3: Detection Finding (2004) for what was refused, Process
  /// Activity (1007) for runs and tools, Network Activity (4001), and API Activity (6003) for the rest.
  func ocsf(_ entry: Entry) -> [UInt8] {
    let (category, kind, activity): (Int, Int, Int) =
      switch entry.kind {
      case .violation, .netRefused, .kill: (2, 2004, 1)
      case .runStart, .runProgram, .toolStart: (1, 1007, 1)
      case .runEnd, .toolEnd: (1, 1007, 2)
      case .netOpen: (4, 4001, 1)
      case .netClose: (4, 4001, 2)
      default: (6, 6003, 99)
      }
    let isRefusal =
      [.violation, .netRefused, .kill].contains(entry.kind) || entry.data["verdict"] == "deny"
    return line([
      "category_uid": JSONValue(category), "class_uid": JSONValue(kind),
      "activity_id": JSONValue(activity), "type_uid": JSONValue(kind * 100 + activity),
      "activity_name": .string(entry.kind.rawValue),
      "time": JSONValue(milliseconds(entry)), "severity_id": isRefusal ? 3 : 1,
      "status_id": isRefusal ? 2 : 1,
      "metadata": .object([
        "version": "1.3.0", "uid": .string("\(origin)/\(entry.index)"),
        "product": .object([
          "name": "agt-run", "vendor_name": "agt-run", "version": .string(Version.text),
        ]),
      ]),
      "unmapped": .object(entry.data),
    ])
  }

  /// A log record of OTLP in JSON (opentelemetry-proto, logs/v1), one request a line.
  func otlp(_ entry: Entry) -> [UInt8] {
    func text(_ key: String, _ value: String) -> JSONValue {
      .object(["key": .string(key), "value": .object(["stringValue": .string(value)])])
    }
    let isRefusal = [.violation, .netRefused, .kill].contains(entry.kind)
    let record: JSONValue = .object([
      "timeUnixNano": .string("\(milliseconds(entry) * 1_000_000)"),
      "severityNumber": isRefusal ? 13 : 9, "severityText": isRefusal ? "WARN" : "INFO",
      "eventName": .string("agt-run." + entry.kind.rawValue),
      "body": .object([
        "stringValue": .string(
          String(decoding: JSONWriter.compact(.object(entry.data)), as: UTF8.self))
      ]),
      "attributes": .array([
        text("agt.log.origin", origin), text("agt.log.index", "\(entry.index)"),
        text("agt.kind", entry.kind.rawValue),
      ]),
    ])
    return line([
      "resourceLogs": .array([
        .object([
          "resource": .object(["attributes": .array([text("service.name", "agt-run")])]),
          "scopeLogs": .array([
            .object([
              "scope": .object(["name": "agt-run", "version": .string(Version.text)]),
              "logRecords": .array([record]),
            ])
          ]),
        ])
      ])
    ])
  }

  /// The export format of systemd's journal, which systemd-journal-remote(8) takes: `NAME=value` lines and an
  /// empty one. Compact JSON has no line feed, so that no value can become another field.
  func journal(_ entry: Entry) -> [UInt8] {
    let isRefusal = [.violation, .netRefused, .kill].contains(entry.kind)
    let data = String(decoding: JSONWriter.compact(.object(entry.data)), as: UTF8.self)
    return Array(
      """
      __REALTIME_TIMESTAMP=\(milliseconds(entry) * 1000)
      SYSLOG_IDENTIFIER=agt-run
      PRIORITY=\(isRefusal ? 4 : 6)
      MESSAGE=\(entry.kind.rawValue) \(data)
      AGT_KIND=\(entry.kind.rawValue)
      AGT_LOG=\(origin)
      AGT_INDEX=\(entry.index)
      AGT_DATA=\(data)


      """.utf8)
  }

  private func milliseconds(_ entry: Entry) -> Int64 {
    Int64(Timestamp.milliseconds(entry.time) ?? 0)
  }

  private func line(_ object: JSONObject) -> [UInt8] { JSONWriter.compact(.object(object)) + [10] }
}
