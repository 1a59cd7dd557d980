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

  func procMasks() -> [LaunchPlan.MountStep] {
    guard profile.filesystem.proc == .masked else { return [] }
    return host.kernelFiles().sorted().filter { !Self.shownProc.contains($0) }.map {
      .mask(path: Array("/proc/".utf8) + $0.utf8)
    }
  }
}
