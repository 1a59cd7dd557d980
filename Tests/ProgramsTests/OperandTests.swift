import Testing

@testable import Programs

@Suite struct ProgramsOperandTests {
  private func script(_ runtime: Runtime, _ line: String) -> String? {
    let words = line.split(separator: " ").map { Array($0.utf8) }
    let arguments = words.map { Resolution.Argument(bytes: $0, origin: .user) }
    return Operands(runtime: runtime, arguments: arguments).script
      .map { String(decoding: words[$0], as: UTF8.self) }
  }

  @Test(arguments: [
    ("a.py", "a.py"), ("-u a.py b.py", "a.py"), ("-X opt a.py", "a.py"), ("-Xopt a.py", "a.py"),
    ("-W ignore -uB a.py", "a.py"), ("-BW ignore a.py", "a.py"), ("-m mod a.py", nil),
    ("-Im mod", nil), ("-c code", nil), ("-uc code", nil), ("- a.py", nil), ("", nil),
    ("-- a.py", "a.py"), ("--check-hash-based-pycs always a.py", "a.py"), ("-i", nil),
  ]) func python(_ line: String, _ expected: String?) {
    #expect(script(.python, line) == expected)
  }

  @Test(arguments: [
    ("a.js", "a.js"), ("--inspect a.js", "a.js"), ("-r mod a.js b", "a.js"), ("-e code", nil),
    ("--eval code", nil), ("--eval=code", nil), ("-pe code", nil), ("--import ./x a.js", "a.js"),
    ("--import=./x a.js", "a.js"), ("--max-old-space-size=4 a.js", "a.js"), ("- x", nil),
    ("inspect a.js", "a.js"), ("--run build", nil),
  ]) func node(_ line: String, _ expected: String?) {
    #expect(script(.node, line) == expected)
  }

  @Test(arguments: [
    ("a.sh x", "a.sh"), ("-c a.sh", nil), ("-ec a.sh", nil), ("-euo pipefail a.sh", "a.sh"),
    ("-o pipefail a.sh", "a.sh"), ("+x a.sh", "a.sh"), ("+O extglob a.sh", "a.sh"),
    ("--norc a.sh", "a.sh"), ("--rcfile rc a.sh", "a.sh"), ("- a.sh", "a.sh"), ("-s a", nil),
    ("-- -a.sh", "-a.sh"),
  ]) func shell(_ line: String, _ expected: String?) {
    #expect(script(.shell, line) == expected)
  }

  @Test(
    arguments: [
      (Runtime.perl, "-w a.pl", "a.pl"), (.perl, "-lne code", nil), (.perl, "-I lib a.pl", "a.pl"),
      (.perl, "-Ilib -MPOSIX a.pl", "a.pl"), (.perl, "-i.bak -pe code", nil),
      (.perl, "-l012 a", "a"),
      (.ruby, "-w a.rb", "a.rb"), (.ruby, "-e code", nil), (.ruby, "-r json a.rb", "a.rb"),
      (.ruby, "-W0 --encoding UTF-8 a.rb", "a.rb"),
      (.deno, "run -A a.ts", "a.ts"), (.deno, "run --config c a.ts", "a.ts"),
      (.deno, "task x", nil),
      (.deno, "a.ts", "a.ts"), (.deno, "eval code", nil),
      (.bun, "run a.ts", "a.ts"), (.bun, "a.ts", "a.ts"), (.bun, "install x", nil),
      (.bun, "--cwd d a.ts", "a.ts"), (.bun, "-e code", nil),
      (.java, "-jar a.jar x", "a.jar"), (.java, "-Xmx1g -cp c -jar a.jar", "a.jar"),
      (.java, "-cp a.jar Main", nil), (.java, "A.java x", "A.java"), (.java, "-m mod", nil),
      (.java, "@args -jar a.jar", nil), (.java, "-jar", nil),
    ] as [(Runtime, String, String?)]) func others(
      _ runtime: Runtime, _ line: String, _ expected: String?
    )
  {
    #expect(script(runtime, line) == expected)
  }

  @Test func runtimesAreKnownByTheirNames() {
    for name in ["python", "python3", "python3.12", "python3.13t", "pypy3.10"] {
      #expect(Runtime(Array(name.utf8)) == .python, "\(name)")
    }
    for name in ["python3-config", "pythonw", "node-gyp", "shell", "javac", "python3.xt", "t"] {
      #expect(Runtime(Array(name.utf8)) == nil, "\(name)")
    }
    #expect(Runtime(Array("nodejs".utf8)) == .node)
    #expect(Runtime([0xff]) == nil)
  }

  @Test func isolationIsSeen() {
    for (line, expected) in [("-I a.py", true), ("-us a.py", true), ("-S a.py", false)] {
      let arguments = line.split(separator: " ").map {
        Resolution.Argument(bytes: Array($0.utf8), origin: .user)
      }
      #expect(
        Operands(runtime: .python, arguments: arguments).ignoresUserSite == expected, "\(line)")
    }
  }
}
