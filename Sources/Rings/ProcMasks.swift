internal import LaunchPlan

/// What of the kernel's own files in /proc a ring sees.
extension LoweringState {
  /// What programs read of the kernel's own files, and what no one is harmed by. Everything else in
  /// /proc that is not a process is covered, whatever a later kernel may put there.
  static let shownProc = [
    "self", "thread-self", "mounts", "net", "cpuinfo", "meminfo", "stat", "uptime", "loadavg",
    "version", "filesystems", "vmstat", "sys",
  ]
  /// An empty directory that covers others.
  static let emptyDirectory = "/run/agt/empty"

  /// Every kernel has it: a list without it is not the list (a /proc of processes only, or one that could not be read).
  private static let sureOfProc = "version"

  func procMasks() throws(LoweringError) -> [LaunchPlan.MountStep] {
    guard profile.filesystem.proc == .masked else { return [] }
    let names = host.kernelFiles()
    guard names.contains(Self.sureOfProc) else {
      throw LoweringError(
        message:
          "/proc does not list the kernel's own files, so that nobody knows what is to be hidden of them",
        hint:
          "start it where /proc is mounted without subset=pid (in a systemd unit: ProcSubset=all)")
    }
    return names.sorted().filter { !Self.shownProc.contains($0) }.map {
      .mask(path: Array("/proc/".utf8) + $0.utf8)
    }
  }
}
