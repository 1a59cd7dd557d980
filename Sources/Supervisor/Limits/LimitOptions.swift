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
}
