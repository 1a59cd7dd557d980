public import JSON

/// One connection of a ring: what each line becomes, before anything is decided about it.
///
/// Every refusal is an answer with a stable code. It must never let a request through that its table does
/// not permit to this ring at this moment, and never do more work for an agent than the rates pay for.
public struct Session: Sendable {
  public enum Outcome: Equatable, Sendable {
    /// Permitted by the table; whoever has the method answers.
    case call(BrokerRequest, Method)
    /// A refusal, to be sent as it is.
    case refused(BrokerError, id: JSONValue)
    /// Nobody waits for an answer to this refusal.
    case dropped(BrokerError)
  }

  private var isGreeted = false

  public init() {}

  /// - Parameters:
  ///   - descriptors: how many came with the bytes of this line.
  ///   - ring: what requests of the run count as now.
  ///   - rate: of the whole run.
  public mutating func take(
    _ line: ArraySlice<UInt8>, descriptors: Int, ring: UInt8, rate: inout TokenBucket,
    nowMilliseconds: UInt64
  ) -> Outcome {
    let request: BrokerRequest
    do throws(BrokerRequest.Refusal) {
      request = try BrokerRequest(line: line)
    } catch {
      // Bytes that are no request cost as much as one.
      _ = rate.take(nowMilliseconds: nowMilliseconds)
      return .refused(error.error, id: error.id)
    }
    do throws(BrokerError) {
      let method = try permit(
        request, lineBytes: line.count, descriptors: descriptors, ring: ring, rate: &rate,
        nowMilliseconds)
      return .call(request, method)
    } catch {
      return request.id.map { .refused(error, id: $0) } ?? .dropped(error)
    }
  }

  private mutating func permit(
    _ request: BrokerRequest, lineBytes: Int, descriptors: Int, ring: UInt8,
    rate: inout TokenBucket, _ now: UInt64
  ) throws(BrokerError) -> Method {
    let method = MethodTable.method(request.method)
    guard rate.take(method?.cost ?? 1, nowMilliseconds: now) else {
      throw BrokerError(
        .rateLimited,
        "more than \(rate.perSecond) requests a second, or \(rate.burst) at once; wait and try again",
        ["retryAfterMilliseconds": JSONValue(rate.waitMilliseconds(for: method?.cost ?? 1))])
    }
    guard let method else {
      throw BrokerError(.unknownMethod, "agt.hello lists the methods of this ring")
    }
    guard method.rings.contains(ring) else {
      throw BrokerError(.notPermitted, "\(method.name) is not for ring \(ring)")
    }
    guard isGreeted || method.phase == .greeting else {
      throw BrokerError(.outOfTurn, "agt.hello comes first")
    }
    guard descriptors <= method.descriptors else {
      throw BrokerError(.descriptors, "\(method.name) takes no descriptors; they were closed")
    }
    guard lineBytes <= method.lineMaxBytes else {
      throw BrokerError(
        .invalidParams, "\(method.name): a request has at most \(method.lineMaxBytes) bytes")
    }
    guard request.id != nil || method.mayNotify else {
      throw BrokerError(.invalidRequest, "\(method.name) needs an id")
    }
    if let members = method.members,
      let other = request.params.members.first(where: { !members.contains($0.name) })
    {
      throw BrokerError(
        .invalidParams,
        "\(UntrustedText.quoted(other.name)): \(method.name) takes \(members.joined(separator: ", "))"
      )
    }
    if method.phase == .greeting { isGreeted = true }
    return method
  }
}
