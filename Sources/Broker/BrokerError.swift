public import JSON

/// Why a request is not answered with a result. Codes are stable: clients decide by them, not by texts.
public struct BrokerError: Error, Equatable, Sendable {
  public enum Code: String, CaseIterable, Sendable {
    /// The line is no JSON, or exceeds a bound.
    case malformed
    /// JSON, but no request of JSON-RPC 2.0.
    case invalidRequest = "invalid_request"
    case unknownMethod = "unknown_method"
    case invalidParams = "invalid_params"
    /// The supervisor failed; nothing was done.
    case failed
    /// The policy says no.
    case denied
    /// The policy says that a person has to approve it first.
    case approvalRequired = "approval_required"
    /// More requests than the ring's rate.
    case rateLimited = "rate_limited"
    /// Before `agt.hello`.
    case outOfTurn = "out_of_turn"
    /// Not in this ring.
    case notPermitted = "not_permitted"
    /// Descriptors came that the method does not take.
    case descriptors
    /// As much is under way as may be at once.
    case busy
    /// What would be executed is not what was judged, or programs of the run could change it.
    case changed
    /// Everything is denied: a policy has put the run on hold, too much was refused, or the run is ending.
    case held

    /// As JSON-RPC 2.0 numbers them, section 5.1; ours from its range for servers.
    public var number: Int64 {
      switch self {
      case .malformed: -32700
      case .invalidRequest: -32600
      case .unknownMethod: -32601
      case .invalidParams: -32602
      case .failed: -32603
      case .denied: -32001
      case .rateLimited: -32002
      case .outOfTurn: -32003
      case .notPermitted: -32004
      case .descriptors: -32005
      case .held: -32006
      case .busy: -32007
      case .approvalRequired: -32008
      case .changed: -32009
      }
    }
  }

  public let code: Code
  /// For the agent's author: what was wrong and what to do instead.
  public let message: String
  /// Further members of `data`.
  public let details: JSONObject

  public init(_ code: Code, _ message: String, _ details: JSONObject = [:]) {
    self.code = code
    self.message = message
    self.details = details
  }
}

/// The lines that the broker sends.
public enum Answer {
  /// - Parameter id: as in the request, `.null` when it could not be read.
  public static func result(_ value: JSONValue, id: JSONValue) -> [UInt8] {
    result(written: JSONWriter.compact(value), id: id)
  }

  /// - Parameters:
  ///   - text: one JSON value, on one line.
  ///   - id: as above.
  public static func result(written text: [UInt8], id: JSONValue) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64 + text.count)
    bytes += "{\"jsonrpc\":\"2.0\",\"id\":".utf8
    JSONWriter.appendCompact(id, to: &bytes)
    bytes += ",\"result\":".utf8
    bytes += text
    bytes += "}\n".utf8
    return bytes
  }

  public static func error(_ error: BrokerError, id: JSONValue) -> [UInt8] {
    var data: JSONObject = ["code": .string(error.code.rawValue)]
    for member in error.details.members { data[member.name] = member.value }
    return line([
      "jsonrpc": "2.0", "id": id,
      "error": [
        "code": .integer(error.code.number), "message": .string(error.message),
        "data": .object(data),
      ],
    ])
  }

  /// What nobody has to answer.
  public static func notification(_ method: String, _ params: JSONObject) -> [UInt8] {
    line(["jsonrpc": "2.0", "method": .string(method), "params": .object(params)])
  }

  private static func line(_ object: JSONValue) -> [UInt8] {
    var bytes = JSONWriter.compact(object)
    bytes.append(0x0A)
    return bytes
  }
}
