internal import ArgumentParser
internal import Glibc
internal import Kernel
internal import Supervisor

struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Shows the runs of this user as a live screen.",
    discussion: "Sorted by processor time; q ends it. Without a terminal it prints one screen.")

  func run() throws {
    guard isatty(0) == 1, isatty(1) == 1 else {
      var screen = TopScreen()
      _ = try sample(&screen)
      sleep(1)
      return print(try sample(&screen).joined(separator: "\n"))
    }
    do {
      try live()
    } catch let error as SyscallError {
      throw Printing.fail(RunError(.internalFailure, "top: \(error.description)"))
    }
  }

  private func sample(_ screen: inout TopScreen) throws -> [String] {
    do throws(RunError) {
      return screen.lines(
        try RunListing.lines(Runs.registry), nowNanoseconds: Clock.monotonicNanoseconds())
    } catch { throw Printing.fail(error) }
  }

  private func live() throws {
    let signals = try Signals.descriptor(for: [SIGTERM, SIGHUP, SIGINT, SIGWINCH])
    let saved = try Terminals.settings(0)
    try Terminals.makeRaw(0, from: saved)
    defer {
      try? Descriptors.write(1, Array("\u{1B}[?25h\u{1B}[?1049l".utf8))
      try? Terminals.restore(0, saved)
    }
    try Descriptors.write(1, Array("\u{1B}[?1049h\u{1B}[?25l".utf8))
    var poller = try Poller()
    try poller.add(0, .input)
    try poller.add(signals.raw, .input)
    var screen = TopScreen()
    while true {
      let rows = Terminals.windowSize(1).map { Int($0.rows) } ?? 24
      let lines = try sample(&screen).prefix(max(rows - 1, 1))
      // Each line ends with "erase to the end of the line", the whole with "erase below" (ECMA-48, EL and ED).
      let text = "\u{1B}[H" + lines.map { $0 + "\u{1B}[K\r\n" }.joined() + "\u{1B}[J"
      try Descriptors.write(1, Array(text.utf8))
      for event in try poller.wait(milliseconds: 1000) {
        if event.descriptor == 0 {
          let keys = try Descriptors.read(0, upTo: 64)
          // q, Ctrl-C, and the end of the terminal.
          if keys.isEmpty || keys.contains(UInt8(ascii: "q")) || keys.contains(3) { return }
        } else if try Signals.pending(signals.raw).contains(where: { $0 != SIGWINCH }) {
          return
        }
      }
    }
  }
}

/// What `agt top` shows, from one listing and the one before.
struct TopScreen {
  private var before: [String: UInt64] = [:]
  private var beforeNanoseconds: UInt64 = 0

  mutating func lines(_ runs: [RunLine], nowNanoseconds now: UInt64) -> [String] {
    let elapsed = Double(now - beforeNanoseconds) / 1e6
    let shares = runs.map { run -> Double in
      guard let earlier = before[run.id], run.cpuMilliseconds >= earlier, elapsed > 0 else {
        return 0
      }
      return Double(run.cpuMilliseconds - earlier) / elapsed * 100
    }
    before = [:]
    for run in runs { before[run.id] = run.cpuMilliseconds }
    beforeNanoseconds = now
    let order = runs.indices.sorted {
      shares[$0] != shares[$1]
        ? shares[$0] > shares[$1] : runs[$0].memoryBytes > runs[$1].memoryBytes
    }
    var rows = [
      [
        "RUN", "NAME", "RING", "AGE", "PROCS", "MEMORY", "CPU%", "CPU", "DENIED", "STATE",
        "COMMAND",
      ]
    ]
    for index in order {
      let run = runs[index]
      rows.append([
        run.id, run.name ?? "-", run.ring.map { "\($0)" } ?? "-", run.ageText,
        "\(run.processes)", run.memoryText, "\(Int(shares[index].rounded()))", run.cpuText,
        run.violations.map { "\($0)" } ?? "-", run.state, run.command,
      ])
    }
    let processes = runs.reduce(0) { $0 + $1.processes }
    let share = Int(shares.reduce(0, +).rounded())
    return [
      "\(runs.count) run\(runs.count == 1 ? "" : "s"), \(processes) "
        + "process\(processes == 1 ? "" : "es"), CPU \(share) %", "",
    ] + RunTable.aligned(rows)
  }
}
