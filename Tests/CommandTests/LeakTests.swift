import TestSupport
import Testing

/// Hundreds of launches in namespaces of their own, so that nobody else's processes and mounts count: what
/// is there afterwards is what was there before.
@Suite(.enabled(if: Starter.isRoot, "needs a pid and a mount namespace of its own"))
struct LeakTests {
  /// Lists everything that a launch could leave behind. `$1` is agt-run and what makes its user.
  private static let look = """
    mount -t tmpfs -o mode=755 tmpfs /srv && cp -a . /srv/work && mkdir /srv/bin || exit
    cp "$AGT"/agt-run "$AGT"/agt-stage "$OPERATOR" /srv/bin && cd /srv/work || exit
    mount -t tmpfs -o mode=755 tmpfs /run && mount -t tmpfs -o mode=1777 tmpfs /tmp || exit
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit
    look() {
      processes=(/proc/[0-9]*); echo "processes: ${#processes[@]}"
      echo "zombies: $(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)"
      echo "mounts: $(cut -d' ' -f5- /proc/self/mountinfo | sort | sha256sum)"
      echo "sockets: $(wc -l < /proc/net/unix)"
      echo "shared: $(ls /dev/shm | wc -l) $(ipcs -m | wc -l)"
      echo "temporary: $(ls -A /tmp)"
      echo "work: $(ls -A)"
      echo "runs: $(ls -A /run/agt /tmp/agt-* 2>/dev/null | grep -v '^ids$')"
      open=(/proc/$$/fd/*); echo "descriptors: ${open[*]##*/}"
      echo "cgroups: $(find /sys/fs/cgroup -depth -type d -name '*agt*' | wc -l)"
      echo "locks: $(for f in /run/agt/ids/*; do [ -e "$f" ] && ! flock -n "$f" true && echo $f; done)"
    }

    """

  private func run(_ script: String, as starter: Starter) -> Completed {
    let scratch = Scratch()
    scratch.write("plain", "text")
    scratch.write("broken", "\u{7f}ELF\0garbage", mode: 0o755)
    scratch.write("lost", "#!/nonexistent/interpreter\n", mode: 0o755)
    scratch.write("wrong.yaml", "kind: [\n")
    let words = Command.agtRun([], as: starter, in: scratch).words.map {
      String(decoding: $0, as: UTF8.self).replacing(Binaries.directory, with: "/srv/bin")
    }
    return Command(
      [
        "/usr/bin/unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child",
        "--mount-proc", "--propagation", "private", "/bin/bash", "-c", Self.look + script, "sh",
      ] + words, in: scratch.path
    ).with {
      $0.scratch = scratch
      $0.environment =
        Command.plainEnvironment + [
          "AGT=\(Binaries.directory)", "OPERATOR=\(Binaries.agt)",
        ]
      $0.timeoutSeconds = 150
    }.run()
  }

  /// The parts of the text before and after the launches.
  private func halves(_ run: Completed) -> (before: Substring, after: Substring)? {
    let parts = run.out.split(separator: "=====\n")
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  @Test(arguments: Starter.all) func failedLaunches(_ starter: Starter) {
    let run = run(
      """
      "$@" --ring 2 -- true; look; echo =====
      failed=0
      fails() { "$@" >/dev/null 2>&1 </dev/null && echo "did not fail: $*"; failed=$((failed + 1)); }
      for round in $(seq 42); do
        fails "$@" --nonsense
        fails "$@" --ring 9 -- true
        fails "$@" -- no-such-program
        fails "$@" -- ./plain
        fails "$@" -- ./broken
        fails "$@" -- ./lost
        fails "$@" --workspace / -- true
        fails "$@" --read /nonexistent -- true
        fails "$@" --profile wrong.yaml -- true
        fails "$@" --ring 2 --env A=$(head -c 200000 /dev/zero | tr '\\0' a) -- true
        fails "$@" --ring 2 --timeout 1ms -- sleep 5
        fails "$@" --ring 2 --memory 64k -- true
      done
      [ $failed -ge 500 ] || echo "only $failed"
      sleep 0.3; look
      """, as: starter)
    guard let (before, after) = halves(run) else {
      Issue.record("\(run.summary)")
      return
    }
    #expect(before == after)
    #expect(!run.timedOut)
  }

  @Test(arguments: Starter.all) func goodLaunches(_ starter: Starter) {
    let run = run(
      """
      "$@" --ring 2 -- true; look; echo =====
      for round in $(seq 50); do
        for ring in 0 1 2 3; do
          "$@" --ring $ring -- true </dev/null || echo "ring $ring: $?"
        done
        "$@" --ring 2 -- sh -c 'sleep 20 & setsid sleep 20 & touch /tmp/x /dev/shm/y' </dev/null
      done
      sleep 0.3; look
      """, as: starter)
    guard let (before, after) = halves(run) else {
      Issue.record("\(run.summary)")
      return
    }
    #expect(before == after)
  }

  /// Killed at any moment of the launch, it leaves its entry in the registry of runs and nothing else.
  @Test(arguments: Starter.all) func killedLaunches(_ starter: Starter) {
    let run = run(
      """
      "$@" --ring 2 -- true; look; echo =====
      for round in $(seq 100); do
        "$@" --ring 2 -- sleep 20 </dev/null >/dev/null 2>&1 &
        sleep 0.$(printf %03d $((round % 40)))
        kill -9 $!
        wait $! 2>/dev/null
      done
      sleep 1.2; "${@:1:$#-1}" /srv/bin/agt gc >/dev/null; look
      """, as: starter)
    guard let (before, after) = halves(run) else {
      Issue.record("\(run.summary)")
      return
    }
    #expect(before == after)
  }
}
