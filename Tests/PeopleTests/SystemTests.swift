import TestSupport
import Testing

/// What a person types to look around, and single programs that have to start.
@Suite("Looking around") struct SystemTests {
  @Test(arguments: Place.all) func coreTools(_ place: Place) {
    let scratch = Scratch()
    scratch.write("words", "pear\napple\nfig\n")
    for (words, text) in [
      (["sort", "words"], "apple\nfig\npear\n"), (["grep", "-n", "fig", "words"], "3:fig\n"),
      (["sed", "-n", "2p", "words"], "apple\n"),
      (["awk", "NR == 1 { print $1 }", "words"], "pear\n"),
      (["find", ".", "-type", "f"], "./words\n"), (["tail", "-c4", "words"], "fig\n"),
      (["du", "-b", "words"], "15\twords\n"), (["realpath", "words"], "\(scratch.path)/words\n"),
      (["base64", "words"], "cGVhcgphcHBsZQpmaWcK\n"), (["whoami"], "agent\n"),
      (["uname", "-n"], "ring\(place.ring)\n"), (["id", "-Gn"], "agent\n"),
      (["gzip", "-cn", "/dev/null"], nil), (["tar", "cf", "/tmp/a.tar", "words"], ""),
      (["stat", "-c", "%U:%G", "words"], "agent:agent\n"),
      (["getent", "hosts", "ring\(place.ring)"], nil),
    ] as [([String], String?)] {
      let run = place.command(words, in: scratch).run()
      #expect(run.status == 0 && run.err == "", "\(words): \(run.summary)")
      if let text { #expect(run.out == text, "\(words): \(run.summary)") }
    }
  }

  @Test(.needs("df"), arguments: Place.all) func diskSpace(_ place: Place) {
    let all = place.run("df", "-h")
    #expect(all.status == 0 && all.err == "", "\(all.summary)")
    let scratchSpace = place.run("df", "--output=size", "-BM", "/tmp")
    let size = place.ring == 2 ? "2048M" : "256M"
    #expect(
      scratchSpace.out.split(whereSeparator: \.isWhitespace).last == size[...],
      "\(scratchSpace.summary)")
  }

  /// The ring's own processes and nobody else's.
  @Test(.needs("ps"), arguments: Place.all) func processList(_ place: Place) {
    let run = place.run("ps", "-e", "-o", "pid=,comm=")
    let names = run.out.split(separator: "\n").map { $0.split(separator: " ").last! }
    #expect(names == ["agt-init", "ps"], "\(run.summary)")
    let long = place.run("ps", "aux")
    #expect(long.out.contains(" ps aux\n"), "\(long.summary)")
  }

  @Test(.needs("top", "free", "uptime"), arguments: Place.all) func load(_ place: Place) {
    let top = place.run("top", "-b", "-n1")
    #expect(top.status == 0 && top.out.contains("Tasks:   2 total"), "\(top.summary)")
    let free = place.run("free", "-b")
    let memory = free.out.split(separator: "\n").first { $0.hasPrefix("Mem:") } ?? ""
    let total = memory.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    #expect(free.status == 0 && total ?? 0 > 0, "\(free.summary)")
    let uptime = place.run("uptime")
    #expect(uptime.status == 0 && uptime.out.contains("load average: "), "\(uptime.summary)")
  }

  @Test(
    .enabled(
      if: File.exists("/usr/share/zoneinfo/Asia/Tokyo"), "needs time zones: apt install tzdata"),
    arguments: Place.all)
  func timeZones(_ place: Place) {
    var command = place.command(["date", "-d", "@0", "+%H:%M %Z"])
    command.environment.append("TZ=Asia/Tokyo")
    let run = command.run()
    #expect(run.prints("09:00 JST\n"), "\(run.summary)")
  }

  @Test(.needs("locale"), arguments: Place.all) func locale(_ place: Place) {
    let run = place.run("locale")
    #expect(run.status == 0 && run.err == "", "\(run.summary)")
    #expect(run.out.hasPrefix("LANG=C.UTF-8\n"), "\(run.summary)")
    let map = place.run("locale", "charmap")
    #expect(map.prints("UTF-8\n"), "\(map.summary)")
  }

