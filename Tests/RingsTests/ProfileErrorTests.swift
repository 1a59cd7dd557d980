import Testing

@testable import Rings

/// Every refusal says where, why and how to mend it.
@Suite struct ProfileErrorTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let yaml: String
    let message: String
    var testDescription: String { message }
    /// The body comes after four lines: line 5 is its first.
    init(_ body: String, _ message: String) {
      yaml = ProfileLoadingTests.derived(body)
      self.message = message
    }
    init(whole yaml: String, _ message: String) {
      self.yaml = yaml
      self.message = message
    }
  }

  static let cases: [Case] = [
    Case("syscals: {}", "p.yaml:5:1: unknown key \"syscals\"; did you mean \"syscalls\"?"),
    Case(
      "filesystem:\n  raed: []", "p.yaml:6:3: unknown key \"raed\"; did you mean \"read\"?"),
    Case(
      "network: hots", "p.yaml:5:10: unknown value \"hots\"; did you mean \"host\"?"),
    Case(
      "root: chroot", "p.yaml:5:7: unknown value \"chroot\"; write one of private, host"),
    Case(
      "namespaces: [user, pid, mount, network, pid]", "p.yaml:5:41: pid is there twice"),
    Case(
      "limits: {memory: 2GB}",
      "p.yaml:5:18: unknown unit in the size \"2GB\"; write KiB, MiB or GiB (powers of 1024), "
        + "or k, M or G (powers of 1000)"),
    Case(
      "limits: {processes: 0}",
      "p.yaml:5:21: a limit of 0 lets nothing run; write none for no limit"),
    Case(
      "requests: {burst: 0}", "p.yaml:5:19: 0 is out of range; write a number from 1 to 1000000"),
    Case("ring: 4", "p.yaml:5:7: 4 is out of range; write a number from 0 to 3"),
    Case(
      "filesystem: {read: [{path: data, why: w}]}",
      "p.yaml:5:28: \"data\" is not absolute; write /… or ~/…"),
    Case(
      "filesystem: {read: [{path: /a/../b, why: w}]}",
      "p.yaml:5:28: \"/a/../b\" contains a component . or ..; write the path without it"),
    Case(
      "filesystem: {read: [{path: /a//b, why: w}]}",
      "p.yaml:5:28: \"/a//b\" has an empty component; write each / once and none at the end"),
    Case(
      "filesystem: {read: [{path: /a/, why: w}]}",
      "p.yaml:5:28: \"/a/\" has an empty component; write each / once and none at the end"),
    Case(
      "filesystem: {read: [{path: \"/a\\x01\", why: w}]}",
      "p.yaml:5:28: the string holds an escaped control character; remove it from the string"),
    Case(
      "filesystem: {read: [{path: /data}]}",
      "p.yaml:5:21: missing key \"why\"; say what needs this path"),
    Case(
      "filesystem: {write: [{path: /usr, why: w}]}",
      "p.yaml:5:22: \"/usr\" is read, written or hidden twice; name it once"),
    Case(
      "filesystem: {without: [/opt]}", "p.yaml:5:24: \"/opt\" is not inherited; remove it"),
    Case(
      "filesystem: {hide: [{path: /etc, why: w}]}",
      "p.yaml:5:21: hide needs root: host; a private root shows only what read and write name"),
    Case(
      "environment: {pass: [\"A B\"]}",
      "p.yaml:5:22: \"A B\" is no name of a variable; write letters, digits and _, and a * at the "
        + "end for every name that begins so"),
    Case(
      "network: host",
      "p.yaml:5:10: network: host needs the host's network namespace; take network out of "
        + "namespaces"),
    Case(
      "extends: ring2",
      "p.yaml:5:1: duplicate key \"extends\"; it is already at line 4, column 1; remove one of the "
        + "two"),
    Case(
      "reasons: {limits.memory: w}",
      "p.yaml:5:11: nothing is widened at \"limits.memory\"; remove the reason, or write the "
        + "setting as agt profile diff shows it"),
    Case(whole: "kind: RingProfile", "p.yaml:1:1: missing key \"apiVersion\"; add it"),
    Case(
      whole: "apiVersion: agt-run/v2",
      "p.yaml:1:13: \"agt-run/v2\" is not \"agt-run/v1\"; write agt-run/v1"),
    Case(
      whole: "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a b}",
      "p.yaml:3:18: a name has 1 to 64 letters, digits, - _ or ., and does not start with a dot"),
    Case(
      whole: "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a}",
      "p.yaml:1:1: missing key \"ring\"; a profile that extends nothing states everything"),
    Case(
      whole: "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a}\nextends: ring3\n"
        + "limits:\n  memory: 1GiB",
      "p.yaml:6:11: limits.memory is widened from 512MiB to 1GiB without a reason; add reason: or "
        + "metadata.description"),
    Case(
      whole: "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a}\nextends: rnig3",
      "p.yaml:4:10: there is no ring \"rnig3\"; did you mean \"ring3\"?"),
    Case(
      whole: "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: a}\nextends: ./x.yaml",
      "p.yaml:4:10: cannot read \"x.yaml\": No such file or directory (ENOENT)"),
  ]

  @Test(arguments: cases) func refusesWithPlaceAndAdvice(_ item: Case) {
    expectRefusal(item)
  }

  static let syscallCases: [Case] = [
    ("- {name: g, allow: [read]}", "8:7: missing key \"why\"; say why group \"g\" is as it is"),
    (
      "- {name: g, why: w}",
      "8:7: group \"g\" names no call; write allow, deny, violation or fail"
    ),
    (
      "- {name: g, why: w, allow: []}",
      "8:32: names no call; write at least one, or leave the list out"
    ),
    (
      "- {name: g, why: w, allow: [raed]}",
      "8:33: there is no system call \"raed\"; did you mean \"read\"?"
    ),
    (
      "- {name: g, why: w, fail: {errno: EPREM, calls: [read]}}",
      "8:39: \"EPREM\" is no errno; did you mean \"EPERM\"?"
    ),
    (
      "- {name: g, why: w, fail: {errno: EPERM, calls: [read]}}",
      "8:31: write deny: instead of fail: with EPERM"
    ),
    (
      "- {name: g, why: w, allow: [{call: ptrace, when: []}]}",
      "8:54: a call has 1 to 12 conditions; without, write only its name"
    ),
    (
      "- {name: g, why: w, allow: [{call: ptrace}]}",
      "8:33: missing key \"when\"; or write only the call's name"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 6, in: [1]}]}]}",
      "8:63: 6 is out of range; write a number from 0 to 5"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 0}]}]}",
      "8:52: write either in: or notIn: with the values to compare with"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 0, in: []}]}]}",
      "8:70: write 1 to 128 values to compare with"
    ),
    (
      "- {name: g, why: w, allow: [{call: socket, when: [{argument: 0, in: [AF_INTE]}]}]}",
      "8:74: \"AF_INTE\" is no known constant; did you mean \"AF_INET\"?"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 0, mask: 2, in: [1]}]}]}",
      "8:80: 0x1 can never be equal to an argument masked with 0x2"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 0, in: [0x100000000]}]}]}",
      "8:71: 0x100000000 has more than 32 bits; add wide: true to compare all 64"
    ),
    (
      "- {name: g, why: w, allow: [{call: bpf, when: [{argument: 0, in: [010]}]}]}",
      "8:71: \"010\" is no number of 64 bits; write decimal, or hexadecimal after 0x"
    ),
    (
      "- {name: g, why: w, allow: [mount]}",
      "8:33: mount is answered by the groups \"mounting\" and \"g\" in different ways; define one "
        + "of them again without it"
    ),
    (
      "- {name: g, why: w, allow: [read]}\n    - {name: g, why: w, allow: [read]}",
      "9:7: there are two groups \"g\"; join them or rename one"
    ),
  ].map { Case("syscalls:\n  # one group\n  groups:\n    " + $0, "p.yaml:" + $1) }

  @Test(arguments: syscallCases) func refusesSystemCallsWithPlaceAndAdvice(_ item: Case) {
    expectRefusal(item)
  }

  func expectRefusal(_ item: Case) {
    do {
      _ = try ProfileLoadingTests.load(item.yaml)
      Issue.record("loaded")
    } catch let error as RingProfileError {
      #expect(error.description == item.message)
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test func circlesAreRefused() {
    let files = [
      "b.yaml": ProfileLoadingTests.derived("", from: "c.yaml"),
      "c.yaml": ProfileLoadingTests.derived("", from: "./b.yaml"),
    ]
    let error = #expect(throws: RingProfileError.self) {
      try ProfileLoadingTests.load(
        ProfileLoadingTests.derived("", from: "b.yaml"), file: "a.yaml", files: files)
    }
    #expect(
      error?.description
        == "c.yaml:4:10: extends itself: b.yaml → c.yaml → b.yaml; let one of them extend a ring")
  }

  @Test func chainsAreBounded() {
    var files: [String: String] = [:]
    for number in 1...10 {
      files["\(number).yaml"] = ProfileLoadingTests.derived("", from: "\(number + 1).yaml")
    }
    let error = #expect(throws: RingProfileError.self) {
      try ProfileLoadingTests.load(
        ProfileLoadingTests.derived("", from: "1.yaml"), file: "0.yaml", files: files)
    }
    #expect(
      error?.description == "7.yaml:4:10: more than 8 profiles extend each other; join some")
  }
}
