/// From a script to the program that reads it, as the kernel and execvp(3) do.
extension Resolution {
  /// The invocation that execve(2) of a script becomes: the interpreter, at most one argument from
  /// the `#!` line, the script's path, the arguments; argv[0] is dropped.
  mutating func interpreter(
    of script: Invocation, _ walked: Walked, _ head: [UInt8]
  ) throws(ProgramError) -> Invocation {
    let untrusted = script.untrusted || scope.isUntrusted(walked.real)
    let itself = Argument(
      bytes: script.spelled, origin: .script(script.path, untrusted: script.untrusted))
    let rest = [itself] + script.arguments
    guard let line = try shebang(script.path, head) else {
      return try shell(for: script, walked, head, rest)
    }
    let path = Path(line.interpreter).absolute(in: scope.workingDirectory)
    if isEnv(path) {
      return try throughEnv(script, line.argument, rest, untrusted)
    }
    if path.name.isText("sh") || path.name.isText("bash"),
      let words = Shebang.trampoline(head: head, directory: walked.real.parent)
    {
      trail.append("\(script.path) is a shell script that only starts \(shown(words[0]))")
      return try invocation(of: words, rest, script.path, untrusted)
    }
    return try invocation(
      of: [line.interpreter] + (line.argument.map { [$0] } ?? []), rest, script.path, untrusted)
  }

  private func shebang(_ script: Path, _ head: [UInt8]) throws(ProgramError) -> Shebang? {
    do {
      return try Shebang(head: head)
    } catch {
      let cause =
        switch error {
        case .empty: "its #! line names no interpreter"
        case .tooLong: "its #! line is longer than \(Shebang.lineBytesMax) bytes"
        case .containsNUL: "its #! line contains a NUL byte"
        }
      throw ProgramError(
        .interpreterLine, "\(script): \(cause)", hint: "name the interpreter: python \(script)")
    }
  }

  /// execvp(3): a file that is neither an image nor begins with `#!` is given to /bin/sh.
  private func shell(
    for script: Invocation, _ walked: Walked, _ head: [UInt8], _ rest: [Argument]
  ) throws(ProgramError) -> Invocation {
    guard !head.prefix(while: { $0 != newline }).contains(0) else {
      throw ProgramError(
        .notRunnable, "\(script.path): neither an ELF program nor a script (ENOEXEC)",
        hint: "file \(walked.real) tells what it is")
    }
    return Invocation(
      name: Array("/bin/sh".utf8), spelled: Array("/bin/sh".utf8), path: "/bin/sh",
      arguments: rest, untrusted: script.untrusted)
  }

  private mutating func invocation(
    of words: [[UInt8]], _ rest: [Argument], _ script: Path, _ untrusted: Bool
  ) throws(ProgramError) -> Invocation {
    let path = Path(words[0]).absolute(in: scope.workingDirectory)
    guard files.walkIfAny(path) != nil else {
      throw ProgramError(
        .interpreterMissing,
        "\(script): its interpreter \(shown(words[0])) does not exist (ENOENT)",
        hint: words[0].last == 13
          ? "the #! line ends in a carriage return: sed -i 's/\\r$//' \(script)"
          : "install it, or name another: python \(script)")
    }
    trail.append("\(script) is a script for \(path)")
    let options = words.dropFirst().map { Argument(bytes: $0, origin: .interpreterLine) }
    return Invocation(
      name: words[0], spelled: words[0], path: path, arguments: options + rest,
      untrusted: untrusted)
  }

  /// `#!/usr/bin/env NAME`: what env(1) would execute, without env.
  private mutating func throughEnv(
    _ script: Invocation, _ argument: [UInt8]?, _ rest: [Argument], _ untrusted: Bool
  ) throws(ProgramError) -> Invocation {
    let command: EnvCommand
    do {
      command = try EnvCommand(arguments: argument.map { [$0] } ?? []) { caller[$0] }
    } catch {
      throw ProgramError(
        .interpreterLine, "\(script.path): \(error.description)", hint: error.hint)
    }
    guard !command.assignments.contains(where: { $0.name == "PATH" }) else {
      throw ProgramError(
        .interpreterLine, "\(script.path): its #! line sets PATH for env",
        hint: "name the interpreter by its path in the #! line")
    }
    for variable in command.assignments { set(variable.name, variable.value) }
    let name = command.command[0]
    let (spelled, path): ([UInt8], Path)
    do {
      (spelled, path) = try locate(name)
    } catch {
      throw ProgramError(
        error.reason == .notFound ? .interpreterMissing : error.reason,
        "\(script.path): its interpreter \(error.description)", hint: error.hint)
    }
    trail.append("\(script.path) is a script for \(shown(name)), found as \(path)")
    let options = command.command.dropFirst().map { Argument(bytes: $0, origin: .interpreterLine) }
    return Invocation(
      name: name, spelled: spelled, path: path, arguments: options + rest, untrusted: untrusted)
  }

  /// `env NAME=VALUE program` from the user: the program behind it, so that its mounts are found.
  /// nil when this is not env, or does more than setting variables: then env itself runs.
  mutating func userEnvCommand(
    _ invocation: Invocation, _ walked: Walked
  ) throws(ProgramError) -> Invocation? {
    guard isEnv(invocation.path) else { return nil }
    let words = invocation.arguments.map(\.bytes)
    guard let command = try? EnvCommand(arguments: words, variable: { caller[$0] }),
      !command.assignments.contains(where: { $0.name == "PATH" }),
      command.command.count <= invocation.arguments.count
    else { return nil }
    let kept = invocation.arguments.suffix(command.command.count)
    guard kept.map(\.bytes) == command.command else { return nil }
    for variable in command.assignments { set(variable.name, variable.value) }
    let (spelled, path) = try locate(command.command[0])
    trail.append("env is resolved before the start: it runs \(path)")
    return Invocation(
      name: command.command[0], spelled: spelled, path: path, arguments: Array(kept.dropFirst()),
      untrusted: invocation.untrusted)
  }

  /// Whether this is env(1): by its name, and only outside of what an agent may write.
  private func isEnv(_ path: Path) -> Bool {
    guard path.name.isText("env"), let walked = files.walkIfAny(path) else { return false }
    return !scope.isUntrusted(walked.real) && !crossesWorkspace(walked.links)
  }
}
