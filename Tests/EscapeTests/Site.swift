import Foundation
import Testing

/// Who starts the run.
enum Caller: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case root, user

  /// A user that no machine has; it needs no entry in a password file.
  static let userID: UInt32 = 61234

  static let isRoot = geteuid() == 0

  var testDescription: String { rawValue }

  /// Why this half cannot be tested; nil when it can.
  var obstacle: String? {
    self == .root && !Self.isRoot ? "the root half needs the suite to be started as root" : nil
  }

  static var available: [Caller] { allCases.filter { $0.obstacle == nil } }

  var uid: UInt32 {
    switch self {
    case .root: 0
    case .user: Self.isRoot ? Self.userID : getuid()
    }
  }
}

/// A place for one caller with everything that the probes look for, beside the workspace and in it.
///
/// ```
/// bin/      the programs under test        outside/  what the canary owns
/// home/     the caller's, with a key       work/     the workspace    work0/  its neighbour
/// ```
final class Site: @unchecked Sendable {
  let caller: Caller
  let base: String
  let token: String
  private(set) var fixtures: [String: String] = [:]
  private let canary: Process
  private let canaryInput = Pipe()
  private let canaryOutput: String
  private var canaryLinesSeen = 0

  var bin: String { base + "/bin" }
  var work: String { base + "/work" }
  var home: String { base + "/home" }
  var outside: String { base + "/outside" }
  var probe: String { work + "/agt-probe" }
  /// A description of a key, and the secret in it.
  var keyName: String { token + "-key" }

  static func of(_ caller: Caller) -> Site {
    switch caller {
    case .root: root
    case .user: user
    }
  }

  private static let root = Site(.root)
  private static let user = Site(.user)

  private init(_ caller: Caller) {
    self.caller = caller
    // Two names: the path of the workspace is no secret, and HOME may well show it.
    let number = UInt32.random(in: 0...UInt32.max)
    token = "agt-token-\(getpid())-\(number)"
    // Not below /tmp: a private /tmp alone must not be what hides the secret.
    let parent =
      [ProcessInfo.processInfo.environment["AGT_ESCAPE_BASE"], "/srv", "/var/tmp"]
      .compactMap { $0 }.first { FileManager.default.isWritableFile(atPath: $0) } ?? "/tmp"
    base = parent + "/agt-escape-\(caller.rawValue)-\(number)"
    canaryOutput = base + "/canary.out"
    canary = Process()
    build()
    startCanary()
    Self.removeAtExit(self)
  }

  // MARK: - Files

  private func build() {
    let script = """
      set -e
      umask 022
      mkdir -p \(base)/bin \(home)/.ssh \(home)/runtime \(outside) \(work) \(base)/work0
      cp \(Binaries.names.map { Binaries.directory + "/" + $0 }.joined(separator: " ")) \(bin)/
      cp \(bin)/agt-stage \(base)/runtime-copy
      cp \(bin)/agt-probe \(probe)
      for name in setuid setgid capable; do cp \(probe) \(work)/planted-$name; done
      echo \(token) >\(home)/.ssh/id_agt
      echo \(token) >\(base)/work0/secret
      echo planted >\(work)/planted-file
      ln -s \(outside)/secret \(work)/planted-link
      ln -s ../outside/secret \(work)/planted-relative
      ln -s ../outside \(work)/planted-directory
      chmod 700 \(home)/.ssh \(home)/runtime
      chmod 777 \(outside)
      if [ "$(id -u)" = 0 ]; then
        chown -R \(caller.uid):\(caller.uid) \(home) \(outside) \(work) \(base)/work0 \
          \(base)/runtime-copy
      fi
      \(bin)/agt-probe plant \(work)
      """
    let made = Command(arguments: ["/bin/sh", "-c", script]).run()
    precondition(made.status == 0, "making \(base): \(made.errors)")
  }

  private func startCanary() {
    _ = FileManager.default.createFile(atPath: canaryOutput, contents: nil)
    canary.executableURL = URL(filePath: "/bin/sh")
    canary.arguments = [
      "-c", "exec \(identity) \(bin)/agt-probe canary \(outside) \(work) \(token)",
    ]
    canary.standardInput = canaryInput
    canary.standardOutput = FileHandle(forWritingAtPath: canaryOutput)
    do { try canary.run() } catch { preconditionFailure("the canary: \(error)") }
    while true {
      let line = nextCanaryLine()
      if line == "ready" { break }
      let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
      if parts.count == 2 { fixtures[parts[0]] = parts[1] }
    }
    fixtures["planted"] = "yes"
    fixtures["ssh-key"] = home + "/.ssh/id_agt"
    fixtures["runtime"] = base + "/runtime-copy"
    fixtures["key"] = keyName
    if Caller.isRoot { fixtures["engine-socket"] = "/run/docker.sock" }
    fixtures["address"] = Self.otherAddress()
  }

  /// What has been done to the canary's objects so far; equal texts mean that nothing was.
  func snapshot() -> String {
    canaryInput.fileHandleForWriting.write(Data("report\n".utf8))
    return nextCanaryLine()
  }

