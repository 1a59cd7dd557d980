import TestSupport
import Testing

/// Every system call of the launch fails once, in each of its processes: the run ends with 126, says which
/// step and which call, and the program was never executed.
///
/// AGT_FAULTS=all injects at every single call; without it, at most three in a row of the same call of
/// the same process, and at most a dozen of each.
@Suite(.enabled(if: File.exists(Binaries.tests + "/fault-injector"), "swift build --build-tests"))
struct FaultTests {
  struct Launch: Sendable, CustomTestStringConvertible {
    let ring: String
    let starter: Starter
    let part: Int
    var options: [String] = []
    var testDescription: String {
      "ring \(ring), \(starter), part \(part)\(options.isEmpty ? "" : ", degraded")"
    }
  }

  static let parts = 2
  static let launches: [Launch] = Starter.all.flatMap { starter in
    (starter == .root ? ["3", "2", "1"] : ["3"]).flatMap { ring in
      (0..<parts).map { Launch(ring: ring, starter: starter, part: $0) }
    }
      // No process namespace takes with it what PID 1 leaves behind.
      + (0..<parts).map {
        Launch(ring: "2", starter: starter, part: $0, options: ["--degrade", "namespaces"])
      }
  }

  /// Different kinds in turn; none that a step takes for an answer (ENOENT of a path that may be missing).
  static let errors: [(name: String, number: Int32)] = [
    ("EPERM", 1), ("ENOMEM", 12), ("EIO", 5), ("ENOSYS", 38), ("EAGAIN", 11),
  ]

  /// Calls whose failure changes nothing that a ring promises. Each may also end the launch.
  static let harmless: [String: String] = [
    "close":
      "the descriptor is closed by execve(2); a writable file that stays open fails the pivot",
    "brk": "the allocator takes other memory, or ends the process",
    "mmap": "the allocator takes other memory, or ends the process",
    "munmap": "memory stays mapped until execve(2)",
    "madvise": "memory is given back later",
    "umask": "cannot fail (umask(2))",
    "getpid": "cannot fail (getpid(2)); a wrong answer ends the holder of the namespace",
    "wait4": "the holder of a user namespace is dead already; init(1) reaps it",
    "capget": "libcap asks for the version first; the check of the sets is refused below",
    "clone3": "clone(2) where there is no clone3, as in containers",
    "sched_getscheduler": "PID 1 does not wait for others, or does to its end",
    "sched_setscheduler": "PID 1 waits for others during the launch no longer, or to its end",
    "getrandom": "the seed of hash tables falls back to the clock",
  ]

  /// Calls that the injector must not touch, because they cannot fail and nobody can go on without.
  static let untouched: [String: String] = [
    "exit_group": "cannot fail", "exit": "cannot fail",
    "kill": "a process may always signal its own child (kill(2))",
    "rt_sigreturn": "no call of ours",
  ]

  /// What our messages call some of them.
  static let names: [String: [String]] = [
    "fcntl": ["not a sealed file", "not sealed"],
    "ioctl": ["tcsetpgrp", "tcsetattr", "tcgetattr"],
    "rt_sigprocmask": ["sigprocmask"], "signalfd4": ["signalfd"], "newfstatat": ["stat"],
    "getuid": ["getresuid"], "geteuid": ["getresuid"], "getgid": ["getresuid"],
    "getegid": ["getresuid"], "pread64": ["pread"], "prlimit64": ["rlimit"], "statx": ["stat"],
  ]

  @Test(arguments: launches) func everyCallOfTheLaunch(_ launch: Launch) {
    let site = FaultSite(ring: launch.ring, as: launch.starter, options: launch.options)
    let good = site.record()
    #expect(good.status == 0 && good.text == "RAN\n", "\(good)")
    #expect(site.calls.count > 150)
    var count = 0
    var missed = 0
    for (index, call) in selected(site.calls).enumerated() where index % Self.parts == launch.part {
      if Self.untouched[call.name] != nil { continue }
      let error = Self.errors[index % Self.errors.count]
      if !inject(error, into: call, in: site) { missed += 1 }
      count += 1
    }
    #expect(site.leftBehind == [])
    #expect(count > 50)
    #expect(missed * 20 < count, "\(missed) of \(count) calls were not met again")
  }

  /// Processes run side by side, so a number may meet another call than it did in the recorded launch:
  /// then once more.
  /// - Returns: false when the call was never met again.
  @discardableResult
  private func inject(
    _ error: (name: String, number: Int32), into call: FaultSite.Call, in site: FaultSite
  ) -> Bool {
    for _ in 0..<4 {
      let run = site.run(process: call.process, ordinal: call.ordinal, errno: error.number)
      guard site.injected == call.number else { continue }
      if let problem = complaint(run, of: call, error.name, in: site) {
        Issue.record(Comment(rawValue: problem))
      }
      return true
    }
    return false
  }

  private func complaint(
    _ run: (status: Int32, text: String), of call: FaultSite.Call, _ error: String,
    in site: FaultSite
  ) -> String? {
    let told =
      "process \(call.process), call \(call.ordinal): \(call.name) fails with \(error): "
      + "status \(run.status), \(run.text.debugDescription)"
    if mayPass(call, site), run.status == 0 { return run.text == "RAN\n" ? nil : told }
    // PID 1 at its work: whatever happens to it ends the program as well, which may have begun.
    if run.status == 125, mayPass(call, site) || run.text.contains(": supervision: ") { return nil }
    if run.text.contains("RAN") { return "it ran: " + told }
    if isRuntime(call, site) { return run.status == 125 || run.status == 126 ? nil : told }
    if run.status != 126 || !run.text.contains("agt-run: ring \(site.ring): ") { return told }
    if Self.harmless[call.name] != nil { return nil }
    let names = (Self.names[call.name] ?? []) + [call.name]
    if !names.contains(where: { run.text.contains($0) }) { return "it is not named: " + told }
    return run.text.contains("(\(error))") || run.text.contains("(EPROTO)") ? nil : told
  }

