import Glibc
import JSON
import TestSupport

/// A tmux server of its own: a person with several terminals.
final class Tmux {
  let site: SessionSite
  let socket: String

  init(_ site: SessionSite) {
    self.site = site
    socket = site.scratch.home + "/tmux"
  }

  deinit { run("kill-server") }

  @discardableResult func run(_ words: String...) -> Completed {
    site.agtCommand([]).with {
      $0.words =
        (site.starter.prefix + ["/usr/bin/tmux", "-S", socket, "-f", "/dev/null"] + words)
        .map { Array($0.utf8) }
      $0.environment = $0.environment.filter { !$0.hasPrefix("TERM=") } + ["TERM=xterm"]
    }.run()
  }

  func open(_ window: String, _ command: String, columns: Int = 80, rows: Int = 24) {
    run("new-session", "-d", "-s", window, "-x", "\(columns)", "-y", "\(rows)", command)
  }

  func type(_ window: String, _ keys: String...) {
    for key in keys { run("send-keys", "-t", window, key) }
  }

  func screen(_ window: String) -> String { run("capture-pane", "-p", "-t", window).out }

  func shows(_ window: String, _ text: String) -> Bool {
    Clock.eventually(10) { self.screen(window).contains(text) }
  }

  /// The same, of a program that loses keys while it draws itself anew: they are typed until it shows.
  func shows(_ window: String, _ text: String, typing key: String) -> Bool {
    Clock.eventually(20) {
      self.type(window, key)
      return Clock.eventually(1) { self.screen(window).contains(text) }
    }
  }

  /// What tmux says of the window's pane.
  func pane(_ window: String, _ format: String) -> String {
    String(run("display-message", "-p", "-t", window, format).out.dropLast())
  }

  /// The command that the window's shell runs at the moment.
  func child(_ window: String) -> Int32 {
    let shell = pane(window, "#{pane_pid}")
    let children = File.read("/proc/\(shell)/task/\(shell)/children") ?? ""
    return Int32(children.split(separator: " ").first ?? "") ?? 0
  }
}

extension SessionSite {
  /// Starts a program in the background with a terminal.
  /// - Returns: the command for a window that attaches to it.
  func session(_ program: [String], ring: String = "2") -> String {
    let done = Command.agtRun(
      ["-d", "-t", "--ring", ring, "--name", mark, "--"] + program, as: starter, in: scratch
    ).with { $0.environment += ["XDG_RUNTIME_DIR=\(runtime)", "TERM=xterm"] }.run()
    precondition(done.status == 0, done.summary)
    return "\(Binaries.agt) attach \(mark); echo \"left with $?\"; sleep 100"
  }

  /// The pid of the run's supervisor; 0 when there is none.
  func supervisor(_ run: String) -> Int32 {
    let seen = try? JSONParser.parse(agt("inspect", run).output)
    return seen?["supervisorPid"]?.integerValue.flatMap(Int32.init(exactly:)) ?? 0
  }
}
