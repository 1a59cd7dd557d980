internal import Glibc
internal import Kernel
internal import Paths
internal import YAML

/// `agt unit NAME [options] -- command…`: an agent as a service of systemd. It writes the declaration, and
/// the template of the unit where there is none.
///
/// Its user has tried the agent by hand and wants it to run from now on. What can go wrong: an option is not
/// understood, the program is not found with what a service has (its PATH, not the person's), a declaration of
/// this name exists. Then nothing is written. It never starts anything.
public struct AgentUnit {
  /// Of the declaration.
  public let text: String
  public let file: String
  /// Variables that are taken over from the service's environment.
  public let variables: [String]
  /// That systemd has to give to the service.
  public let credentials: [String]
  public let hasWorkspace: Bool
  private let name: String
  private let caller: Caller
  private let base: String

  /// What systemd gives to a service (systemd.exec(5), Debian's).
  private static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  private static let template = "agt-agent@.service"

  /// - Parameter arguments: options of agt-run, `--`, the program.
  public init(
    name: String, arguments: [[UInt8]], environment: [[UInt8]]
  ) throws(RunError) {
    if let problem = Label.problem(name) {
      throw RunError(.usage, "\(name): \(problem)", hint: "agt unit research-3 -- …")
    }
    self.name = name
    caller = Caller(environment)
    base = try Self.configuration(caller)
    file = "\(base)/agt/agents/\(name).yaml"
    let words = try RunOptions.words(arguments)
    let directory: String
    do throws(SyscallError) { directory = try Files.workingDirectory().text } catch {
      throw RunError(.internalFailure, "the current directory: \(error.description)")
    }
    var command: [String] = []
    for word in words.command {
      guard let text = String(validating: word, as: UTF8.self) else {
        throw RunError(.usage, "\(word.text): a declaration holds UTF-8 only")
      }
      command.append(text)
    }
    text = try AgentText.make(
      name: name, options: words.given, command: command, directory: directory)
    variables = words.given.compactMap { flag, value in
      flag == "--env" ? value.flatMap { $0.contains("=") ? nil : $0 } : nil
    }
    credentials = words.given.compactMap { $0.flag == "--credential" ? $0.value : nil }
    hasWorkspace = words.given.contains { $0.flag == "--workspace" }
    try check(environment)
  }

  /// /etc, or the user's XDG_CONFIG_HOME.
  private static func configuration(_ caller: Caller) throws(RunError) -> String {
    if caller.isRoot { return "/etc" }
    if let given = caller.value("XDG_CONFIG_HOME"), given.hasPrefix("/") { return given }
    guard caller.home != "/nonexistent" else {
      throw RunError(.usage, "HOME is no directory", hint: "log in, or set HOME")
    }
    return caller.home + "/.config"
  }

  /// The declaration is read back and made into a plan, as the service would.
  private func check(_ environment: [[UInt8]]) throws(RunError) {
    let declaration: AgentDeclaration
    do throws(YAMLError) {
      declaration = try AgentFile.parse(Array(text.utf8), file: file, home: caller.home)
    } catch {
      throw RunError(.usage, error.description)
    }
    guard case .run(var options) = try RunOptions.parse(declaration.words) else {
      throw RunError(.usage, "--help and --version start nothing")
    }
    // Stands for the service's own directory, which does not exist before the first start.
    if !hasWorkspace { options.workspace = "/tmp" }
    let kept = ["HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR"].compactMap { name in
      caller.isRoot ? nil : caller.value(name).map { Array("\(name)=\($0)".utf8) }
    }
    _ = try Preparation.prepare(
      options, environment: [Array(Self.path.utf8)] + kept, forReal: false)
  }

  // MARK: writing

  /// - Returns: the files that were written.
  /// - Throws: when there is a declaration of this name, unless `replace`.
  public func install(replace: Bool) throws(RunError) -> [String] {
    if !replace, (try? Files.status(of: ByteString(file), followLink: false)) != nil {
      throw RunError(
        .usage, "\(file): there is an agent of this name",
        hint: "agt unit --replace \(name) … writes it anew")
    }
    var written = [file]
    // Variables may be secrets.
    try Self.write(text, to: file, mode: 0o600)
    if let unit = try missingTemplate() {
      try Self.write(try Self.templateText(isRoot: caller.isRoot), to: unit, mode: 0o644)
      written.append(unit)
    }
    if try installCredentials() { written.append(credentialsUnit) }
    return written
  }