  /// The start of the Swift runtime, before the first statement of ours: it goes on without what it asked
  /// for, or ends the process with a word of its own.
  private func isRuntime(_ call: FaultSite.Call, _ site: FaultSite) -> Bool {
    guard let first = site.calls.first(where: { $0.process == 0 && $0.name == "close_range" })
    else { return false }
    return call.process == 0 && call.ordinal < first.ordinal
      || ["brk", "mmap", "munmap", "madvise", "getpid"].contains(call.name)
  }

  private func mayPass(_ call: FaultSite.Call, _ site: FaultSite) -> Bool {
    if Self.harmless[call.name] != nil || isRuntime(call, site) { return true }
    // A container that has no namespaces to give has no keyrings either.
    if call.name == "keyctl", site.options.contains("namespaces") { return true }
    // What holds a user namespace is killed a moment later; it may end at once instead.
    if call.process > 0 && call.process < site.processCount - 2 { return true }
    // The launcher has nothing left to do and waits until its end disturbs nobody.
    if call.process == 0, call.name == "recvmsg" {
      return call.ordinal
        == site.calls.last { $0.process == 0 && $0.name == "recvmsg" }?.ordinal
    }
    // An empty directory to hide others with: where there is none to bind, a new one is mounted.
    if call.name == "open_tree", call.process == site.processCount - 1,
      let root = site.calls.first(where: { $0.process == call.process && $0.name == "fsopen" })
    {
      return call.ordinal > root.ordinal
    }
    guard call.process == site.processCount - 2 else { return false }
    // Its second word in a row lets the launcher go, which would otherwise end a little later.
    if call.name == "sendmsg",
      site.calls.contains(where: {
        $0.process == call.process && $0.name == "sendmsg" && $0.ordinal == call.ordinal - 1
      })
    {
      return true
    }
    // PID 1 while the program starts: whatever happens to it ends the program as well.
    let last = site.calls.last { $0.process == call.process && $0.name == "epoll_create1" }
    return call.ordinal > last?.ordinal ?? .max
  }

  /// AGT_FAULTS=all takes all of them.
  private func selected(_ calls: [FaultSite.Call]) -> [FaultSite.Call] {
    if Binaries.environment("AGT_FAULTS") == "all" { return calls }
    var kept: [FaultSite.Call] = []
    var row = 0
    var totals: [String: Int] = [:]
    for (index, call) in calls.enumerated() {
      let previous = index > 0 ? calls[index - 1] : nil
      row = previous?.process == call.process && previous?.number == call.number ? row + 1 : 0
      let next = index + 1 < calls.count ? calls[index + 1] : nil
      let isLast = next?.process != call.process || next?.number != call.number
      if row > 1 && !isLast { continue }
      totals["\(call.process) \(call.number)", default: 0] += 1
      if totals["\(call.process) \(call.number)"]! <= 12 { kept.append(call) }
    }
    return kept
  }

  /// The steps that only a terminal has; its settings are back after each of them.
  @Test(arguments: Starter.all) func everyCallForTheTerminal(_ starter: Starter) {
    let site = FaultSite(ring: "2", as: starter, terminal: true)
    let good = site.record()
    #expect(good.status == 0 && good.text == "RAN\n", "\(good)")
    let kinds = ["ioctl", "sendmsg", "recvmsg", "dup3", "dup2", "fcntl", "setpgid"]
    let calls = site.calls.filter { kinds.contains($0.name) && !isRuntime($0, site) }
    #expect(calls.count { $0.name == "ioctl" } >= 5)
    for (index, call) in calls.enumerated() {
      let error = Self.errors[index % Self.errors.count]
      inject(error, into: call, in: site)
    }
    #expect(site.leftBehind == [])
  }

  /// The steps that only a network with rules has: without its routes or one of its sockets nothing runs.
  @Test(arguments: Starter.all) func everyCallForTheNetwork(_ starter: Starter) {
    let site = FaultSite(
      ring: "2", as: starter,
      options: ["--net", "example.org:443", "--net", "db.example.org:5432"])
    let good = site.record()
    #expect(good.status == 0 && good.text == "RAN\n", "\(good)")
    let first = site.calls.firstIndex { $0.name == "bind" }.map { site.calls[$0].process }
    let kinds = ["socket", "ioctl", "write", "read", "setsockopt", "bind", "listen", "sendmsg"]
    let calls = site.calls.filter { kinds.contains($0.name) && $0.process == first }
    #expect(calls.count { $0.name == "bind" } == 6)
    #expect(calls.count { $0.name == "write" } >= 4)
    for (index, call) in calls.enumerated() {
      inject(Self.errors[index % Self.errors.count], into: call, in: site)
    }
    #expect(site.leftBehind == [])
  }

  /// The twin of all of the above: an installation that nothing disturbs runs the program.
  @Test func withoutAFaultItRuns() {
    let site = FaultSite(ring: "3", as: .native)
    for _ in 0..<3 { #expect(site.run(process: -1, ordinal: 0, errno: 0).text == "RAN\n") }
    #expect(site.run(process: 99, ordinal: 0, errno: 1).text == "RAN\n")
  }
}
