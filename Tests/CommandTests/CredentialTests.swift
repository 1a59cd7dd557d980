import JSON
import TestSupport
import Testing

/// `--credential`: what systemd gives a service, as the program sees it.
@Suite struct CredentialTests {
  private static let secret = "s3cret-\(UInt32.random(in: 1_000_000 ... .max))"

  /// As systemd makes one, with more in it than is asked for; and for everybody to read, so that it is the ring that
  /// keeps it.
  private func given(_ scratch: Scratch, _ starter: Starter) -> String {
    let place = scratch.home + "/credentials/agt-agent@x.service"
    if starter == .ordinary { scratch.give(to: starter) }
    let made = Command(
      starter.prefix + [
        "/bin/sh", "-c",
        "mkdir -p \"$1\" && printf %s \"$2\" >\"$1/key\" && echo other >\"$1/other\" && chmod 444 \"$1\"/* && "
          + "chmod 555 \"$1\"", "sh", place, Self.secret,
      ]
    ).run()
    #expect(made.status == 0, "\(made.summary)")
    return place
  }

  private func run(
    _ options: [String], _ script: String, _ place: String?, as starter: Starter,
    in scratch: Scratch
  ) -> Completed {
    Command.agtRun(options + ["--", "/usr/bin/python3", "-c", script], as: starter, in: scratch)
      .with { if let place { $0.environment.append("CREDENTIALS_DIRECTORY=\(place)") } }.run()
  }

  private static let looks = """
    import os
    d = os.environ['CREDENTIALS_DIRECTORY']
    print(d, sorted(os.listdir(d)), len(open(d + '/key').read()))
    for attempt in (lambda: open(d + '/key', 'w'), lambda: os.chmod(d + '/key', 0o666), lambda: os.unlink(d + '/key'),
                    lambda: open(d + '/new', 'w'), lambda: os.rename(d, d + '2')):
        try: attempt(); print('CHANGED')
        except OSError: pass

    """

  @Test(arguments: Starter.all, ["2", "3"])
  func whatIsAskedForIsShown(_ starter: Starter, _ ring: String) {
    let scratch = Scratch()
    let place = given(scratch, starter)
    scratch.write("result.json", "", mode: 0o666)
    let options = ["--ring", ring, "--credential", "key", "--result-json", "result.json"]
    // A part of the host that is shown around it shows nothing of it either.
    let around = options + ["--read", scratch.home + "/credentials"]
    let run = run(
      around,
      Self.looks + "print(os.listdir('\(place)') if os.path.exists('\(place)') else 'hidden')\n"
        + "print(open(d + '/key').read())", place, as: starter, in: scratch)
    #expect(run.status == 0, "\(run.summary)")
    let lines = run.out.split(separator: "\n")
    #expect(lines.first?.description == "/run/credentials ['key'] \(Self.secret.utf8.count)")
    #expect(lines.dropFirst().first == "[]" || lines.dropFirst().first == "hidden", "\(run.out)")
    #expect(lines.last?.description == Self.secret && lines.count == 3, "\(run.out)")
    // Nobody else hears of it.
    for more in [[], ["--json"]] {
      let plan = self.run(options + ["--explain"] + more, "", place, as: starter, in: scratch)
      #expect(plan.out.contains("/run/credentials/key"), "\(plan.summary)")
      #expect(!plan.out.contains(Self.secret))
    }
    #expect(run.err.contains(Self.secret) == false)
    #expect(scratch.read("result.json")?.contains(Self.secret) == false)
    // Of what other runs have left there may be much.
    let found = Command.shell(
      """
      grep -rl -- "$1" "$2"
      find /var/lib/agt /run/agt -newer "$3" -type f -exec grep -l -- "$1" {} + 2>/dev/null
      """, [Self.secret, scratch.home, place + "/key"], in: "/"
    ).run()
    #expect(found.out == place + "/key\n", "\(found.out)")
  }