  /// What of the service is this agent's alone.
  private var credentialsUnit: String {
    "\(base)/systemd/\(caller.isRoot ? "system" : "user")/agt-agent@\(name).service.d/credentials.conf"
  }

  /// Where the value of a credential is to lie; no ring above 0 sees the directory.
  private func place(ofCredential credential: String) -> String {
    "\(file.dropLast(5)).credentials/\(credential)"
  }

  /// - Returns: whether there are any; what an earlier declaration had is removed otherwise.
  private func installCredentials() throws(RunError) -> Bool {
    guard !credentials.isEmpty else {
      try? Files.remove(ByteString(credentialsUnit))
      return false
    }
    let lines = credentials.map {
      "LoadCredential=\("\($0):\(place(ofCredential: $0))".replacing("%", with: "%%"))\n"
    }
    try Self.write(
      "# Written by agt unit, with the declaration.\n[Service]\n" + lines.joined(),
      to: credentialsUnit, mode: 0o644)
    return true
  }

  /// Where the template has to go; nil when systemd finds one already (systemd.unit(5)).
  private func missingTemplate() throws(RunError) -> String? {
    let kind = caller.isRoot ? "system" : "user"
    let own = "\(base)/systemd/\(kind)/\(Self.template)"
    let places =
      [own]
      + [
        "/etc/systemd/", "/usr/local/lib/systemd/", "/usr/lib/systemd/", "/lib/systemd/",
      ].map { "\($0)\(kind)/\(Self.template)" }
    return places.contains { (try? Files.status(of: ByteString($0))) != nil } ? nil : own
  }

  /// With the agt-run that lies beside us.
  static func templateText(isRoot: Bool) throws(RunError) -> String {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")).text else {
      throw RunError(.internalFailure, "reading /proc/self/exe: is /proc mounted?")
    }
    let program = PathText.parent(own) + "/agt-run"
    guard Files.mayAccess(ByteString(program), 1) else {
      throw RunError(
        .internalFailure, "agt-run is not beside \(own)", hint: "install it again")
    }
    let text = isRoot ? EmbeddedUnits.system : EmbeddedUnits.user
    let line = "ExecStart=/usr/bin/agt-run "
    guard let range = text.firstRange(of: line) else { preconditionFailure("no \(line)") }
    return text[..<range.lowerBound] + "ExecStart=\(Self.escaped(program)) "
      + text[range.upperBound...]
  }

  /// A path in a command line of a unit: specifiers, variables and quotes mean themselves
  /// (systemd.service(5), "COMMAND LINES").
  static func escaped(_ path: String) -> String {
    var result = ""
    for scalar in path.unicodeScalars {
      switch scalar {
      case "%": result += "%%"
      case "$": result += "$$"
      case "\\", "\"", "'", " ": result += "\\x" + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// All of it or nothing.
  private static func write(_ text: String, to file: String, mode: UInt32) throws(RunError) {
    let place = PathText.parent(file)
    let name = String(file.dropFirst(place.utf8.count + 1))
    do throws(SyscallError) {
      try Files.makeDirectories(ByteString(place), mode: 0o755)
      let directory = try Files.open(ByteString(place), O_RDONLY | O_DIRECTORY)
      try Files.replace(
        ByteString(name), with: Array(text.utf8), mode: mode,
        through: ByteString(".\(name).\(getpid())"), at: directory.raw)
    } catch {
      throw RunError(.internalFailure, "writing \(file): \(error.description)")
    }
  }

  /// What comes next, as commands.
  public func advice(written: [String]) -> [String] {
    let systemctl = caller.isRoot ? "systemctl" : "systemctl --user"
    var lines: [String] = []
    if !variables.isEmpty {
      lines.append(
        "put \(variables.map { "\($0)=…" }.joined(separator: " ")) into "
          + "\(file.dropLast(5)).env (chmod 600)")
    }
    for credential in credentials {
      lines.append(
        "put the credential into \(place(ofCredential: credential)) (chmod 600; its directory 700)")
    }
    if !hasWorkspace {
      lines.append(
        "its workspace is the service's own directory: "
          + (caller.isRoot ? "/var/lib/agt-agents/\(name)" : "agt-agents/\(name) in %S of systemd"))
    }
    if written.count > 1 { lines.append("\(systemctl) daemon-reload") }
    lines.append("\(systemctl) enable --now agt-agent@\(name)")
    if !caller.isRoot { lines.append("loginctl enable-linger    # to go on when you log out") }
    lines.append(
      (caller.isRoot ? "journalctl -u" : "journalctl --user -u")
        + " agt-agent@\(name)    # its output")
    return lines
  }
}
