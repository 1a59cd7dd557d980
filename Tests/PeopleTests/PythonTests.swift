import TestSupport
import Testing

/// Python from the system, and what its standard library asks of the kernel.
@Suite("Python", .needs("python3")) struct PythonTests {
  @Test(arguments: Place.all) func systemPython(_ place: Place) {
    let run = place.python(
      """
      import sys, ssl, sqlite3, ctypes, lzma, bz2, zlib, hashlib, decimal
      print(sys.executable, sys.prefix, ssl.create_default_context().verify_mode.name)
      """)
    #expect(run.prints("/usr/bin/python3 /usr CERT_REQUIRED\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func asyncio(_ place: Place) {
    let run = place.python(
      """
      import asyncio
      async def main():
          queue = asyncio.Queue()
          async def put(n):
              await asyncio.sleep(0.01)
              await queue.put(n)
          await asyncio.gather(*map(put, range(10)))
          got = [queue.get_nowait() for _ in range(10)]
          print(sum(got), await asyncio.to_thread(max, got))
      asyncio.run(main())
      """)
    #expect(run.prints("45 9\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func threads(_ place: Place) {
    let run = place.python(
      """
      from concurrent.futures import ThreadPoolExecutor
      import hashlib, os
      def work(n): return hashlib.sha256(bytes(100000) + bytes([n])).digest()
      with ThreadPoolExecutor(40) as pool: sums = list(pool.map(work, range(40)))
      print(len(set(sums)), 0 < len(os.sched_getaffinity(0)) <= os.cpu_count())
      """)
    #expect(run.prints("40 True\n"), "\(run.summary)")
  }

  /// A server and a client that find each other on the ring's own loopback.
  @Test(arguments: Place.ring2) func loopbackServer(_ place: Place) {
    let run = place.python(
      """
      import http.server, threading, urllib.request
      handler = http.server.SimpleHTTPRequestHandler
      handler.log_message = lambda *words: None
      server = http.server.ThreadingHTTPServer(('localhost', 0), handler)
      threading.Thread(target=server.serve_forever, daemon=True).start()
      print(urllib.request.urlopen(f'http://localhost:{server.server_port}/').status)
      """)
    #expect(run.prints("200\n"), "\(run.summary)")
  }

  @Test(arguments: Place.ring2) func processes(_ place: Place) {
    let run = place.python(
      """
      import multiprocessing, subprocess, sys
      from multiprocessing import shared_memory
      with multiprocessing.Pool(3) as pool: print(pool.map(abs, [-1, -2, -3]))
      memory = shared_memory.SharedMemory(create=True, size=4096)
      memory.buf[0] = 7
      again = shared_memory.SharedMemory(name=memory.name)
      print(again.buf[0])
      again.close(); memory.close(); memory.unlink()
      print(subprocess.run(['tr', 'a', 'b'], input=b'banana', capture_output=True).stdout)
      """)
    #expect(run.prints("[1, 2, 3]\n7\nb'bbnbnb'\n"), "\(run.summary)")
  }

  @Test(arguments: Place.ring2, ["delete", "wal"])
  func sqliteInTheWorkspace(_ place: Place, _ mode: String) {
    let scratch = Scratch()
    let run = place.python(
      """
      import sqlite3
      base = sqlite3.connect('base')
      print(base.execute('pragma journal_mode=\(mode)').fetchone()[0])
      base.execute('create table t (n integer primary key, s text)')
      with base: base.executemany('insert into t (s) values (?)', [(str(n),) for n in range(1000)])
      other = sqlite3.connect('base')
      print(other.execute('select count(*), max(n) from t').fetchone())
      """, in: scratch)
    #expect(run.prints("\(mode)\n(1000, 1000)\n"), "\(run.summary)")
    #expect(File.bytes("\(scratch.path)/base")?.starts(with: "SQLite format 3".utf8) == true)
  }

  /// What ring 3 has for sqlite: scratch space, and reading the workspace.
  @Test(arguments: Place.ring3) func sqliteReadOnly(_ place: Place) {
    let scratch = Scratch()
    let make = """
      import sqlite3
      base = sqlite3.connect('base')
      base.executescript('create table t(a); insert into t values (6)')
      """
    let made = Command(["/usr/bin/python3", "-c", make], in: scratch.path).run()
    #expect(made.status == 0, "\(made.summary)")
    let run = place.python(
      """
      import sqlite3, shutil
      print(sqlite3.connect('base').execute('select a*7 from t').fetchone()[0])
      try: sqlite3.connect('base').execute('insert into t values (1)')
      except sqlite3.OperationalError as error: print(error)
      shutil.copy('base', '/tmp/own')
      own = sqlite3.connect('/tmp/own')
      own.execute('insert into t values (1)')
      print(own.execute('select count(*) from t').fetchone()[0])
      """, in: scratch)
    #expect(run.prints("42\nattempt to write a readonly database\n2\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func module(_ place: Place) {
    let scratch = Scratch()
    scratch.write("a.json", "{\"b\": [1, 2]}")
    let run = place.run("python3", "-m", "json.tool", "--compact", "a.json", in: scratch)
    #expect(run.prints("{\"b\":[1,2]}\n"), "\(run.summary)")
  }

  /// By `#!` in the workspace, by `#!` elsewhere, and as an argument.
  @Test(arguments: Place.all) func scripts(_ place: Place) {
    let scratch = Scratch()
    let elsewhere = Scratch()
    let text = "#!/usr/bin/env python3\nimport sys, helper\nprint(helper.name, sys.argv[1:])\n"
    for directory in [scratch, elsewhere] {
      directory.write("helper.py", "name = 'helped'\n")
      directory.write("script", text, mode: 0o755)
    }
    for words in [
      ["./script"], [elsewhere.path + "/script"], ["python3", elsewhere.path + "/script"],
    ] {
      let run = place.command(words + ["a b", "c"], in: scratch).run()
      #expect(run.prints("helped ['a b', 'c']\n"), "\(words): \(run.summary)")
    }
  }

  @Test(
    .enabled(
      if: File.exists("/usr/lib/python3/dist-packages/pip"), "needs pip: apt install python3-pip"),
    arguments: Place.all)
  func pip(_ place: Place) {
    let run = place.run("python3", "-m", "pip", "--version")
    #expect(run.status == 0 && run.out.hasPrefix("pip "), "\(run.summary)")
  }

  /// A clean error where the limit is reached, and no hang.
  @Test(arguments: Place.all) func moreMemoryThanAllowed(_ place: Place) {
    let gibibytes = place.ring == 2 ? 5 : 1
    let atOnce = place.python("bytearray(\(gibibytes) << 30)")
    #expect(atOnce.status == 1, "\(atOnce.summary)")
    #expect(atOnce.err.hasSuffix("\nMemoryError\n"), "\(atOnce.summary)")
    let hoard = """
      held = []
      try:
          while True: held.append(bytes(1 << 20))
      except MemoryError:
          count = len(held)
          held.clear()
          print(100 < count < 256, 'recovered')
      """
    let caught = place.run("python3", "-c", hoard, options: ["--memory", "256MiB"])
    #expect(caught.prints("True recovered\n"), "\(caught.summary)")
  }
}

