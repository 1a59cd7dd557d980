import TestSupport
import Testing

/// `agt completion`, as bash reads it.
@Suite struct CompletionTests {
  private func complete(_ line: String) -> [String] {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    let script = """
      source <("$1" completion)
      COMP_WORDS=(\(words.map { "'\($0)'" }.joined(separator: " ")))
      COMP_CWORD=\(words.count - 1)
      _agt_run
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let done = Command(["/bin/bash", "-c", script, "bash", Binaries.agt]).run()
    #expect(done.err == "", "\(done.summary)")
    return done.out.split(separator: "\n").map(String.init)
  }

  @Test func optionsAndValues() {
    #expect(complete("agt-run --tim") == ["--timeout"])
    #expect(complete("agt-run --ring s") == ["system", "standard", "sandbox"])
    #expect(complete("agt-run --degrade se") == ["seccomp"])
    #expect(complete("agt-run --ring 2 --detach --w") == ["--workspace", "--write"])
    #expect(complete("agt-run -- /bin/bas").contains("/bin/bash"))
    #expect(complete("agt-run --timeout ") == [])
  }

  @Test func bashKnowsBothCommands() {
    let done = Command([
      "/bin/bash", "-c", "source <(\"$1\" completion); complete -p agt agt-run", "bash",
      Binaries.agt,
    ]).run()
    #expect(done.status == 0 && done.out.contains("-F _agt agt\n"), "\(done.summary)")
    #expect(done.out.contains("-F _agt_run agt-run\n"))
  }
}
