internal import Glibc
internal import TestSupport
internal import Testing

/// Programs that people use, in the rings that are for them.
@Suite("People") struct PeopleTests {
  /// A program, the ring, and what it must print and end with.
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var ring = 3
    /// What must be installed; otherwise the case is skipped and says so.
    var needs: [String]
    var words: [String]
    var prints: String
    var status: Int32 = 0
    var testDescription: String { "\(name), ring \(ring)" }
  }

  static func shell(_ script: String) -> [String] { ["bash", "-c", script] }
  static let python = "/usr/bin/python3"

  static let cases: [Case] = [
    Case(
      name: "Python with sqlite, ssl, asyncio", needs: [python],
      words: [
        python, "-c",
        "import sqlite3,ssl,asyncio; print(sqlite3.connect(':memory:').execute('select 6*7').fetchone()[0])",
      ], prints: "42"),
    Case(
      name: "Python threads", needs: [python],
      words: [
        python, "-c",
        """
        import threading
        out = []
        all = [threading.Thread(target=lambda n=n: out.append(n)) for n in range(20)]
        [t.start() for t in all]; [t.join() for t in all]
        print(sum(out))
        """,
      ], prints: "190"),
    Case(
      name: "Python processes", ring: 2, needs: [python],
      words: [
        python, "-c",
        "import multiprocessing as m\nwith m.Pool(3) as p: print(p.map(abs, [-1, -2, -3]))",
      ], prints: "[1, 2, 3]"),
    Case(
      name: "Python subprocess refused", needs: [python],
      words: [python, "-c", "import subprocess; subprocess.run(['ls'])"],
      prints: "PermissionError: [Errno 1] Operation not permitted", status: 1),
    Case(
      name: "Python over the memory limit", needs: [python],
      words: [python, "-c", "x = bytearray(900 << 20)"], prints: "MemoryError", status: 1),
    Case(
      name: "Node", needs: ["/usr/bin/node"],
      words: [
        "node", "-e",
        "console.log(require('os').cpus().length > 0, require('fs').readdirSync('.').length)",
      ], prints: "true"),
    Case(
      name: "Node workers", needs: ["/usr/bin/node"],
      words: [
        "node", "-e",
        "const {Worker} = require('worker_threads'); new Worker('require(\"worker_threads\").parentPort.postMessage(42)', {eval: true}).on('message', m => console.log(m))",
      ], prints: "42"),
    Case(
      name: "Node fetch refused", needs: ["/usr/bin/node"],
      words: [
        "node", "-e", "fetch('http://192.0.2.1').catch(e => console.log('refused', e.cause.code))",
      ], prints: "refused E"),
    Case(
      name: "git", ring: 2, needs: ["/usr/bin/git"],
      words: shell(
        "git init -q g && cd g && echo a > a && git add . && git -c user.name=x -c user.email=x@x "
          + "commit -qm first && git status -s && git log --oneline && git clone -q . ../h && ls ../h"
      ),
      prints: "first\na"),
    Case(
      name: "gcc", ring: 2, needs: ["/usr/bin/gcc"],
      words: shell(
        "printf '#include <stdio.h>\\nint main(void) { puts(\"hello world\"); }' > h.c && gcc -O2 h.c -o h && ./h"
      ),
      prints: "hello world"),
    Case(
      name: "a shell pipeline", ring: 2, needs: [],
      words: shell("seq 100 | grep 7 | wc -l | tr -d ' '"), prints: "19"),
    Case(
      name: "a here document", ring: 2, needs: [], words: shell("cat <<E\nfrom here\nE"),
      prints: "from here"),
    Case(
      name: "sqlite in the workspace", ring: 2, needs: ["/usr/bin/sqlite3"],
      words: [
        "sqlite3", "w.db",
        "pragma journal_mode=wal; create table t(a); insert into t values(5); select a*2 from t;",
      ], prints: "wal\n10"),
    Case(
      name: "ssh says that there is no way", ring: 2, needs: ["/usr/bin/ssh"],
      words: ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "192.0.2.1", "true"],
      prints: "Network is unreachable", status: 255),
    Case(
      name: "curl says that there is no way", ring: 2, needs: ["/usr/bin/curl"],
      words: ["curl", "-sS", "-m", "5", "http://192.0.2.1/"], prints: "Failed to connect", status: 7
    ),
    Case(
      name: "tmux", ring: 2, needs: ["/usr/bin/tmux"],
      words: shell(
        "tmux -L x new-session -d 'sleep 5'; tmux -L x list-sessions; tmux -L x kill-server"),
      prints: "1 windows"),
    Case(
      name: "ps sees the ring", ring: 2, needs: ["/usr/bin/ps"],
      words: shell("ps -e -o comm= | sort | head -3 | tr '\\n' ' '"), prints: "agt-init bash"),
    Case(
      name: "Perl", needs: ["/usr/bin/perl"], words: ["perl", "-e", "print 6*7"], prints: "42"),
    Case(
      name: "tar", ring: 2, needs: [],
      words: shell("echo x > x && tar czf x.tgz x && rm x && tar xzf x.tgz && cat x"), prints: "x"),
    Case(
      name: "awk, sed, sort, find", ring: 2, needs: [],
      words: shell("find /etc -maxdepth 1 -name passwd | sed s/passwd/group/ | awk '{print $1}'"),
      prints: "/etc/group"),
    Case(
      name: "a private home", ring: 2, needs: [],
      words: shell("touch ~/x && ls -A ~ && [ \"$TMPDIR\" = /tmp ] && echo private"),
      prints: "x\nprivate"),
  ]

  @Test("works, or is refused clearly", arguments: Starter.all, cases)
  func program(_ starter: Starter, _ one: Case) {
    let missing = one.needs.filter { !File.isExecutable($0) }
    guard missing.isEmpty else {
      print("skipped: \(one.name): \(missing.joined(separator: ", ")) is not installed")
      return
    }
    let run = Command.agtRun(
      ["--ring", "\(one.ring)", "--quiet", "--"] + one.words, as: starter, in: Scratch()
    ).run()
    #expect(run.status == one.status, "\(run.summary)")
    #expect((run.out + run.err).contains(one.prints), "\(run.summary)")
    #expect(!run.timedOut)
  }

  @Test(
    "ring 3 reads the workspace, does not write it, and executes nothing from /tmp",
    arguments: Starter.all)
  func readsOnly(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("given", "content")
    let script = """
      import os, shutil
      for act in ("open('made', 'w')", "os.mkdir('dir')", "os.unlink('given')"):
          try: eval(act); print('did', act)
          except OSError as e: print('refused', e.errno)
      print(open('given').read())
      shutil.copy('/usr/bin/true', '/tmp/true'); os.chmod('/tmp/true', 0o755)
      try: os.execv('/tmp/true', ['true'])
      except OSError as e: print('not executed', e.errno)
      """
    let run = Command.agtRun(
      ["--quiet", "--", Self.python, "-c", script], as: starter, in: scratch
    ).run()
    #expect(
      run.out == "refused 30\nrefused 30\nrefused 30\ncontent\nnot executed 13\n", "\(run.summary)")
  }

  @Test("a virtual environment with a compiled wheel", arguments: Starter.all)
  func wheel(_ starter: Starter) {
    let scratch = Scratch()
    let made = Command.shell(
      "\(Self.python) -m venv v && v/bin/pip install -q --disable-pip-version-check numpy && chmod -R a+rX v",
      in: scratch.path
    ).with { $0.timeoutSeconds = 120 }.run()
    guard made.status == 0 else {
      print("skipped: numpy from PyPI: \(made.summary)")
      return
    }
    let compute = "import numpy as n; print(n.dot(n.ones(500), n.ones(500)))"
    for (ring, words) in [(3, ["v/bin/python"]), (2, ["v/bin/python"])] {
      let run = Command.agtRun(
        ["--ring", "\(ring)", "--quiet", "--"] + words + ["-c", compute], as: starter, in: scratch
      ).run()
      #expect(run.out == "500.0\n", "\(run.summary)")
    }
    // The same environment from a workspace elsewhere: shown read-only, found by its path.
    let elsewhere = Command.agtRun(
      ["--quiet", "--", scratch.path + "/v/bin/python", "-c", compute], as: starter, in: Scratch()
    ).run()
    #expect(elsewhere.out == "500.0\n", "\(elsewhere.summary)")
  }

  @Test(
    "pyenv's shim",
    .enabled(if: Starter.isRoot && File.isExecutable("/root/.pyenv/shims/python3"), "no pyenv here")
  )
  func pyenv() {
    let run = Command.agtRun(
      ["--quiet", "--", "/root/.pyenv/shims/python3", "-c", "import sys; print(sys.prefix)"],
      as: .root,
      in: Scratch()
    ).with { $0.environment += ["HOME=/root", "PYENV_ROOT=/root/.pyenv"] }.run()
    #expect(run.out.hasPrefix("/root/.pyenv/versions/"), "\(run.summary)")
  }
}
