internal import Rings

/// Limits of the command line that bound something only together with other options.
extension RunOptions {
  /// A limit of what cannot be done in this run at all is a mistake, and is not ignored.
  func checkLimits() throws(RunError) {
    if requests != nil, policies.isEmpty {
      throw RunError(
        .usage, "--requests: without --policy there is no broker to ask",
        hint: "add --policy FILE, or leave it out")
    }
    if toolCalls != nil, tools.isEmpty {
      throw RunError(
        .usage, "--tool-calls: without --tools no tool can be called",
        hint: "add --tools FILE, or leave it out")
    }
  }

  /// What is sent is counted by the relay of the ring's own network, and by nobody in the host's.
  /// - Parameter network: of the run; nil when nothing is to be reached.
  func checkEgress(_ profile: RingProfile, _ network: NetworkPlan?) throws(RunError) {
    guard profile.limits.egressBytes != nil, network == nil else { return }
    let usesHost = profile.network == .host || degraded.contains(.namespaces)
    if egressBytes != nil {
      throw usesHost
        ? RunError(
          .usage,
          "--egress: this run uses the network of the host, where nobody counts what it sends",
          hint: "--ring 2 reaches what --net names, and what it sends is counted")
        : RunError(
          .usage, "--egress: the run may reach nothing",
          hint: "--ring 2 reaches what --net names; or leave it out")
    }
    guard usesHost else { return }
    throw RunError(
      .notConfined,
      "limits.egress: this run uses the network of the host, where nobody counts what it sends",
      hint: "leave it out of the profile, or choose ring 2")
  }
}
