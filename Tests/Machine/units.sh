#!/bin/bash
# Run by Scripts/vm-test as root in a machine of its own: agents as units of systemd. $1 is the kind of the machine.
set -u
kind=$1
passed=0 failed=0 skipped=0

# ok NAME command…: the command succeeds.
ok() {
  local name=$1
  shift
  if "$@" >/tmp/last 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    sed 's/^/          /' /tmp/last | head -20
    journalctl -o cat -n 6 --no-pager 2>/dev/null | sed 's/^/          | /'
  fi
}
skip() { skipped=$((skipped + 1)); echo "skipped $1: $2"; }
# soon SECONDS command…: it succeeds within that time.
soon() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/tmp/soon 2>&1; do
    [ $SECONDS -lt $end ] || { echo "never: $*"; cat /tmp/soon; return 1; }
    sleep 0.2
  done
}
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
has() { case $1 in *"$2"*) ;; *) echo "'$1' does not contain '$2'"; return 1 ;; esac; }
show() { systemctl show -P "$2" "agt-agent@$1"; }
shows() { is "$(show "$1" "$2")" "$3"; }
main() { show "$1" MainPID; }
result() { cat "/run/agt-agents/$1/result.json"; }
empty() { [ ! -e "/sys/fs/cgroup/system.slice/system-agt\\x2dagent.slice/agt-agent@$1.service/cgroup.procs" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
drop() { # NAME text
  mkdir -p "/etc/systemd/system/agt-agent@$1.service.d"
  printf '%b' "$2" >"/etc/systemd/system/agt-agent@$1.service.d/test.conf"
  systemctl daemon-reload
}
# hit SIGNAL NAME: a signal to the supervisor, never to a group of ours.
hit() {
  local pid
  pid=$(main "$2")
  [ "$pid" -gt 1 ] && kill "-$1" "$pid"
}
ring_pids() { # NAME: processes below PID 1 of the ring, seen from outside
  local init
  init=$(pgrep -P "$(main "$1")" -x agt-init | head -1)
  [ -n "$init" ] && pgrep -P "$init"
}

# An overlay, as the root of a container is one, cannot show a workspace as another owner's.
[ "$kind" = qemu ] || mount -t tmpfs -o mode=755 tmpfs /srv

# ---- the units themselves
verify() { # no output, status 0
  local text
  text=$(systemd-analyze "$@" 2>&1) || { echo "$text"; return 1; }
  is "$text" ""
}
mkdir -p /srv/clerk && cat >/srv/clerk/agent.sh <<'A'
env >env.txt
cat /proc/self/cgroup >cgroup.txt
id -u >uid.txt
trap 'echo bye >end.txt; exit 0' TERM
echo "the clerk is at work"
while :; do sleep 0.2; done
A
ok "agt unit writes a declaration and the template" \
  agt unit clerk --ring 2 --workspace /srv/clerk --timeout none --env CLERK_KEY -- /bin/sh /srv/clerk/agent.sh
ok "it writes no second one" bash -c '! agt unit clerk -- /bin/true'
systemctl daemon-reload
ok "systemd-analyze verify: system" verify --man=no verify agt-agent@clerk.service
ok "systemd-analyze verify: user" env XDG_RUNTIME_DIR=/run HOME=/root bash -c "$(declare -f verify is); verify --man=no --user verify /run/agt-share/user/agt-agent@.service"

# ---- start
printf 'CLERK_KEY=s3cret\nUNNAMED=x\n' >/etc/agt/agents/clerk.env
ok "start: ready when the agent was executed" systemctl start agt-agent@clerk
ok "start: active" shows clerk ActiveState active
# Nothing below says anything when this does not work.
[ $failed = 0 ] || exit 1
ok "start: the status line tells the ring" has "$(show clerk StatusText)" "ring 2 (standard)"
soon 10 test -s /srv/clerk/uid.txt
ok "start: the agent is in ring 2" grep -qx AGT_RING=2 /srv/clerk/env.txt
ok "start: the agent is not root" bash -c '[ "$(cat /srv/clerk/uid.txt)" != 0 ]'
ok "start: a named variable arrives" grep -qx CLERK_KEY=s3cret /srv/clerk/env.txt
ok "start: no other does, and nothing of the manager's" \
  bash -c '! grep -E "^(UNNAMED|NOTIFY_SOCKET|WATCHDOG_|LISTEN_|INVOCATION_ID|JOURNAL_STREAM)" /srv/clerk/env.txt'
ok "start: agt ps knows it by name" bash -c 'agt ps | grep -q "clerk .* running"'
ok "start: its output is in the journal" \
  soon 10 bash -c 'journalctl -u agt-agent@clerk -o cat | grep -qx "the clerk is at work"'
ok "start: supervisor and agent are in the unit's cgroup" \
  has "$(cat "/proc/$(ring_pids clerk | head -1)/cgroup")" "agt-agent@clerk.service"

# ---- stop
pid=$(ring_pids clerk | head -1)
ok "stop" systemctl stop agt-agent@clerk
ok "stop: the agent could clean up" grep -qx bye /srv/clerk/end.txt
ok "stop: inactive" shows clerk ActiveState inactive
ok "stop: no failure" shows clerk Result success
ok "stop: nothing is left" gone "$pid"
ok "stop: its cgroup is gone" soon 5 empty clerk
ok "stop: how it ended is recorded" has "$(result clerk)" '"state": "exited"'
ok "stop: agt ps lists nothing" is "$(agt ps)" "no runs"

agt unit deaf --ring 2 --workspace /srv/clerk --grace 1s -- \
  /bin/sh -c 'trap "" TERM HUP INT; (setsid sleep 1000 &); while :; do sleep 0.2; done' >/dev/null
systemctl start agt-agent@deaf
soon 10 bash -c 'pgrep -fx "sleep 1000" >/dev/null'
ok "stop: an agent that does not listen is killed after its grace" systemctl stop agt-agent@deaf
ok "stop: with its daemons" bash -c '! pgrep -fx "sleep 1000"'
ok "stop: that is a failure" shows deaf Result exit-code
ok "stop: with the reason" has "$(result deaf)" '"reason": "manual"'

# ---- failures and what is started again
agt unit flaky --ring 2 --workspace /srv/clerk -- \
  /bin/sh -c 'echo x >>starts.txt; [ $(wc -l <starts.txt) -ge 3 ] || exit 3; while :; do sleep 0.2; done' >/dev/null
systemctl start agt-agent@flaky
ok "failure: an agent that fails is started again" soon 30 shows flaky NRestarts 2
ok "failure: until it works" soon 20 shows flaky ActiveState active
pid=$(ring_pids flaky | head -1)
hit KILL flaky
ok "failure: the supervisor is killed: the ring ends" soon 5 gone "$pid"
ok "failure: and it is started again" soon 20 shows flaky NRestarts 3
ok "failure: agt gc has nothing alive to end" bash -c 'agt gc | { ! grep -v "nothing is left"; }'
systemctl stop agt-agent@flaky

agt unit breach --ring 2 --on-violation kill --workspace /srv/clerk -- \
  /bin/sh -c 'sleep 1; mount -t tmpfs x /tmp; sleep 100' >/dev/null
systemctl start agt-agent@breach
ok "policy: a forbidden call ends it" soon 20 shows breach ActiveState failed
ok "policy: with 137" shows breach ExecMainStatus 137
ok "policy: and the reason" has "$(result breach)" '"reason": "policy_violation"'
sleep 3
ok "policy: it is not started again" shows breach NRestarts 0
ok "policy: the status line says why" has "$(show breach StatusText)" "forbidden call"

agt unit typo --ring 2 -- /bin/true >/dev/null
sed -i 's/^ring: 2/rnig: 2/' /etc/agt/agents/typo.yaml
systemctl start agt-agent@typo 2>/dev/null
ok "declaration: a mistake is named with its place" \
  bash -c 'journalctl -u agt-agent@typo -o cat | grep -q "typo.yaml:5:1: unknown key \"rnig\"; did you mean \"ring\"?"'
ok "declaration: the start fails with 2" shows typo ExecMainStatus 2
ok "declaration: and is not tried again" shows typo NRestarts 0
ok "declaration: nobody else may write it" bash -c '
  chmod 666 /etc/agt/agents/typo.yaml
  agt-run --agent-file /etc/agt/agents/typo.yaml 2>&1 | grep -q "others than you and root could have written it"'

# ---- watchdog
agt unit alert --ring 2 --workspace /srv/clerk -- /bin/sh -c 'while :; do sleep 0.2; done' >/dev/null
drop alert '[Service]\nWatchdogSec=3\n'
systemctl start agt-agent@alert
sleep 8
ok "watchdog: a loop that goes round is left alone" shows alert NRestarts 0
pid=$(ring_pids alert | head -1)
hit STOP alert
ok "watchdog: a supervisor that hangs is ended" soon 30 shows alert NRestarts 1
ok "watchdog: with its ring" soon 5 gone "$pid"
ok "watchdog: that was the reason" \
  bash -c 'journalctl -u agt-agent@alert -o cat | grep -q "Watchdog timeout"'
ok "watchdog: and it runs again" soon 20 shows alert ActiveState active
systemctl stop agt-agent@alert

# ---- limits
agt unit bomb --ring 2 --pids 40 --workspace /srv/clerk -- \
  /bin/sh -c 'f() { while :; do sleep 1000 & done 2>/dev/null; }; f' >/dev/null
systemctl start agt-agent@bomb
sleep 5
ok "fork bomb: no more processes than allowed" bash -c '[ "$(pgrep -fxc "sleep 1000")" -le 40 ]'
ok "fork bomb: the machine works" timeout 20 bash -c 'ls / | wc -l'
ok "fork bomb: stop ends it" timeout 30 systemctl kill -s SIGKILL agt-agent@bomb
ok "fork bomb: nothing is left" soon 10 bash -c '! pgrep -fx "sleep 1000"'
systemctl stop agt-agent@bomb

agt unit rebel --ring 2 --pids 60 --on-violation kill --workspace /srv/clerk -- \
  /bin/sh -c '(while :; do sleep 1001 & done 2>/dev/null) & sleep 2; mount -t tmpfs x /tmp; sleep 100' >/dev/null
systemctl start agt-agent@rebel
ok "fork bomb: policy ends it while it runs" soon 30 shows rebel ActiveState failed
ok "fork bomb: nothing is left of it" bash -c '! pgrep -fx "sleep 1001"'
ok "fork bomb: the reason is recorded" has "$(result rebel)" '"reason": "policy_violation"'
ok "fork bomb: and that it is gone" has "$(result rebel)" '"terminated": true'
ok "fork bomb: its cgroup is gone" soon 5 empty rebel

agt unit spender --ring 2 --cpu-time 2s --workspace /srv/clerk -- /bin/sh -c 'while :; do :; done' >/dev/null
drop spender '[Service]\nRestart=no\n'
systemctl start agt-agent@spender
ok "CPU time: its limit ends the agent" soon 30 shows spender ActiveState failed
ok "CPU time: with 124" shows spender ExecMainStatus 124
ok "CPU time: and the reason" has "$(result spender)" '"reason": "budget_exceeded"'

if agt-run --ring 2 --io-write 2MiB/s --workspace /srv/clerk --explain -- true >/dev/null 2>&1; then
  begun=$(date +%s%N)
  agt-run --ring 2 --io-write 2MiB/s --workspace /srv/clerk -- \
    dd if=/dev/zero of=slow bs=1M count=8 oflag=direct status=none
  ok "throughput: io.max slows a run down" [ $(($(date +%s%N) - begun)) -gt 2500000000 ]
  rm -f /srv/clerk/slow
else
  skip "throughput: io.max slows a run down" "there is no io controller, or /srv is on no disk"
fi

# Each process alone is within the limit; only a cgroup bounds both together. The larger one is the agent.
shared='import os, time; time.sleep(1)
if os.fork() == 0: time.sleep(1); y = b"y" * (24 << 20); time.sleep(100)
x = b"x" * (48 << 20); time.sleep(100)'
if grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
  agt unit mapper --ring 2 --memory 64MiB --workspace /srv/clerk -- /usr/bin/python3 -c "$shared" >/dev/null
  drop mapper '[Service]\nRestart=no\n'
  systemctl start agt-agent@mapper
  ok "memory: the run has a cgroup in the unit's subtree" \
    has "$(cat "/proc/$(ring_pids mapper | head -1)/cgroup")" "agt-agent@mapper.service/"
  ok "memory: agt-run's own limit ends the agent" soon 60 shows mapper ActiveState failed
  ok "memory: with a typed reason" has "$(result mapper)" '"reason": "memory_limit"'
  ok "memory: in words" has "$(result mapper)" 'memory limit of 64 MiB exceeded, peak 64 MiB'
  ok "memory: held by cgroup v2" has "$(result mapper)" '"enforcedBy": "v2"'
  agt unit greedy --ring 2 --memory 1GiB --workspace /srv/clerk -- \
    /usr/bin/python3 -c 'import time; time.sleep(1); x = b"x" * (300 << 20); time.sleep(100)' >/dev/null
  drop greedy '[Service]\nMemoryMax=120M\nMemorySwapMax=0\nRestart=no\n'
  systemctl start agt-agent@greedy
  ok "memory: the unit's limit ends the agent" soon 60 shows greedy ActiveState failed
  ok "memory: not its supervisor, which records it" has "$(result greedy)" '"status": 137'
else
  skip "memory: agt-run's own limit ends the agent" "this machine's cgroup v2 has no memory controller"
  skip "memory: the unit's limit ends the agent" "this machine's cgroup v2 has no memory controller"
fi

# ---- ordinary users
: >/var/lib/systemd/linger/tester
systemctl start user@1000.service
as_tester() {
  setpriv --reuid tester --regid tester --init-groups env -i HOME=/home/tester USER=tester LOGNAME=tester \
    PATH="$PATH" LANG=C.UTF-8 "${session[@]}" "$@"
}
session=(XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus)
cd /home/tester || exit 1
ok "user: agt unit" as_tester agt unit helper --ring 2 --timeout none -- \
  /bin/sh -c 'env >env.txt; trap "echo bye >end.txt; exit 0" TERM; while :; do sleep 0.2; done'
as_tester systemctl --user daemon-reload
ok "user: start" as_tester systemctl --user start agt-agent@helper
ok "user: active" is "$(as_tester systemctl --user show -P ActiveState agt-agent@helper)" active
ok "user: the status line" has "$(as_tester systemctl --user show -P StatusText agt-agent@helper)" "ring 2"
ok "user: agt ps" bash -c "$(declare -f as_tester); session=(${session[*]}); as_tester agt ps | grep -q 'helper .* running'"
ok "user: root sees the unit's processes in the user's slice" \
  bash -c 'grep -q user@1000.service /proc/$(pgrep -u tester -x agt-run | head -1)/cgroup'
ok "user: stop" as_tester systemctl --user stop agt-agent@helper
ok "user: no failure" is "$(as_tester systemctl --user show -P Result agt-agent@helper)" success
ok "user: nothing is left" bash -c '! pgrep -u tester -x agt-run'
ok "user: the agent cannot write its own declaration" bash -c "$(declare -f as_tester); session=(${session[*]})
  cd /home/tester
  as_tester agt-run --ring 2 --workspace /home/tester -- sh -c 'ls -A .config/agt | grep . || ! echo x >.config/agt/y'"

if grep -qw memory "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers" 2>/dev/null; then
  as_tester agt unit mapper --ring 2 --memory 64MiB -- /usr/bin/python3 -c "$shared" >/dev/null
  as_tester systemctl --user daemon-reload
  as_tester systemctl --user start agt-agent@mapper
  user_result() { cat /run/user/1000/agt-agents/mapper/result.json; }
  ok "user: a memory limit has a typed reason" soon 60 bash -c \
    'grep -q "\"reason\": \"memory_limit\"" /run/user/1000/agt-agents/mapper/result.json'
  ok "user: held by cgroup v2" has "$(user_result)" '"enforcedBy": "v2"'
  as_tester systemctl --user stop agt-agent@mapper
else
  skip "user: a memory limit has a typed reason" "this user's manager has no memory controller"
fi

session=()
cd /tmp || exit 1
ok "no session, no delegation: ring 3 works" is "$(as_tester agt-run --workspace /usr -- /bin/echo in)" in
as_tester agt-run --ring 2 --name alone --workspace /home/tester -- \
  sh -c 'trap "" TERM; (setsid sleep 777 &); sleep 777' &
soon 10 bash -c '[ "$(pgrep -fxc "sleep 777")" = 2 ]'
ok "no session: agt ps" bash -c "$(declare -f as_tester); session=(); as_tester agt ps | grep -q 'alone .* running'"
pkill -u tester -x agt-run
pkill -u tester -x agt-run
ok "no session: asked twice, everything is gone" soon 10 bash -c '! pgrep -fx "sleep 777"'
as_tester agt-run --ring 2 --cpu-time 1s --result-json /tmp/spent.json --workspace /home/tester -- \
  sh -c 'while :; do :; done'
ok "no delegation: a CPU time limit has a typed reason" has "$(cat /tmp/spent.json)" '"reason": "budget_exceeded"'
ok "no delegation: counted without a cgroup" has "$(cat /tmp/spent.json)" '"enforcedBy": "rlimit"'
as_tester agt-run --ring 2 --pids 40 --name bomb --workspace /home/tester -- \
  sh -c '(while :; do sleep 1002 & done 2>/dev/null) & sleep 100' &
soon 10 bash -c '[ "$(pgrep -fxc "sleep 1002")" -ge 20 ]'
ok "no delegation: a fork bomb is killed and confirmed" bash -c "$(declare -f as_tester); session=()
  as_tester agt kill --json bomb | grep -q '\"terminated\": true'"
ok "no delegation: nothing is left of it" bash -c '! pgrep -fx "sleep 1002"'
wait

echo "$kind: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
