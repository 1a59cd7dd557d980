import TestSupport
import Testing

/// How agt-run and agt-stage begin (Sources/CStart), which asks the processor nothing.
///
/// What can go wrong is everything that the C library does before main(): it would be a crash at best, a guard that
/// everybody knows at worst.
@Suite(.enabled(if: File.exists(Binaries.tests + "/start-check"), "swift build --build-tests"))
struct StartTests {
  private func check(_ scratch: Scratch, _ words: [String]) -> Completed {
    Command(words, in: scratch.path).with { $0.environment.append("START_CHECK=yes") }.run()
  }

  private func guards(_ text: String) -> [Substring] {
    text.split(separator: "\n").first { $0.hasPrefix("guards ") }?.split(separator: " ") ?? []
  }

  @Test func everythingIsInPlaceWhenMainBegins() {
    let scratch = Scratch()
    let one = check(scratch, [Binaries.tests + "/start-check", "WORD"])
    #expect(one.status == 0, "\(one.out)\(one.err)")
    #expect(one.out.hasSuffix("\nleft\ndestroyed\n"))
    let other = check(scratch, [Binaries.tests + "/start-check", "WORD"])
    #expect(guards(one.out).count == 3)
    for (first, second) in zip(guards(one.out), guards(other.out)).dropFirst() {
      #expect(first != second)
    }
  }

  /// Those who see the arguments before main() see copies of as many as there usually are (2,048 in all).
  @Test(arguments: [0, 2040, 2041, 2042, 5000]) func everyArgumentComes(_ count: Int) {
    let words =
      ["--ring", "3", "--", "/bin/sh", "-c", "echo $#$1"]
      + ["sh"] + Array(repeating: "w", count: count)
    let result = Command.agtRun(words, in: Scratch()).run()
    #expect(result.out == "\(count)\(count == 0 ? "" : "w")\n", "\(result.summary)")
  }

  /// Standard descriptors that are closed are opened for a setuid program, and for that alone.
  @Test(.enabled(if: Starter.isRoot, "makes a setuid program"), arguments: [true, false])
  func closedDescriptors(isSetuid: Bool) {
    let scratch = Scratch()
    let program = scratch.path + "/check"
    let made = Command([
      "/bin/sh", "-c",
      """
      cp '\(Binaries.tests)/start-check' '\(program)' && chown \(Starter.ordinaryID) '\(program)' &&
      chmod \(isSetuid ? "4755" : "755") '\(program)'
      """,
    ]).run()
    #expect(made.status == 0, "\(made.err)")
    let result = check(scratch, ["/bin/sh", "-c", "exec '\(program)' WORD 0<&- 2<&-"])
    #expect(result.status == (isSetuid ? 0 : 2), "\(result.out)")
  }

  /// The library's own start has this function, which asks for the caches; agt-probe begins with that.
  @Test(
    .enabled(
      if: Command(["/usr/bin/getconf", "GNU_LIBC_VERSION"]).run().out == "glibc 2.36\n",
      "with another version of the C library it begins as that has it"))
  func theProcessorIsNotAsked() {
    func asks(_ name: String) -> Bool {
      Command(["/bin/grep", "-qa", "intel_check_word", "\(Binaries.source)/\(name)"]).run().status
        == 0
    }
    #expect(asks("agt-probe"))
    #expect(!asks("agt-run"))
    #expect(!asks("agt-stage"))
  }
}
