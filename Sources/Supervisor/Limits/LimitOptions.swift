internal import LaunchPlan
internal import Rings
internal import YAML

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
    if ioReadBytes != nil || ioWriteBytes != nil, cgroup == .none {
      throw RunError(
        .usage, "\(ioFlag) and --cgroup none contradict each other", hint: "leave one of them out")
    }
  }

  /// `10MiB/s`
  static func bytesPerSecond(_ flag: String, _ text: String) throws(RunError) -> UInt64 {
    var reason = "a size for each second is needed"
    if text.hasSuffix("/s") {
      do throws(QuantityError) {
        let bytes = try Quantity.bytes(String(text.dropLast(2)))
        if bytes > 0 { return bytes }
        reason = "nothing can run without any"
      } catch { reason = error.description }
    }
    throw RunError(.usage, "\(flag) \(text): \(reason)", hint: "\(flag) 10MiB/s")
  }

  /// The first of the two that is given.
  private var ioFlag: String { ioWriteBytes == nil ? "--io-read" : "--io-write" }

  /// What is asked for of the disks that the workspace is on; with a transaction, what is written goes to its layers.
  func throughput(
    _ workspace: LaunchRequest.Workspace
  ) throws(RunError) -> RunLimits.Throughput? {
    guard ioReadBytes != nil || ioWriteBytes != nil else { return nil }
    var places = [(workspace.path, workspace.share.judged.device)]
    // An explanation has none of its own.
    if let layers = workspace.layers, layers.judged.device != 0 {
      places.append((layers.path, layers.judged.device))
    }
    var disks: [BlockDevice] = []
    for (path, number) in places {
      guard let disk = BlockDevice.disk(number: number) else {
        throw RunError(
          .notConfined,
          "\(ioFlag): \(path) is on no disk whose throughput can be limited (device "
            + "\(BlockDevice(number: number).text))",
          hint: "choose a workspace on a disk and not on tmpfs, overlayfs or btrfs; or leave it out"
        )
      }
      if !disks.contains(disk) { disks.append(disk) }
    }
    return RunLimits.Throughput(readBytes: ioReadBytes, writeBytes: ioWriteBytes, disks: disks)
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
