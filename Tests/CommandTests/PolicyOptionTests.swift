import JSON
import TestSupport
import Testing

/// `agt-run --policy`: what a policy says about a run as a whole.
@Suite struct PolicyOptionTests {
  private static let header = "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: test}\n"

  private func run(
    _ policy: String, _ script: String, ring: String = "2", _ options: [String] = [],
    as starter: Starter = .native, in scratch: Scratch = Scratch()
  ) -> Completed {
    scratch.write("policy.yaml", Self.header + policy)
    return Command.agtRun(
      ["--ring", ring, "--quiet", "--policy", "policy.yaml", "--result-json", "result.json"]
        + options + ["--", "sh", "-c", script], as: starter, in: scratch
    ).run()
  }

  @Test(arguments: Starter.all) func aForbiddenCallEndsTheRun(_ starter: Starter) throws {
    let policy = "violations:\n  - {when: \"kind == 'syscall' and name == 'mount'\", do: kill}\n"
    let scratch = Scratch()
    let killed = run(policy, "mount -t tmpfs x /tmp; sleep 5; echo on", as: starter, in: scratch)
    #expect(killed.status == 137 && killed.out.isEmpty, "\(killed.summary)")
    let json = try JSONParser.parse(Array((scratch.read("result.json") ?? "").utf8))
    #expect(json["reason"] == "policy_violation")
    #expect(json["policy"]?.stringValue?.hasPrefix("sha256:") == true)
    // The twin: another call, the same policy.
    let spared = run(policy, "unshare -U true; echo on", as: starter)
    #expect(spared.status == 0 && spared.out == "on\n", "\(spared.summary)")
  }

  @Test func onlyTheThirdInAMinute() {
    let policy =
      "violations:\n  - {when: \"kind == 'syscall' and executable endswith '/mount'\", "
      + "do: {after: 3, within: 60s, then: kill}}\n"
    let two = run(policy, "mount -t tmpfs x /tmp; mount -t tmpfs x /tmp; echo on")
    #expect(two.status == 0 && two.out == "on\n", "\(two.summary)")
    let three = run(policy, "for i in 1 2 3; do mount -t tmpfs x /tmp; done; sleep 5; echo on")
    #expect(three.status == 137, "\(three.summary)")
  }

  @Test func rollback() {
    let policy = "violations:\n  - {when: \"name == 'mount'\", do: rollback}\n"
    let scratch = Scratch()
    let refused = run(policy, "echo no", in: scratch)
    #expect(refused.status == 2 && refused.out.isEmpty)
    #expect(
      refused.err
        == "agt-run: policy.yaml:5:5: rollback needs a transaction to roll back\n"
        + "  hint: add --txn, or write kill\n")
    let rolled = run(
      policy, "echo x > made; mount -t tmpfs x /tmp; sleep 5", ring: "2", ["--txn"], in: scratch)
    #expect(rolled.status == 137 && scratch.read("made") == nil, "\(rolled.summary)")
  }

  @Test func problemsRefuseTheRun() {
    let wrong = run("rulse: []\n", "echo no")
    #expect(wrong.status == 2 && wrong.out.isEmpty)
    #expect(wrong.err.contains("policy.yaml:4:1: "), "\(wrong.err)")
    let missing = Command.agtRun(
      ["--ring", "3", "--policy", "nowhere.yaml", "--", "echo", "no"], in: Scratch()
    ).run()
    #expect(missing.status == 2 && missing.out.isEmpty && missing.err.contains("nowhere.yaml"))
    let empty = Command.agtRun(["--policy", ".", "--", "echo", "no"], in: Scratch()).run()
    #expect(empty.status == 2 && empty.err.contains("holds no .yaml"), "\(empty.summary)")
  }

  /// In ring 3 a policy opens nothing; where the network is the host's it would bound nothing.
  @Test func networkInOtherRings() {
    let policy = "network:\n  - {host: example.org, ports: [443], why: test}\n"
    let none = run(policy, "echo on", ring: "3")
    #expect(none.status == 0 && none.out == "on\n", "\(none.summary)")
    let host = run(policy, "echo no", ring: "1")
    #expect(host.status == 2 && host.out.isEmpty)
    #expect(
      host.err
        == "agt-run: policy.yaml:5:5: ring 1 uses the network of the host, and a policy's network "
        + "bounds nothing\n  hint: leave the section out, or choose --ring 2\n", "\(host.err)")
  }
}