/// Python from pyenv, whose `python3` is a shell script that starts other programs.
@Suite("pyenv") struct PyenvTests {
  @Test(
    .enabled("needs pyenv and a version of it in PYENV_ROOT or ~/.pyenv") { Pyenv.own != nil },
    arguments: Place.all)
  func shim(_ place: Place) {
    guard let pyenv = Pyenv.visible(to: place.starter) else {
      Issue.record("pyenv could not be shown to \(place.starter)")
      return
    }
    var command = place.command(
      ["python3", "-c", "import sys, ssl, sqlite3; print(sys.version.split()[0], sys.prefix)"],
      options: pyenv.options)
    command.environment[0] = "PATH=\(pyenv.root)/shims:/usr/bin:/bin"
    command.environment += ["PYENV_ROOT=\(pyenv.root)", "PYENV_VERSION=\(pyenv.version)"]
    let run = command.run()
    #expect(
      run.prints("\(pyenv.version) \(pyenv.root)/versions/\(pyenv.version)\n"), "\(run.summary)")
  }
}

/// A pyenv and one of its versions.
struct Pyenv {
  let root: String
  let version: String
  var options: [String] = []

  /// The one of the user who runs the tests.
  static let own: Pyenv? = {
    let home = Binaries.environment("HOME").map { $0 + "/.pyenv" }
    for root in [Binaries.environment("PYENV_ROOT"), home].compactMap({ $0 })
    where File.isExecutable(root + "/shims/python3") {
      let versions = (File.names(root + "/versions") ?? []).filter {
        $0.hasPrefix("3.") && File.isExecutable("\(root)/versions/\($0)/bin/python3")
      }
      let newest = versions.max { number($0).lexicographicallyPrecedes(number($1)) }
      if let version = newest { return Pyenv(root: root, version: version) }
    }
    return nil
  }()

  private static func number(_ version: String) -> [Int] {
    version.split(separator: ".").map { Int($0) ?? 0 }
  }

  /// An ordinary user may not enter root's home directory: it gets one of hard links.
  static func visible(to starter: Starter) -> Pyenv? {
    starter == .ordinary && Starter.isRoot ? linked : own
  }

  private static let linkedPlace = Scratch()
  private static let linked: Pyenv? = own.flatMap { own in
    let root = linkedPlace.path + "/pyenv"
    let copy = Command.shell(
      """
      mkdir -p "$2/versions" && cd "$1" && cp -a shims bin libexec "$2/" &&
      { cp -al "versions/$3" "$2/versions/" 2>/dev/null || cp -a "versions/$3" "$2/versions/"; }
      """, [own.root, root, own.version]
    ).run()
    guard copy.status == 0 else { return nil }
    // A build with a shared library names the place that it was installed in.
    let libraries = "LD_LIBRARY_PATH=\(root)/versions/\(own.version)/lib"
    return Pyenv(root: root, version: own.version, options: ["--env", libraries])
  }
}
