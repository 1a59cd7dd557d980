public import JSON

/// One request of JSON-RPC 2.0, read strictly: an object with `jsonrpc`, `method`, `id` and `params`, and
/// nothing else. Batches are not taken, as in MCP.
public struct BrokerRequest: Equatable, Sendable {
  /// Nil for a notification.
  public let id: JSONValue?
  public let method: String
  public let params: JSONObject

  /// Arrays and objects inside each other, the request itself included.
  public static let depthMax = 32
  /// A line has room for more; a request has no use for them.
  public static let elementsMax = 4096
  /// Longest id, in bytes, when it is a text.
  public static let idMaxBytes = 64

  static let limits = JSONLimits(
    sizeMaxBytes: LineReader.lineMaxBytes, depthMax: depthMax, elementsMax: elementsMax)

  /// Why a line is no request, with the id when it could be read.
  public struct Refusal: Error, Equatable, Sendable {
    public let error: BrokerError
    public let id: JSONValue
  }

  public init(line: ArraySlice<UInt8>) throws(Refusal) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(line.span, limits: Self.limits)
    } catch {
      throw Refusal(error: BrokerError(.malformed, error.description), id: .null)
    }
    guard case .object(let object) = value else {
      throw Refusal(
        error: BrokerError(.invalidRequest, "a request is one JSON object a line"), id: .null)
    }
    var id: JSONValue?
    var method: String?
    var params: JSONValue = .object([:])
    var isVersion2 = false
    var problem: String?
    for member in object.members {
      switch member.name {
      case "jsonrpc": isVersion2 = member.value == "2.0"
      case "id":
        id = member.value
        if !Self.isUsable(member.value) {
          problem = "id: a whole number, or a text of at most \(Self.idMaxBytes) bytes"
          id = .null
        }
      case "method": method = member.value.stringValue
      case "params": params = member.value
      default: problem = problem ?? "a request has jsonrpc, id, method and params, and nothing else"
      }
    }
    if !isVersion2 { problem = "jsonrpc: \"2.0\" is needed" }
    if method == nil { problem = problem ?? "method: the name of a method is needed" }
    if let problem {
      throw Refusal(error: BrokerError(.invalidRequest, problem), id: id ?? .null)
    }
    guard case .object(let named) = params else {
      throw Refusal(
        error: BrokerError(.invalidParams, "params: an object is needed"), id: id ?? .null)
    }
    self.id = id
    self.method = method ?? ""
    self.params = named
  }

  private static func isUsable(_ id: JSONValue) -> Bool {
    switch id {
    case .integer: true
    case .string(let text): text.utf8.count <= idMaxBytes
    default: false
    }
  }
}
