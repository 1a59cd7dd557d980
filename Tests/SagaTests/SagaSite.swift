import Glibc
import JSON
import TestSupport

/// The built commands in a directory of their own, and a workspace, for one starter.
final class SagaSite {
  let starter: Starter
  let scratch = Scratch()
  /// Root's state would be the machine's own: gc would collect what tests beside this one, and the
  /// machine's administrator, still want. It holds a mount namespace with another /var/lib/agt.
  private let place: RunningCommand?

  init(_ starter: Starter) {
    self.starter = starter
    scratch.write("empty", "")
    _ = Command.agtRun([], as: starter, in: scratch)
    guard starter == .root else {
      place = nil
      return
    }
    let script = "mkdir -p $1 /var/lib/agt && mount --bind $1 /var/lib/agt && echo ready && read x"
    let place = Command(
      ["/usr/bin/unshare", "-m", "/bin/sh", "-c", script, "sh", scratch.home + "/var"]
    ).with {
      $0.input = .silent
      $0.timeoutSeconds = 600
    }.start()
    precondition(place.waitForOutput("ready"))
    self.place = place
  }

  private static let installed: Scratch = {
    let place = Scratch()
    for (source, name) in [
      (Binaries.agt, "agt"), (Binaries.agtRun, "agt-run"), (Binaries.stage, "agt-stage"),
    ] {
      let copy = Command(["/bin/cp", source, "\(place.path)/\(name)"]).run()
      precondition(copy.status == 0, copy.err)
    }
    return place
  }()

  func plan(_ steps: String, head: String = "") {
    scratch.write(
      "plan.yaml",
      """
      apiVersion: agt-run/v1
      kind: Saga
      metadata: {name: test}
      defaults: {ring: 2, timeout: {run: 20s, grace: 500ms}}
      \(head)
      \(steps)
      """)
  }

  func makeDirectories(_ names: [String]) -> Bool {
    Command(["/bin/mkdir", "--"] + names, in: scratch.path).run().status == 0
  }

  func command(_ words: [String], before: [String] = [], as uid: UInt32? = nil) -> Command {
    program("agt", ["saga"] + words, before: before, as: uid)
  }

  /// A command of ours, in this place.
  func program(
    _ name: String, _ words: [String], before: [String] = [], as uid: UInt32? = nil
  ) -> Command {
    var prefix = starter.prefix
    if let uid {
      prefix = ["/usr/bin/setpriv", "--reuid=\(uid)", "--regid=\(uid)", "--clear-groups", "--"]
    }
    if let place {
      prefix =
        ["/usr/bin/nsenter", "--target=\(place.pid)", "--mount", "--wdns=\(scratch.path)", "--"]
        + prefix
    }
    var command = Command(
      prefix + before + ["\(Self.installed.path)/\(name)"] + words, in: scratch.path)
    command.environment = [
      "PATH=/usr/bin:/bin:/usr/sbin", "HOME=\(scratch.home)",
      "XDG_STATE_HOME=\(scratch.home)/state",
      "LANG=C.UTF-8", "TERM=dumb",
    ]
    command.timeoutSeconds = 60
    return command
  }

  func agt(_ words: [String], before: [String] = [], as uid: UInt32? = nil) -> Completed {
    command(words, before: before, as: uid).run()
  }

  /// Of the first line of a run.
  func identifier(_ run: Completed) -> String? { identifier(run.out) }

  func identifier(_ text: String) -> String? {
    guard text.hasPrefix("saga "), text.utf8.count >= 31 else { return nil }
    return String(text.dropFirst(5).prefix(26))
  }

  func directory(_ id: String) -> String {
    starter == .root
      ? "\(scratch.home)/var/saga/\(id)" : "\(scratch.home)/state/agt/saga/\(id)"
  }

  func show(_ id: String) throws -> JSONValue {
    try JSONParser.parse(agt(["show", id, "--json"]).output)
  }

  func status(_ id: String, _ step: String) throws -> String? {
    let steps = try show(id)["steps"]?.arrayValue ?? []
    return steps.first { $0["step"]?.stringValue == step }?["status"]?.stringValue
  }

  /// A step that leaves a file and says in `log` when it begins and ends; its compensation removes the file.
  static func step(_ id: String, needs: [String] = [], script: String = "true") -> String {
    """
    - id: \(id)
      kind: compensatable
      needs: [\(needs.joined(separator: ", "))]
      run: [/bin/sh, -c, "echo begin \(id) >> log; touch \(id); \(script); echo end \(id) >> log"]
      compensate: {run: [/bin/sh, -c, "rm -f \(id); echo undo \(id) >> log"], retry: {initial: 50ms}}

    """
  }
}
