internal import LaunchPlan

/// The environment of the program: built from nothing, never inherited (ESCAPES row 29).
///
/// Later sources win: fixed values of the profile, what it lets pass of the caller's, what the ring itself
/// sets, what the program's tool manager needs, `--env`. Where the broker and credentials are, is nobody else's to say.
struct LoweredEnvironment {
  private var variables: [(name: String, value: [UInt8])] = []

  init(_ request: LaunchRequest, _ broker: LaunchPlan.Broker) {
    let profile = request.profile
    for (name, value) in profile.environment.set { set(name, Array(value.utf8)) }
    for entry in request.callerEnvironment {
      guard let equals = entry.firstIndex(of: UInt8(ascii: "=")), equals > 0 else { continue }
      let name = String(decoding: entry[..<equals], as: UTF8.self)
      if profile.environment.pass.contains(where: { Self.matches(name, $0) }) {
        set(name, Array(entry[(equals + 1)...]))
      }
    }
    if profile.ring > 0 {
      set("HOME", Array(Self.home(request).utf8))
      set("USER", Array(request.userName.utf8))
      set("LOGNAME", Array(request.userName.utf8))
      set("TMPDIR", Array("/tmp".utf8))
    }
    set("AGT_RING", Array("\(profile.ring)".utf8))
    for (name, value) in request.program.environment { set(name, value) }
    if !request.program.searchPath.isEmpty {
      // Not `joined`, whose generic code costs a launch a tenth of a millisecond.
      var path: [UInt8] = []
      for place in request.program.searchPath {
        if !path.isEmpty { path.append(UInt8(ascii: ":")) }
        path += place.utf8
      }
      set("PATH", path)
    }
    for (name, value) in request.environment { set(name, value) }
    if !request.credentials.isEmpty {
      set("CREDENTIALS_DIRECTORY", Array(LaunchRequest.credentialsDirectory.utf8))
    }
    switch broker {
    case .absent: break
    case .connection: set("AGT_BROKER", Array("fd:\(LaunchPlan.brokerDescriptor)".utf8))
    case .listener: set("AGT_BROKER", Array("unix:\(LaunchPlan.brokerPath)".utf8))
    }
  }

  /// In a host root the home directory of the root user stays closed to the run's own user.
  private static func home(_ request: LaunchRequest) -> String {
    if case .root = request.starter, request.profile.root == .host { return "/tmp" }
    return request.home
  }

  /// `NAME=VALUE` in the order in which the names were first set.
  var entries: [[UInt8]] {
    variables.map { Array($0.name.utf8) + [UInt8(ascii: "=")] + $0.value }
  }

  private mutating func set(_ name: String, _ value: [UInt8]) {
    if let index = variables.firstIndex(where: { $0.name == name }) {
      variables[index].value = value
    } else {
      variables.append((name, value))
    }
  }

  /// `pattern` is a name, or a prefix that ends in `*`.
  private static func matches(_ name: String, _ pattern: String) -> Bool {
    pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
  }
}
