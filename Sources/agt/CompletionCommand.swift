internal import ArgumentParser
internal import Supervisor

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Prints what bash needs to complete agt and agt-run.",
    discussion: """
        source <(agt completion)
        agt completion | sudo tee /usr/share/bash-completion/completions/agt

      """)

  func run() throws {
    print(Agt.completionScript(for: .bash))
    print(RunCompletion.bash)
  }
}

/// For agt-run, whose options are parsed by hand.
enum RunCompletion {
  static var bash: String {
    """

    _agt_run() {
      local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} i
      # After `--`, or the program, it is the program's own affair.
      for ((i = 1; i < COMP_CWORD; i++)); do
        if [ "${COMP_WORDS[i]}" = -- ]; then
          COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
          return
        fi
      done
      case $before in
        --ring) COMPREPLY=($(compgen -W "0 1 2 3 system privileged standard sandbox" -- "$word")) ;;
        --on-violation) COMPREPLY=($(compgen -W "deny kill rollback" -- "$word")) ;;
        --breach) COMPREPLY=($(compgen -W "on off" -- "$word")) ;;
        --degrade) COMPREPLY=($(compgen -W "\(RunHelp.degradations.joined(separator: " "))" -- "$word")) ;;
        --workspace) COMPREPLY=($(compgen -d -- "$word")) ;;
        --profile|--read|--write|--policy|--tools|--agent-file|--result-json) COMPREPLY=($(compgen -f -- "$word")) ;;
        --cgroup) COMPREPLY=($(compgen -W "auto v1 v2 none" -- "$word")) ;;
        --env) COMPREPLY=($(compgen -v -- "$word")) ;;
        --net|--credential|--timeout|--grace|--memory|--pids|--cpu|--cpu-time|--disk|--requests|--tool-calls|--egress|--output|--io-read|--io-write|--tmp|--name|--agent|--status-fd|--tie-fd) COMPREPLY=() ;;
        *) COMPREPLY=($(compgen -W "\(RunHelp.flags.joined(separator: " ")) --" -- "$word")) ;;
      esac
    }
    complete -o filenames -F _agt_run agt-run
    """
  }
}
