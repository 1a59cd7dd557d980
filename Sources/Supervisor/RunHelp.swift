internal import Rings

/// The help text of agt-run and the list of its flags; one text, so that the man page and the parser's
/// suggestions say the same.
public enum RunHelp {
  public static let flags = [
    "--ring", "--profile", "--workspace", "--read", "--write", "--protect",
    "--net", "--policy", "--tools",
    "--env", "--credential", "--timeout", "--grace", "--memory", "--pids", "--cpu", "--cpu-time",
    "--disk",
    "--requests", "--tool-calls", "--egress", "--output", "--io-read", "--io-write",
    "--cgroup", "--tmp", "--txn", "--txn-base",
    "--allow-executable", "--name", "--agent", "--agent-file", "--detach", "--tty",
    "--on-violation", "--breach", "--audit-sync", "--result-json", "--status-fd", "--tie-fd",
    "--degrade",
    "--explain",
    "--json", "--quiet", "--verbose", "--version", "--help",
  ]

  /// What `--degrade` takes.
  public static let degradations = Degradation.allCases.map(\.rawValue)

  public static let text = """
    usage: agt-run [options] -- program [arguments…]

    Runs a program in a privilege ring that the kernel enforces.

      --ring N|NAME          0 system, 1 privileged, 2 standard, 3 sandbox (default: 3)
      --profile FILE         a ring profile of your own, instead of --ring
      --workspace DIR[:ro|rw|txn]  the directory that the program works in (default: the current one)
      --read PATH            show one more file or directory, read-only; repeatable
      --write PATH           show one more file or directory, read-write; repeatable
      --protect PATH         what the program cannot change, wherever it lies; repeatable
      --net HOST:PORT        in ring 2: let one more host be reached; repeatable. HOST is a name,
                             *.NAME, an address, a range (10.0.0.0/8) or host-loopback
      --policy FILE|DIR      what the program may ask its broker for, what may be reached, and
                             what ends the run; repeatable
      --tools FILE|DIR       tools that the program may call through the broker; repeatable
      --env NAME[=VALUE]     set a variable, or take over the caller's; repeatable
      --credential NAME      a secret that systemd has given (LoadCredential=), as a file that the
                             program can only read, in $CREDENTIALS_DIRECTORY; repeatable

      --timeout TIME         end the run after this long: 90s, 5m, 1h, none
      --grace TIME           between asking the program to end, when agt-run is, and ending it (5s)
      --memory SIZE          memory of each process, and in a cgroup of all together: 512MiB, 2G
      --pids N               processes and threads of the run
      --cpu N                processors of the whole run: 0.5, 2; needs a cgroup
      --cpu-time TIME        time on processors of all processes together: 90s, 10m
      --disk SIZE            what all processes together write to disks: 10GiB
      --requests N           what the program may ask its broker for in all, with --policy
      --tool-calls N         tools that it may call in all, with --tools
      --egress SIZE          what may be sent to each destination of --net or a policy: 10MiB
      --output SIZE          what the program may write to its standard output and error: 64MiB
      --io-read RATE         from the workspace's disk, each second: 10MiB/s; needs a cgroup
      --io-write RATE        to the workspace's disk; the same
      --cgroup WHAT          auto: limits of the whole run where cgroup v2 has them (default);
                             v2; v1, for root; none: resource limits alone
      --tmp SIZE             space in /tmp, in /dev/shm and in the private home directory, each

      --name NAME            call the run so in agt ps, agt inspect and agt wait
      --agent NAME           whose run it is, for agt ps, agt kill and agt hold

      -d, --detach           go on without this terminal and print the run's id; agt logs, agt wait
      -t, --tty              with --detach: a terminal for the program, see agt attach

      --agent-file FILE      the program and its options as FILE declares them (agt unit writes one)

      --txn[=MODE]           the workspace as a transaction: writable, and untouched on disk until
                             agt txn commit (keep, the default; with keep-on-success only after
                             status 0), status 0 (commit-on-success), or never (discard);
                             --workspace DIR:txn is the same
      --txn-base ID          what that transaction has changed is there already, and stays as it is
      --allow-executable     commit-on-success also brings files that would be executed or trusted

      --on-violation WHAT    deny: the call fails (default); kill: the run ends with 137;
                             rollback: the same, and the changes are discarded; needs --txn
      --breach LEVELS        count what is refused within a minute: on is 2,5,10,20; from the third
                             on every request is denied for a minute, the fourth ends the run
      --audit-sync WHEN      wait for the audit log's disk: once for all that wait (group, the
                             default), for each entry (always), or never (off)
      --degrade NAME         go on without namespaces, landlock, seccomp or violations;
                             repeatable
      --explain              print step by step what would be enforced; start nothing
      --json                 with --explain: as JSON
      --result-json FILE     write how the run ended
      --status-fd N          write one JSON line per event to descriptor N
      --tie-fd N             end the run when descriptor N is closed at its other end
      -q, --quiet            print nothing of our own but errors
      -v, --verbose          print how the program was found, and summaries also without a
                             terminal
      -V, --version
      -h, --help

    Exit status: the program's own; 2 usage, 124 out of time, or a budget is used up, 125 agt-run
    failed, 126 refused or not confinable (nothing ran), 127 no such program, 128+n ended by signal
    n, 137 killed.

    """
}