  @Test(.needs("perl"), arguments: Place.all) func perl(_ place: Place) {
    let run = place.run(
      "perl", "-MPOSIX=floor", "-e", "print floor(6.7) * 7, ' ', (getpwuid $<)[0], qq(\\n)")
    #expect(run.prints("42 agent\n"), "\(run.summary)")
  }

  @Test(.needs("openssl"), arguments: Place.all) func openssl(_ place: Place) {
    let run = place.run("openssl", "dgst", "-sha256", "/dev/null")
    #expect(
      run.out.hasSuffix("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"),
      "\(run.summary)")
    let key = place.run("openssl", "genpkey", "-algorithm", "ed25519")
    #expect(key.status == 0 && key.out.hasPrefix("-----BEGIN PRIVATE KEY-----"), "\(key.summary)")
  }

  @Test(.needs("jq"), arguments: Place.all) func jq(_ place: Place) {
    let run = place.run("jq", "-nc", "[1, 2] | map(. * 2)")
    #expect(run.prints("[2,4]\n"), "\(run.summary)")
  }

  @Test(.needs("rg"), arguments: Place.all) func ripgrep(_ place: Place) {
    let scratch = Scratch()
    scratch.write("f", "needle\n")
    let run = place.run("rg", "--no-heading", "--with-filename", "-n", "needle", in: scratch)
    #expect(run.prints("f:1:needle\n"), "\(run.summary)")
  }

  @Test(.needs("java"), arguments: Place.all) func java(_ place: Place) {
    let run = place.run("java", "-version")
    #expect(run.status == 0 && run.err.contains(" version \""), "\(run.summary)")
  }

  @Test(.needs("vim"), arguments: Place.all) func vimReads(_ place: Place) {
    let scratch = Scratch()
    scratch.write("f", "one\ntwo\n")
    let run = place.run("vim", "-es", "-c", "2print", "-c", "q", "f", in: scratch)
    #expect(run.status == 0 && run.out.contains("two"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func bigFile(_ place: Place) {
    let scratch = Scratch()
    _ = Command(["/usr/bin/truncate", "-s", "300M", scratch.path + "/big"]).run()
    let run = place.run("wc", "-c", "big", in: scratch)
    #expect(run.prints("314572800 big\n"), "\(run.summary)")
    let read = place.run("tail", "-c", "+314572799", "big", in: scratch)
    #expect(read.status == 0 && read.output == [0, 0], "\(read.summary)")
    let compared = place.run("cmp", "-n", "104857600", "big", "/dev/zero", in: scratch)
    #expect(compared.prints(""), "\(compared.summary)")
  }

  @Test(
    arguments: Place.all,
    [
      ("exit 0", 0), ("exit 42", 42), ("exit 255", 255), ("kill -TERM $$", 143),
      ("kill -KILL $$", 137), ("kill -SEGV $$", 139),
    ] as [(String, Int32)])
  func exitStatus(_ place: Place, _ one: (script: String, status: Int32)) {
    let run = place.shell(one.script)
    #expect(run.status == one.status, "\(run.summary)")
    #expect(run.out + run.err == "", "\(run.summary)")
  }

  /// A home directory of its own, empty, that goes with the ring.
  @Test(arguments: Place.all) func privateHome(_ place: Place) {
    let scratch = Scratch()
    let secret = scratch.home + "/.netrc"
    _ = Command.shell("echo secret > \"$1\"", [secret]).run()
    let run = place.shell(
      "cd && echo ~ && echo * .[!.]* && echo x > x && read y < x && echo $y $TMPDIR", in: scratch)
    #expect(run.prints("\(scratch.home)\n* .[!.]*\nx /tmp\n"), "\(run.summary)")
    #expect(File.names(scratch.home)?.contains("x") == false)
    #expect(File.read(secret) == "secret\n")
  }
}