  /// Without being asked for, nothing of it is there, whatever the environment says.
  @Test(arguments: Starter.all) func whatIsNotAskedForIsNot(_ starter: Starter) {
    let scratch = Scratch()
    let place = given(scratch, starter)
    let run = run(
      ["--ring", "2", "--read", scratch.home + "/credentials"],
      """
      import os
      print(os.environ.get('CREDENTIALS_DIRECTORY'), os.path.exists('/run/credentials'))
      try: print(os.listdir('\(place)'))
      except OSError: print([])
      """, place, as: starter, in: scratch)
    #expect(run.out == "None False\n[]\n", "\(run.summary)")
    // Its twin: where it is not said to be one, it is a directory like any other.
    let free = self.run(
      ["--ring", "2", "--read", scratch.home + "/credentials"],
      "import os; print(sorted(os.listdir('\(place)')))", nil, as: starter, in: scratch)
    #expect(free.out == "['key', 'other']\n", "\(free.summary)")
  }

  /// Those of other services and of the user managers, in rings that see more of /run than their own.
  @Test(
    .enabled(if: Starter.isRoot, "a /run of its own takes root"),
    arguments: [
      ["--ring", "2", "--read", "/run/user", "--read", "/run/credentials"], ["--ring", "1"],
      ["--ring", "0"],
    ])
  func whatOthersWereGivenIsHidden(_ options: [String]) {
    let places = ["/run/credentials/other.service", "/run/user/4711/credentials/other.service"]
    let scratch = Scratch()
    let script = """
      mount -t tmpfs -o mode=755 none /run || exit 99
      for place in \(places.joined(separator: " ")); do
        mkdir -p $place && echo \(Self.secret) >$place/key && chmod -R a+rX /run || exit 99
      done
      exec \(Binaries.agtRun) --quiet --workspace \(scratch.path) \(options.joined(separator: " ")) -- \
        /bin/sh -c 'cat \(places.map { $0 + "/key" }.joined(separator: " ")); ls /run/user/4711'
      """
    let run = Command(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script], in: scratch.path).run()
    // Ring 0 is the twin.
    let isHidden = options[1] != "0"
    #expect(run.out.contains(Self.secret) != isHidden, "\(run.summary)")
    // Ring 1 has no /run/user at all.
    #expect(run.out.contains("credentials") != (options[1] == "1"), "\(run.summary)")
  }

  /// A part of the host at the place of its directory would be shown instead.
  @Test func nothingTakesItsPlace() {
    let scratch = Scratch()
    let place = given(scratch, .native)
    let run = run(
      ["--ring", "2", "--credential", "key", "--read", "/run"], "", place, as: .native, in: scratch)
    #expect(run.status == 2 && run.err.contains("/run of the host would take the place"))
  }

  @Test func whatIsNotThere() {
    let scratch = Scratch()
    let place = given(scratch, .native)
    _ = Command.shell(
      "ln -s /etc/passwd \"$1/link\"; head -c 1100000 /dev/zero >\"$1/big\"; chmod 600 \"$1\"/big",
      [place],
      in: "/"
    ).run()
    for (options, place, status, line) in [
      (["--credential", "key"], nil, 126, "--credential key: there is none, because CREDENTIALS_"),
      (["--credential", "no"], place, 126, "--credential no: No such file or directory (ENOENT)"),
      (["--credential", "../key"], place, 2, "--credential ../key: a name of letters"),
      (
        ["--credential", "key", "--credential", "key"], place, 2, "--credential key is given twice"
      ),
      (["--credential", "key", "--ring", "1"], place, 2, "has the files of the host"),
    ] as [([String], String?, Int32, String)] {
      let run = run(options, "", place, as: .native, in: scratch)
      #expect(run.status == status && run.err.contains(line), "\(run.summary)")
    }
    guard Starter.isRoot else { return }
    for (name, line) in [("link", "(ELOOP)"), ("big", "(EFBIG)")] {
      let run = run(["--credential", name], "", place, as: .native, in: scratch)
      #expect(run.status == 126 && run.err.contains(line), "\(run.summary)")
    }
  }
}
