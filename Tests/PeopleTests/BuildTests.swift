import TestSupport
import Testing

/// Working on a project: git, compilers, make, databases, shells.
@Suite("Building") struct BuildTests {
  private static let who = "-c user.name=A -c user.email=a@example.com"

  @Test(.needs("git"), arguments: Place.ring2) func git(_ place: Place) {
    let scratch = Scratch()
    let run = place.shell(
      """
      set -e
      git init -q -b main project; cd project
      echo one > file; git add file; git \(Self.who) commit -qm First
      git status --porcelain
      echo two >> file; git diff --stat | tail -1; git \(Self.who) commit -qam Second
      git checkout -qb side HEAD~1; echo three > other; git add .; git \(Self.who) commit -qm Third
      git \(Self.who) merge -q -m merged main
      cd ..; git clone -q project copy; cd copy
      git log --format=%s | sort; git gc -q; git fsck --no-progress; cat other
      """, in: scratch)
    #expect(
      run.prints(" 1 file changed, 1 insertion(+)\nFirst\nSecond\nThird\nmerged\nthree\n"),
      "\(run.summary)")
    #expect(scratch.read("copy/file") == "one\ntwo\n")
  }

  /// Reading a repository starts no other process.
  @Test(.needs("git"), arguments: Place.ring3) func gitReads(_ place: Place) {
    let scratch = Scratch()
    let made = Command.shell(
      "git init -q . && echo a > f && git add f && git \(Self.who) commit -qm Given && echo b >> f",
      in: scratch.path
    ).run()
    #expect(made.status == 0, "\(made.summary)")
    for (words, text) in [
      (["status", "--short"], " M f\n"), (["log", "--format=%s"], "Given\n"),
      (["show", "HEAD:f"], "a\n"), (["diff", "--numstat"], "1\t0\tf\n"),
      (["grep", "-c", "a"], "f:1\n"),
    ] {
      let run = place.command(["git"] + words, in: scratch).run()
      #expect(run.prints(text), "\(words): \(run.summary)")
    }
    let add = place.run("git", "add", "f", in: scratch)
    #expect(add.status == 128)
    #expect(add.err.contains("index.lock': Read-only file system"), "\(add.summary)")
  }

  @Test(.needs("gcc", "make"), arguments: Place.ring2) func compilerAndMake(_ place: Place) {
    let scratch = Scratch()
    scratch.write("hello.c", "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n")
    scratch.write("Makefile", "all: hello\n\t./hello\nhello: hello.o\n\t$(CC) -o $@ $<\n")
    let run = place.run("make", "-s", "-j2", in: scratch)
    #expect(run.prints("hello\n"), "\(run.summary)")
    // What was built runs in the stricter ring too.
    let strict = Place(ring: 3, starter: place.starter).run("./hello", in: scratch)
    #expect(strict.prints("hello\n"), "\(strict.summary)")
  }

  @Test(.needs("g++"), arguments: Place.ring2) func compilesIntoScratchSpace(_ place: Place) {
    let scratch = Scratch()
    scratch.write("a.cc", "#include <iostream>\nint main() { std::cout << \"built\\n\"; }\n")
    let run = place.shell("g++ -o /tmp/a a.cc && /tmp/a", in: scratch)
    #expect(run.prints("built\n"), "\(run.summary)")
  }

  @Test(
    .needs("bash"), arguments: Place.ring2,
    [
      ("sh", "seq 100 | grep 7 | wc -l | tr -d ' '", "19\n"),
      ("bash", "diff <(seq 3) <(seq 4) | tail -1; cat <<< here", "> 4\nhere\n"),
      ("sh", "cat <<E\nfrom here\nE", "from here\n"),
      ("bash", "coproc cat; echo x >&${COPROC[1]}; read -u ${COPROC[0]} y; echo $y", "x\n"),
      ("sh", "sleep 5 & kill $!; wait $! 2>/dev/null; echo $?", "143\n"),
      ("sh", "mkfifo /tmp/p; (echo through > /tmp/p) & cat /tmp/p", "through\n"),
    ])
  func shells(_ place: Place, _ one: (shell: String, script: String, text: String)) {
    let run = place.run(one.shell, "-c", one.script)
    #expect(run.prints(one.text), "\(one.script): \(run.summary)")
  }

  @Test(arguments: Place.ring2) func findXargsGrepSedAwk(_ place: Place) {
    let scratch = Scratch()
    for number in 1...30 { scratch.write("f\(number)", "line \(number)\n") }
    let run = place.shell(
      """
      find . -name 'f*' -exec grep -l 7 {} + | sort
      find . -name 'f1?' -print0 | xargs -0 -P 2 -n 3 cat | awk '{ n += $2 } END { print n }'
      sed -i s/line/row/ f1 && cat f1
      """, in: scratch)
    #expect(run.prints("./f17\n./f27\n./f7\n145\nrow 1\n"), "\(run.summary)")
  }

  @Test(.needs("sqlite3"), arguments: Place.ring2) func sqlite(_ place: Place) {
    let run = place.run(
      "sqlite3", "base",
      "pragma journal_mode=wal; create table t(a); insert into t values(5); select a*2 from t;")
    #expect(run.prints("wal\n10\n"), "\(run.summary)")
  }

  @Test(.needs("tar", "gzip"), arguments: Place.ring2) func archives(_ place: Place) {
    let run = place.shell(
      """
      set -e; mkdir d; echo text > d/f; ln -s f d/l; chmod 750 d
      tar czf d.tgz d; rm -r d; tar xzf d.tgz; readlink d/l; stat -c %a d
      gzip -k d/f; zcat d/f.gz
      """)
    #expect(run.prints("f\n750\ntext\n"), "\(run.summary)")
  }

  @Test(.needs("zip", "unzip"), arguments: Place.ring2) func zip(_ place: Place) {
    let run = place.shell("echo text > f; zip -q a.zip f; rm f; unzip -q a.zip; cat f")
    #expect(run.prints("text\n"), "\(run.summary)")
  }

  @Test(.needs("vim"), arguments: Place.ring2) func vimEdits(_ place: Place) {
    let scratch = Scratch()
    scratch.write("f", "one\ntwo\n")
    let run = place.run("vim", "-es", "-c", "%s/two/three/", "-c", "wq", "f", in: scratch)
    #expect(run.status == 0, "\(run.summary)")
    #expect(scratch.read("f") == "one\nthree\n")
  }

  @Test(.needs("javac", "java"), arguments: Starter.all) func javaCompiler(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write(
      "Hello.java",
      """
      public class Hello {
        public static void main(String[] words) throws Exception {
          Thread[] all = new Thread[8];
          for (int n = 0; n < 8; n++) (all[n] = new Thread(() -> System.out.print("t"))).start();
          for (Thread one : all) one.join();
          System.out.println(" hello");
        }
      }
      """)
    let built = Place(ring: 2, starter: starter).run("javac", "Hello.java", in: scratch)
    #expect(built.prints(""), "\(built.summary)")
    let run = Place(ring: 3, starter: starter).run("java", "Hello", in: scratch)
    #expect(run.prints("tttttttt hello\n"), "\(run.summary)")
  }
}
