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

  /// Open Cybersecurity Schema Framework 1.3: a Base Event (class 0), which claims nothing that an entry does not
  /// say.
  func ocsf(_ entry: Entry) -> [UInt8] {
    line([
      "category_uid": 0, "class_uid": 0, "activity_id": 99, "type_uid": 99,
      "activity_name": .string(entry.kind.rawValue), "time": JSONValue(milliseconds(entry)),
      "severity_id": isRefusal(entry) ? 3 : 1, "status_id": isRefusal(entry) ? 2 : 1,
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
    let isRefusal = isRefusal(entry)
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
    let isRefusal = isRefusal(entry)
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

  private func isRefusal(_ entry: Entry) -> Bool {
    [.violation, .netRefused, .kill].contains(entry.kind) || entry.data["verdict"] == "deny"
  }

  private func milliseconds(_ entry: Entry) -> Int64 {
    Int64(Timestamp.milliseconds(entry.time) ?? 0)
  }

  private func line(_ object: JSONObject) -> [UInt8] { JSONWriter.compact(.object(object)) + [10] }
}
