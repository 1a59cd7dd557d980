// swift-format-ignore-file
// Made by Scripts/embed-profiles from Profiles/systemd; change that.

/// The units of systemd as they are in Profiles/systemd.
enum EmbeddedUnits {
  static let system = #"""
# One agent as a service. /etc/agt/agents/NAME.yaml says what runs and in which ring; agt unit writes it.
#   systemctl enable --now agt-agent@NAME
[Unit]
Description=Agent %i in a privilege ring
Documentation=man:agt-run(1) man:agt-unit(1)
After=network.target
# Five starts a minute, then it stays failed.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/agt-run --agent-file /etc/agt/agents/%i.yaml --result-json %t/agt-agents/%i/result.json
# Values of the variables that the declaration takes over by name: env: [API_KEY]
EnvironmentFile=-/etc/agt/agents/%i.env
# The workspace of a declaration that names none.
StateDirectory=agt-agents/%i
StateDirectoryMode=0700
WorkingDirectory=%S/agt-agents/%i
# How the last run ended stays readable: /run/agt-agents/NAME/result.json
RuntimeDirectory=agt-agents/%i
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes

# READY when the agent was executed, WATCHDOG from the loop that supervises it.
WatchdogSec=30
# SIGTERM goes to the supervisor, which passes it on and gives the agent its grace; what is left after that is killed.
KillMode=mixed
# The cgroup below this unit is the supervisor's.
Delegate=yes

# Again after a failure or a missed watchdog. Not after 2 (a declaration that cannot be obeyed), 126 (refused), 127 (no
# such program), 137 (killed by the switch, by policy or by its own SIGKILL) and 159 (a call of a foreign ABI): a
# second start would do the same again.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 126 127 137 159
# Ended by SIGHUP, SIGINT, SIGPIPE or SIGTERM, as systemd itself counts them.
SuccessExitStatus=129 130 141 143

# What a supervisor of root needs to make rings, and nothing more. There are no settings here that are system call
# filters (SystemCallFilter=, LockPersonality=, ProtectClock=, RestrictNamespaces=, …): the agent would inherit them, their
# refusals would win over the ring's own, and a forbidden call would no longer be reported.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_SETFCAP CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_KILL CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_SYS_CHROOT CAP_MKNOD
NoNewPrivileges=yes
ProtectSystem=full
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""#

  static let user = #"""
# One agent as a service of a user. ~/.config/agt/agents/NAME.yaml says what runs and in which ring; agt unit writes it.
#   systemctl --user enable --now agt-agent@NAME
[Unit]
Description=Agent %i in a privilege ring
Documentation=man:agt-run(1) man:agt-unit(1)
# Five starts a minute, then it stays failed.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/agt-run --agent-file %E/agt/agents/%i.yaml --result-json %t/agt-agents/%i/result.json
# Values of the variables that the declaration takes over by name: env: [API_KEY]
EnvironmentFile=-%E/agt/agents/%i.env
# The workspace of a declaration that names none.
StateDirectory=agt-agents/%i
StateDirectoryMode=0700
WorkingDirectory=%S/agt-agents/%i
# How the last run ended stays readable: $XDG_RUNTIME_DIR/agt-agents/NAME/result.json
RuntimeDirectory=agt-agents/%i
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes

# READY when the agent was executed, WATCHDOG from the loop that supervises it.
WatchdogSec=30
# SIGTERM goes to the supervisor, which passes it on and gives the agent its grace; what is left after that is killed.
KillMode=mixed
# The cgroup below this unit is the supervisor's.
Delegate=yes

# As in the unit of the system: a second start would not help after 2, 126, 127, 137 and 159.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 126 127 137 159
SuccessExitStatus=129 130 141 143
LimitCORE=0

[Install]
WantedBy=default.target
"""#

}
