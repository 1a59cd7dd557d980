internal import JSON

/// The journal as text: one canonical JSON object (RFC 8785) a line, numbered from 0. Line 0 says what the
/// saga is; the others are records.
public enum SagaJournal {
  /// What line 0 says.
  public struct Header: Equatable, Sendable {
    public var id: String
    public var name: String
    /// Milliseconds since 1970.
    public var begunAt: UInt64
    public var uid: UInt32
    /// An absolute path.
    public var workspace: String
    /// SHA-256 of the plan's bytes, in hexadecimal.
    public var planDigest: String
    public var planFile: String
    public var parameters: [String: String]
    /// Of the jitter; below 2^53.
    public var seed: UInt64
    /// 32 hexadecimal digits (W3C Trace Context).
    public var trace: String
    /// Set when an agent drives it: then there is no plan.
    public var driver: SagaDriver?

    public init(
      id: String, name: String, begunAt: UInt64, uid: UInt32, workspace: String,
      planDigest: String, planFile: String, parameters: [String: String], seed: UInt64,
      trace: String, driver: SagaDriver? = nil
    ) {
      self.driver = driver
      self.id = id
      self.name = name
      self.begunAt = begunAt
      self.uid = uid
      self.workspace = workspace
      self.planDigest = planDigest
      self.planFile = planFile
      self.parameters = parameters
      self.seed = seed
      self.trace = trace
    }
  }

  public struct Contents: Equatable, Sendable {
    public var header: Header
    public var records: [SagaRecord]
    /// What is whole, in bytes: a torn tail behind it is to be cut off before the next line is added.
    public var validBytes: Int
  }

  /// A journal holds the outputs and arguments of every attempt of a saga.
  public static let sizeMaxBytes = 1 << 30
  /// One line: arguments and outputs of one attempt.
  static let lineLimits = JSONLimits(sizeMaxBytes: 128 << 20, depthMax: 8, elementsMax: 100_000)

  public static func line(_ header: Header) -> [UInt8] {
    var parameters = JSONObject()
    for (name, value) in header.parameters { parameters[name] = .string(value) }
    var members: JSONObject =
      [
        "at": JSONValue(header.begunAt), "kind": "saga.begun", "saga": .string(header.id),
        "name": .string(header.name), "uid": JSONValue(header.uid),
        "workspace": .string(header.workspace), "planDigest": .string(header.planDigest),
        "planFile": .string(header.planFile), "params": .object(parameters),
        "seed": JSONValue(header.seed), "trace": .string(header.trace),
      ]
    if let driver = header.driver { members["driver"] = driver.json }
    return line(members, number: 0)
  }

  /// - Parameter number: from 1 on.
  public static func line(_ record: SagaRecord, number: Int) -> [UInt8] {
    line(record.json, number: number)
  }

  private static func line(_ members: JSONObject, number: Int) -> [UInt8] {
    var object = members
    object["seq"] = JSONValue(number)
    // Times are below 2^53 for the next 200,000 years, and no number is a fraction.
    guard let bytes = try? JSONWriter.canonical(.object(object)) else {
      preconditionFailure("a journal entry without canonical form")
    }
    return bytes + [0x0A]
  }

  /// Reads a journal, also one whose last write a crash tore.
  /// - Throws: when anything but the tail is damaged: it cannot be known then what has happened.
  public static func read(_ bytes: [UInt8]) throws(SagaProblem) -> Contents {
    var header: Header?
    var records: [SagaRecord] = []
    var valid = 0
    var number = 0
    var start = 0
    var torn: Int?
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      let isWhole = end < bytes.count
      if isWhole, let json = try? JSONParser.parse(Array(bytes[start..<end]), limits: lineLimits),
        json["seq"]?.integerValue == Int64(number)
      {
        if let torn {
          throw SagaProblem(
            "the journal is damaged in line \(torn + 1) and goes on behind it; it is not safe to go on"
          )
        }
        if number == 0 { header = try Header(json) } else { records.append(try SagaRecord(json)) }
        number += 1
        valid = end + 1
      } else {
        torn = torn ?? number
        number += 1
      }
      start = end + 1
    }
    guard let header else {
      throw SagaProblem("the journal has no beginning: the saga never began")
    }
    return Contents(header: header, records: records, validBytes: valid)
  }
}

extension SagaJournal.Header {
  init(_ json: JSONValue) throws(SagaProblem) {
    guard json["kind"] == "saga.begun", let id = json["saga"]?.stringValue,
      let name = json["name"]?.stringValue, let at = json["at"]?.integerValue, at >= 0,
      let uid = json["uid"]?.integerValue.flatMap({ UInt32(exactly: $0) }),
      let workspace = json["workspace"]?.stringValue,
      let digest = json["planDigest"]?.stringValue, let file = json["planFile"]?.stringValue,
      let members = json["params"]?.objectValue?.members,
      let seed = json["seed"]?.integerValue, seed >= 0, let trace = json["trace"]?.stringValue
    else { throw SagaProblem("the first line of the journal is no beginning of a saga") }
    var parameters: [String: String] = [:]
    for member in members {
      guard let value = member.value.stringValue else {
        throw SagaProblem("the first line of the journal has a parameter that is no text")
      }
      parameters[member.name] = value
    }
    self.init(
      id: id, name: name, begunAt: UInt64(at), uid: uid, workspace: workspace, planDigest: digest,
      planFile: file, parameters: parameters, seed: UInt64(seed), trace: trace,
      driver: try json["driver"].map { value throws(SagaProblem) in try SagaDriver(value) })
  }
}