  private func nextCanaryLine() -> String {
    let deadline = Date().addingTimeInterval(10)
    while Date() < deadline {
      let text = (try? String(contentsOfFile: canaryOutput, encoding: .utf8)) ?? ""
      let lines = text.split(separator: "\n")
      if lines.count > canaryLinesSeen && text.hasSuffix("\n") {
        canaryLinesSeen += 1
        return String(lines[canaryLinesSeen - 1])
      }
      usleep(1000)
    }
    preconditionFailure("the canary of \(caller) does not answer")
  }

  private static func removeAtExit(_ site: Site) {
    // SAFETY: the suite is serialised, and only its first use of a site comes here.
    unsafe toRemove.append(site)
    if unsafe toRemove.count == 1 {
      atexit {
        // SAFETY: as above; the tests are over.
        for site in unsafe Site.toRemove {
          try? site.canaryInput.fileHandleForWriting.close()
          site.canary.waitUntilExit()
          try? FileManager.default.removeItem(atPath: site.base)
        }
      }
    }
  }

  /// Only touched while the suite, which is serialised, makes its sites.
  private nonisolated(unsafe) static var toRemove: [Site] = []

  /// An IPv4 address of this machine beside the loopback's; nil when it has none.
  private static func otherAddress() -> String? {
    let listed = Command(arguments: ["/bin/sh", "-c", "hostname -I"]).run()
    return listed.output.split(separator: " ").map(String.init).first {
      $0.split(separator: ".").count == 4
    }
  }

  /// A profile that is the ring's but for the number of files in scratch space: the rings' own
  /// numbers take a minute to reach.
  func fewFilesProfile(ring: Int) -> String {
    let path = base + "/few-files-\(ring).yaml"
    let text = """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: few-files, description: ring \(ring) with few files in scratch space}
      extends: ring\(ring)
      filesystem:
        scratch: {size: 16MiB, inodes: 2000, exec: false}

      """
    try? text.write(toFile: path, atomically: false, encoding: .utf8)
    return path
  }

  // MARK: - Commands

  /// The words that make a command the caller's own.
  private var identity: String {
    switch caller {
    case .root: "setpriv --groups 61231,61232 --"
    case .user where Caller.isRoot:
      "setpriv --reuid=\(caller.uid) --regid=\(caller.uid) --clear-groups --"
    case .user: ""
    }
  }

  private var environment: [String: String] {
    [
      "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home, "LANG": "C.UTF-8",
      "USER": caller == .root ? "root" : "agt-escape", "XDG_RUNTIME_DIR": home + "/runtime",
      // What must not be inherited.
      "AGT_ESCAPE_SECRET": token, "AWS_SECRET_ACCESS_KEY": token,
      "LD_LIBRARY_PATH": "/nonexistent", "BASH_ENV": "/nonexistent",
      "PYTHONSTARTUP": "/nonexistent", "SSH_AUTH_SOCK": "/nonexistent/agent",
    ]
  }

  /// A command of the caller's, started with everything that a careless caller may have about
  /// itself: open descriptors, an ignored signal, a key in its session, a container engine.
  func command(
    _ words: String, terminal: Terminal? = nil, input: String? = nil, isolation: String = ""
  ) -> Command {
    let engine =
      Caller.isRoot
      ? """
      mount -t tmpfs -o mode=755 none /run
      touch /run/docker.sock
      mount --bind \(outside)/engine.sock /run/docker.sock
      """ : ""
    let inner = """
      set -e
      \(engine)
      trap '' USR2
      exec 7<\(outside) 8<\(outside)/secret 9>>\(outside)/secret
      cd \(work)
      exec \(isolation) \(identity) env --block-signal=URG \
        \(bin)/agt-probe with-key \(keyName) \(token) \(words)
      """
    let script =
      Caller.isRoot ? "exec unshare --mount --propagation private sh -c '\(quoted(inner))'" : inner
    return Command(
      arguments: ["/bin/sh", "-c", script], environment: environment,
      input: input ?? outside + "/secret", terminal: terminal)
  }

  private func quoted(_ text: String) -> String {
    text.replacingOccurrences(of: "'", with: "'\\''")
  }

  /// `agt-run` with these options, on `agt-probe` with these words.
  func contained(
    ring: Int, options: String = "", _ words: String, terminal: Terminal? = nil,
    input: String? = nil
  ) -> Command {
    let choice = options.contains("--profile") ? "" : "--ring \(ring)"
    return command(
      "\(bin)/agt-run \(choice) --quiet \(options) --workspace \(work) -- \(probe) \(words)",
      terminal: terminal, input: input)
  }

  /// `agt-probe` with these words and nothing around it. The shell in between is the caller's, and
  /// stands where the launcher would.
  func bare(_ words: String, terminal: Terminal? = nil, isolation: String = "") -> Command {
    // The shell unblocks all signals when it starts.
    command(
      "/bin/sh -c 'env --block-signal=URG \(probe) \(words); exit $?'", terminal: terminal,
      isolation: isolation)
  }

  /// The fixtures as arguments; `$$` is the shell that leads the caller's session and group.
  func fixtureWords(_ extra: [String: String] = [:]) -> String {
    let all = fixtures.merging(extra) { $1 }.merging(["group": "$$", "session": "$$"]) { $1 }
    return all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
  }
}
