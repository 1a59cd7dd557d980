internal import Audit
internal import Hashing
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Policy
internal import Rings

/// What the entries of a run say of it. What may be secret, arguments and values of variables, appears only as
/// a digest with a salt that lies in a file of its own: whoever erases `salt` makes it unrecognizable.
enum AuditEntries {
  static func salt() -> String {
    Hexadecimal.encode(Array(SigningKey.randomSeed().prefix(16)))
  }

  static func start(
    id: String, _ options: RunOptions, _ profile: RingProfile, workspace: String, caller: Caller,
    salt: String
  ) -> JSONObject {
    let values = options.environment.compactMap(\.value)
    let file = options.profileFile.map { (try? Files.canonical(ByteString($0)).text) ?? $0 }
    return [
      "run": .string(id), "ring": JSONValue(profile.ring), "profile": .string(profile.name),
      "profileFile": JSONValue(file), "name": JSONValue(options.name),
      "agent": JSONValue(options.agent), "uid": JSONValue(caller.uid),
      "workspace": .string(workspace), "program": .string(options.command[0].text),
      "argumentCount": JSONValue(options.command.count - 1),
      "argumentsDigest": .string(digest(salt, options.command.dropFirst())),
      "variables": .array(options.environment.map { .string($0.name) }),
      "variablesDigest": .string(digest(salt, values[...])),
    ]
  }

  /// Of a request as the policy judged it, in canonical form.
  static func digest(_ salt: String, _ request: JSONObject) -> String {
    var digits: [UInt8] = []
    appendDigest(salt, request, to: &digits)
    return String(decoding: digits, as: UTF8.self)
  }

  /// The same in 64 digits behind what is there, of which no other memory is needed: requests are many.
  /// - Parameter caller: whose request it is, when that is not in it.
  static func appendDigest(
    _ salt: String, _ request: JSONObject, from caller: KnownCaller? = nil,
    to output: inout [UInt8]
  ) {
    let start = output.count
    output.append(contentsOf: salt.utf8)
    let place = output.count
    output.append(contentsOf: repeatElement(0, count: lengthBytes))
    let begin = output.count
    do throws(JSONError) {
      if let members = caller?.canonical {
        try JSONWriter.appendCanonical(request, with: members, to: &output)
      } else {
        try JSONWriter.appendCanonical(whole(request, caller), to: &output)
      }
    } catch {
      output.removeLast(output.count - begin)
      JSONWriter.appendCompact(whole(request, caller), to: &output)
    }
    let count = output.count - begin
    for index in 0..<lengthBytes {
      output[place + index] = UInt8(truncatingIfNeeded: count >> (8 * (lengthBytes - 1 - index)))
    }
    var hash = SHA256()
    hash.update(output.span.extracting(start...))
    output.removeLast(output.count - start)
    Hexadecimal.append(hash.finish(), to: &output)
  }

  private static func whole(_ request: JSONObject, _ caller: KnownCaller?) -> JSONValue {
    .object(JSONObject(unique: request.members + (caller?.facts.fields.members ?? [])))
  }

  private static let lengthBytes = 8

  /// SHA-256 of the salt's text and of each part with its length (8 bytes, the largest first) before it.
  private static func digest(_ salt: String, _ parts: ArraySlice<[UInt8]>) -> String {
    var hash = SHA256()
    var front = Array(salt.utf8)
    for part in parts {
      for index in 0..<lengthBytes {
        front.append(UInt8(truncatingIfNeeded: part.count >> (8 * (lengthBytes - 1 - index))))
      }
      hash.update(front)
      hash.update(part)
      front.removeAll(keepingCapacity: true)
    }
    return Hexadecimal.encode(hash.finish())
  }

  /// What was enforced and what was not.
  static func plan(_ run: borrowing PreparedRun, _ options: RunOptions) -> JSONObject {
    let limits = run.profile.limits
    func amount(_ value: UInt64?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
    return [
      "enforced": run.losses.isEmpty ? "full" : "partial",
      "notEnforced": .array(run.losses.map { .string($0.name) }),
      "executable": .string(run.plan.executable.text),
      "workspace": .string(run.request.workspace.path),
      "access": .string(
        run.request.workspace.layers != nil ? "txn" : run.request.workspace.access.rawValue),
      "read": JSONValue(options.reads), "write": JSONValue(options.writes),
      "network": .string(run.network?.summary ?? run.profile.network.rawValue),
      "limits": .object([
        "memoryBytes": amount(limits.memoryBytes), "processes": amount(limits.processes),
        "fileSizeBytes": amount(limits.fileSizeBytes),
        "scratchBytes": amount(run.profile.filesystem.scratch?.sizeBytes),
        "wallMilliseconds": amount(limits.wallMilliseconds),
        "cpuTimeMilliseconds": amount(limits.cpuTimeMilliseconds),
        "diskBytes": amount(limits.diskBytes),
        "requests": amount(limits.requests), "toolCalls": amount(limits.toolCalls),
        "egressBytes": amount(limits.egressBytes), "outputBytes": amount(run.limits.outputBytes),
      ]),
      "onViolation": .string(options.onViolation.rawValue),
      "breach": JSONValue(options.breachLevels?.text),
    ]
  }
}
