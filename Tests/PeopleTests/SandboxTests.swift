import TestSupport
import Testing

/// What ring 3 does not let a program do, in the words that a person gets to read; each with the twin in
/// ring 2 that may.
@Suite("Ring 3", .needs("python3")) struct SandboxTests {
  @Test(arguments: Place.ring3) func readsButDoesNotWrite(_ place: Place) {
    let scratch = Scratch()
    scratch.write("given", "content")
    let run = place.python(
      """
      import os
      print(open('given').read(), os.listdir())
      for act in (
          "open('made', 'w')", "os.mkdir('dir')", "os.unlink('given')", "os.rename('given', 'b')",
          "os.utime('given')", "os.truncate('given', 0)", "os.chmod('given', 0o777)",
      ):
          try: eval(act); print('did', act)
          except OSError as error: print(error.strerror)
      """, in: scratch)
    let refusals = String(repeating: "Read-only file system\n", count: 7)
    #expect(run.prints("content ['given']\n" + refusals), "\(run.summary)")
    #expect(scratch.read("given") == "content" && File.names(scratch.path) == ["given"])
    let redirect = place.shell("echo x > made", in: scratch)
    #expect(redirect.status == 2)
    #expect(
      redirect.err.contains("cannot create made: Read-only file system"), "\(redirect.summary)")
  }

  @Test(arguments: Place.ring2) func ringTwoWrites(_ place: Place) {
    let scratch = Scratch()
    scratch.write("given", "content")
    let run = place.python(
      """
      import os
      open('made', 'w').write('new'); os.chmod('made', 0o600)
      os.mkdir('dir'); os.rename('given', 'dir/moved')
      """, in: scratch)
    #expect(run.prints(""), "\(run.summary)")
    #expect(scratch.read("made") == "new" && scratch.read("dir/moved") == "content")
    #expect(File.owner(scratch.path + "/made") == File.owner(scratch.path))
  }

  @Test(
    arguments: Place.ring3,
    [
      "import subprocess; subprocess.run(['ls'])", "import os; os.fork()",
      "import os; os.posix_spawn('/bin/ls', ['ls'], {})", "import os; os.popen('ls')",
      "import multiprocessing as m; m.Process(target=print).start()",
    ])
  func processesAreRefused(_ place: Place, _ script: String) {
    let run = place.python(script)
    #expect(run.status == 1, "\(run.summary)")
    let message = run.err.split(separator: "\n").last ?? ""
    #expect(
      message.hasPrefix("PermissionError: [Errno 1] Operation not permitted"), "\(run.summary)")
  }

  @Test(.needs("bash"), arguments: Place.ring3) func shellsCannotFork(_ place: Place) {
    for (shell, text) in [
      ("sh", "sh: 1: Cannot fork\n"), ("bash", "bash: fork: Operation not permitted\n"),
    ] where shell == "bash" || File.linkTarget("/bin/sh") == "dash" {
      let run = place.run(shell, "-c", "ls; true")
      #expect(run.status != 0 && run.seconds < 3, "\(run.summary)")
      #expect(run.err == text, "\(run.summary)")
    }
    // One program after another in the same process is no new process.
    let replaced = place.shell("exec echo replaced")
    #expect(replaced.prints("replaced\n"), "\(replaced.summary)")
  }

  @Test(arguments: Place.ring3) func scratchSpaceExecutesNothing(_ place: Place) {
    let run = place.python(
      """
      import os, shutil, ctypes, tempfile
      for place in tempfile.gettempdir(), os.environ['HOME'], '/dev/shm':
          copy = place + '/copy'
          shutil.copy('/bin/true', copy); os.chmod(copy, 0o755)
          try: os.execv(copy, ['true'])
          except OSError as error: print(error.strerror)
      library = next(line.split()[-1] for line in open('/proc/self/maps') if '/libc.so.6' in line)
      shutil.copy(library, '/tmp/c.so')
      try: ctypes.CDLL('/tmp/c.so')
      except OSError as error: print(error)
      """)
    let refusals = String(repeating: "Permission denied\n", count: 3)
    #expect(
      run.prints(refusals + "/tmp/c.so: failed to map segment from shared object\n"),
      "\(run.summary)")
  }

  @Test(arguments: Place.ring2) func ringTwoExecutes(_ place: Place) {
    let run = place.shell("cp /bin/echo /tmp/copy && /tmp/copy executed")
    #expect(run.prints("executed\n"), "\(run.summary)")
  }

  @Test(arguments: Place.ring3) func scratchSpaceIsLimited(_ place: Place) {
    let run = place.python(
      """
      written = 0
      try:
          for name in range(3):
              with open(f'/tmp/{name}', 'wb', buffering=0) as file:
                  for _ in range(200): written += file.write(bytes(1 << 20))
      except OSError as error: print(error.strerror, written >> 20)
      """)
    #expect(run.prints("No space left on device 256\n"), "\(run.summary)")
  }

  @Test(arguments: Place.ring3) func listeningIsRefused(_ place: Place) {
    let run = place.python("import socket; socket.create_server(('127.0.0.1', 8000))")
    #expect(run.status == 1, "\(run.summary)")
    #expect(
      run.err.contains("PermissionError: [Errno 13] Permission denied"), "\(run.summary)")
  }

  @Test(arguments: Place.ring3) func threadsUpToTheLimit(_ place: Place) {
    let run = place.python(
      """
      import threading
      stop, count = threading.Event(), 0
      try:
          while count < 200: threading.Thread(target=stop.wait).start(); count += 1
      except RuntimeError as error: print(error, 50 < count < 64)
      stop.set()
      """)
    #expect(run.prints("can't start new thread True\n"), "\(run.summary)")
  }
}
