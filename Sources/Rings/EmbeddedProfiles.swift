// swift-format-ignore-file
// Made by Scripts/embed-profiles from Profiles/ring0.yaml … ring3.yaml; change those.

/// The shipped ring profiles as they are in Profiles/.
public enum EmbeddedProfiles {
  public struct Text: Sendable {
    /// The name for messages: `ring3.yaml (built in)`.
    public let file: String
    public let text: String
    /// SHA-256 of the text in lower-case hexadecimal digits.
    public let sha256: String
  }

  /// By ring, 0 … 3.
  public static let all = [ring0, ring1, ring2, ring3]

  public static let ring0 = Text(
    file: "ring0.yaml (built in)",
    text: #"""
# Ring 0: the operator's own ring, attested by a witness. Only what would take the kernel itself
# is refused. An agent never gets here.
apiVersion: agt-run/v1
kind: RingProfile
metadata:
  name: ring0
  description: the system itself; started by an operator only
ring: 0
root: host
namespaces: [pid, mount]

filesystem:
  workspace: rw
  proc: full

environment:
  pass: ["*"]

capabilities: inherited
network: host
landlock: {files: none, scope: [], tcp: allow}

syscalls:
  default: allow
  groups:
    - name: kernel image
      why: replaces or stops the kernel of the host
      violation: [kexec_load, kexec_file_load, reboot]
    - name: kernel modules
      why: code in the kernel
      violation: [init_module, finit_module, delete_module, create_module, query_module,
        get_kernel_syms]

limits:
  memory: none
  processes: none
  openFiles: none
  fileSize: none
  lockedMemory: none
  wall: none

requests: {perSecond: 100, burst: 200, concurrentTools: 32}

"""#,
    sha256: "9316a2997ab9a17b2df9e2deac204d570a3dd54a992a34c983a9950cda01792c")

  public static let ring1 = Text(
    file: "ring1.yaml (built in)",
    text: #"""
# Ring 1: approved elevation. It sees the host, changes the workspace and scratch space, and is
# refused what administers the kernel or the machine. Everything that ring 0 refuses stays refused.
apiVersion: agt-run/v1
kind: RingProfile
metadata:
  name: ring1
  description: approved elevation; sees the host without its secrets, changes the workspace
extends: ring0
ring: 1
namespaces: [pid, mount, ipc, uts, cgroup]

filesystem:
  workspace: rw
  proc: masked
  read:
    - {path: /usr, why: "the system is for reading"}
    - {path: /bin, optional: true, why: "the system is for reading"}
    - {path: /sbin, optional: true, why: "the system is for reading"}
    - {path: /lib, optional: true, why: "the system is for reading"}
    - {path: /lib32, optional: true, why: "the system is for reading"}
    - {path: /lib64, optional: true, why: "the system is for reading"}
    - {path: /libx32, optional: true, why: "the system is for reading"}
    - {path: /boot, optional: true, why: "the kernel's image is for reading"}
    - {path: /etc, why: "configuration is for reading"}
    - {path: /opt, optional: true, why: "the system is for reading"}
  write:
    - {path: /tmp, why: "scratch space of the host"}
    - {path: /var/tmp, optional: true, why: "scratch space of the host"}
  hide:
    - {path: /sys, optional: true, why: "switches of the kernel and its devices"}
    - {path: /boot/efi, optional: true, why: "what the machine starts"}
    - {path: /etc/shadow, optional: true, why: "password hashes"}
    - {path: /etc/shadow-, optional: true, why: "password hashes"}
    - {path: /etc/gshadow, optional: true, why: "password hashes"}
    - {path: /etc/gshadow-, optional: true, why: "password hashes"}
    - {path: /etc/security/opasswd, optional: true, why: "password hashes"}
    - {path: /etc/sudoers, optional: true, why: "who may become root"}
    - {path: /etc/sudoers.d, optional: true, why: "who may become root"}
    - {path: /etc/ssh, optional: true, why: "host keys"}
    - {path: /etc/ssl/private, optional: true, why: "private keys"}
    - {path: /etc/pki/tls/private, optional: true, why: "private keys (Fedora)"}
    - {path: /etc/letsencrypt, optional: true, why: "private keys"}
    - {path: /etc/wireguard, optional: true, why: "private keys"}
    - {path: /etc/openvpn, optional: true, why: "private keys"}
    - {path: /etc/ipsec.secrets, optional: true, why: "private keys"}
    - {path: /etc/NetworkManager/system-connections, optional: true, why: "passwords of networks"}
    - {path: /etc/netplan, optional: true, why: "passwords of networks"}
    - {path: /etc/wpa_supplicant, optional: true, why: "passwords of networks"}
    - {path: /etc/krb5.keytab, optional: true, why: "the host's Kerberos keys"}
    - {path: /etc/kubernetes, optional: true, why: "keys of the cluster"}
    - {path: /etc/rancher, optional: true, why: "keys of the cluster"}
    - {path: /etc/docker, optional: true, why: "the container engine's configuration and keys"}
    - {path: /etc/apt/auth.conf, optional: true, why: "passwords of package sources"}
    - {path: /etc/apt/auth.conf.d, optional: true, why: "passwords of package sources"}
    - {path: /etc/credstore, optional: true, why: "credentials of services"}
    - {path: /etc/credstore.encrypted, optional: true, why: "credentials of services"}
    - {path: /etc/agt, optional: true, why: "the supervisor's policies and keys"}
    - {path: /var/lib/agt, optional: true, why: "the supervisor's audit log and journals"}
    - {path: /run/agt, optional: true, why: "the supervisor's sockets"}
    - {path: /var/lib/docker, optional: true, why: "other containers' files"}
    - {path: /var/lib/containers, optional: true, why: "other containers' files"}
    - {path: /var/lib/containerd, optional: true, why: "other containers' files"}
    - {path: /var/lib/kubelet, optional: true, why: "other pods' files and keys"}
    - {path: /var/lib/systemd/credential.secret, optional: true, why: "the host's credential key"}
    - {path: /var/lib/sss, optional: true, why: "cached passwords"}
    - {path: /var/backups, optional: true, why: "copies of password files"}
    - {path: /var/spool/cron, optional: true, why: "other users' jobs"}
    - {path: /var/mail, optional: true, why: "other users' mail"}
    - {path: /var/log/audit, optional: true, why: "the host's audit log"}
    - {path: /run/docker.sock, optional: true, why: "whoever reaches it is root on the host"}
    - {path: /run/docker, optional: true, why: "the container engine's sockets"}
    - {path: /run/containerd, optional: true, why: "the container engine's sockets"}
    - {path: /run/podman, optional: true, why: "the container engine's sockets"}
    - {path: /run/crio, optional: true, why: "the container engine's sockets"}
    - {path: /run/dbus, optional: true, why: "the message bus starts programs outside"}
    - {path: /run/systemd/private, optional: true, why: "the service manager starts programs outside"}
    - {path: /run/systemd/io.systemd.Manager, optional: true, why: "the service manager starts programs outside"}
    - {path: /run/systemd/io.systemd.MountFileSystem, optional: true, why: "the service manager mounts for callers"}
    - {path: /run/systemd/io.systemd.NamespaceResource, optional: true, why: "the service manager makes namespaces for callers"}
    - {path: /run/systemd/io.systemd.Credentials, optional: true, why: "credentials of services"}
    - {path: /run/systemd/notify, optional: true, why: "speaks in the name of services"}
    - {path: /run/systemd/journal, optional: true, why: "the host's log"}
    - {path: /run/systemd/machines, optional: true, why: "virtual machines and containers"}
    - {path: /run/systemd/nspawn, optional: true, why: "virtual machines and containers"}
    - {path: /run/systemd/unit-root, optional: true, why: "other services' files"}
    - {path: /run/user, optional: true, why: "users' message buses, agents and displays"}
    - {path: /run/credentials, optional: true, why: "credentials of services"}
    - {path: /run/secrets, optional: true, why: "secrets of a container"}
    - {path: /run/libvirt, optional: true, why: "virtual machines are started outside"}
    - {path: /run/snapd.socket, optional: true, why: "packages are installed outside"}
    - {path: /run/snapd-snap.socket, optional: true, why: "packages are installed outside"}
    - {path: /run/cups, optional: true, why: "the printing service"}
    - {path: /run/screen, optional: true, why: "other users' terminals"}
    - {path: /run/tmux, optional: true, why: "other users' terminals"}
    - {path: /run/uuidd, optional: true, why: "a service outside"}
    - {path: /run/pcscd, optional: true, why: "smart cards"}
    - {path: /run/lxd.socket, optional: true, why: "containers are started outside"}
    - {path: /var/snap/lxd/common/lxd, optional: true, why: "containers are started outside"}
    - {path: /var/lib/lxd, optional: true, why: "containers are started outside"}
    - {path: /var/lib/incus, optional: true, why: "containers are started outside"}
    - {path: /run/incus, optional: true, why: "containers are started outside"}
    - {path: /nix/var/nix/daemon-socket, optional: true, why: "builds are started outside"}
    - {path: /run/k3s, optional: true, why: "the container engine's sockets"}
    - {path: /tmp/.X11-unix, optional: true, why: "the display sees and types every key"}
    - {path: /tmp/.ICE-unix, optional: true, why: "the session manager starts programs outside"}
    - {path: ~/.ssh, optional: true, why: "private keys"}
    - {path: ~/.gnupg, optional: true, why: "private keys"}
    - {path: ~/.pki, optional: true, why: "private keys"}
    - {path: ~/.aws, optional: true, why: "cloud credentials"}
    - {path: ~/.azure, optional: true, why: "cloud credentials"}
    - {path: ~/.oci, optional: true, why: "cloud credentials"}
    - {path: ~/.config/gcloud, optional: true, why: "cloud credentials"}
    - {path: ~/.config/doctl, optional: true, why: "cloud credentials"}
    - {path: ~/.config/hcloud, optional: true, why: "cloud credentials"}
    - {path: ~/.kube, optional: true, why: "keys of clusters"}
    - {path: ~/.docker, optional: true, why: "passwords of registries"}
    - {path: ~/.config/containers, optional: true, why: "passwords of registries"}
    - {path: ~/.config/gh, optional: true, why: "tokens of code hosts"}
    - {path: ~/.config/glab-cli, optional: true, why: "tokens of code hosts"}
    - {path: ~/.config/hub, optional: true, why: "tokens of code hosts"}
    - {path: ~/.config/git/credentials, optional: true, why: "tokens of code hosts"}
    - {path: ~/.git-credentials, optional: true, why: "tokens of code hosts"}
    - {path: ~/.netrc, optional: true, why: "passwords of servers"}
    - {path: ~/.pgpass, optional: true, why: "passwords of databases"}
    - {path: ~/.my.cnf, optional: true, why: "passwords of databases"}
    - {path: ~/.mylogin.cnf, optional: true, why: "passwords of databases"}
    - {path: ~/.npmrc, optional: true, why: "tokens of package registries"}
    - {path: ~/.yarnrc.yml, optional: true, why: "tokens of package registries"}
    - {path: ~/.pypirc, optional: true, why: "tokens of package registries"}
    - {path: ~/.config/pip, optional: true, why: "tokens of package registries"}
    - {path: ~/.cargo/credentials, optional: true, why: "tokens of package registries"}
    - {path: ~/.cargo/credentials.toml, optional: true, why: "tokens of package registries"}
    - {path: ~/.gem/credentials, optional: true, why: "tokens of package registries"}
    - {path: ~/.m2/settings.xml, optional: true, why: "tokens of package registries"}
    - {path: ~/.m2/settings-security.xml, optional: true, why: "tokens of package registries"}
    - {path: ~/.gradle/gradle.properties, optional: true, why: "tokens of package registries"}
    - {path: ~/.nuget, optional: true, why: "tokens of package registries"}
    - {path: ~/.composer/auth.json, optional: true, why: "tokens of package registries"}
    - {path: ~/.terraform.d, optional: true, why: "tokens of infrastructure"}
    - {path: ~/.vault-token, optional: true, why: "a token of the secret store"}
    - {path: ~/.config/op, optional: true, why: "the password manager"}
    - {path: ~/.config/Bitwarden, optional: true, why: "the password manager"}
    - {path: ~/.password-store, optional: true, why: "the password manager"}
    - {path: ~/.local/share/keyrings, optional: true, why: "the password manager"}
    - {path: ~/.local/share/kwalletd, optional: true, why: "the password manager"}
    - {path: ~/.config/rclone, optional: true, why: "passwords of storage"}
    - {path: ~/.config/age, optional: true, why: "private keys"}
    - {path: ~/.config/sops, optional: true, why: "private keys"}
    - {path: ~/.huggingface, optional: true, why: "a token of the model hub"}
    - {path: ~/.cache/huggingface/token, optional: true, why: "a token of the model hub"}
    - {path: ~/.config/openai, optional: true, why: "keys of model providers"}
    - {path: ~/.claude, optional: true, why: "an assistant's tokens and transcripts"}
    - {path: ~/.claude.json, optional: true, why: "an assistant's tokens"}
    - {path: ~/.codex, optional: true, why: "an assistant's tokens and transcripts"}
    - {path: ~/.gemini, optional: true, why: "an assistant's tokens and transcripts"}
    - {path: ~/.config/github-copilot, optional: true, why: "an assistant's tokens"}
    - {path: ~/.mozilla, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.thunderbird, optional: true, why: "mail and its passwords"}
    - {path: ~/.config/google-chrome, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.config/chromium, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.config/BraveSoftware, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.config/microsoft-edge, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.config/vivaldi, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.config/opera, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/snap/firefox, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/snap/chromium, optional: true, why: "passwords and sessions of the browser"}
    - {path: ~/.var/app, optional: true, why: "data of sandboxed programs"}
    - {path: ~/.config/Slack, optional: true, why: "sessions of the messenger"}
    - {path: ~/.config/discord, optional: true, why: "sessions of the messenger"}
    - {path: ~/.config/Signal, optional: true, why: "sessions of the messenger"}
    - {path: ~/.local/share/TelegramDesktop, optional: true, why: "sessions of the messenger"}
    - {path: ~/.electrum, optional: true, why: "a wallet"}
    - {path: ~/.bitcoin, optional: true, why: "a wallet"}
    - {path: ~/.ethereum, optional: true, why: "a wallet"}
    - {path: ~/.bash_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.zsh_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.local/share/fish/fish_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.python_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.node_repl_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.psql_history, optional: true, why: "commands with passwords in them"}
    - {path: ~/.Xauthority, optional: true, why: "the key of the display"}
    - {path: ~/.cache/agt, optional: true, why: "the supervisor's compiled profiles"}
    - {path: ~/.local/state/agt, optional: true, why: "the supervisor's audit log and journals"}
    - {path: ~/.config/agt, optional: true, why: "the supervisor's policies and keys"}

environment:
  without: ["*"]
  pass: [LANG, "LC_*", LANGUAGE, TERM, TZ, COLORTERM, NO_COLOR, LINES, COLUMNS, EDITOR, VISUAL,
    PAGER, CI, GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL, PATH,
    HOME, USER, LOGNAME, SHELL, HOSTNAME, XDG_CONFIG_HOME,
    XDG_CACHE_HOME, XDG_DATA_HOME, XDG_STATE_HOME]

capabilities: none
landlock: {files: write, scope: [abstract-unix-socket], tcp: allow}

syscalls:
  groups:
    - name: mounting
      why: changes the view that hides secrets and sockets; the new calls too
      violation: [mount, umount2, pivot_root, fsopen, fsconfig, fsmount, fspick, move_mount,
        mount_setattr, open_tree, open_tree_attr]
    - name: programmable kernel
      why: verifiers and samplers run for the caller inside the kernel and measure others
      violation: [bpf, perf_event_open, lookup_dcookie]
    - name: io_uring
      why: a second way to every system call, which no filter sees; callers fall back at ENOSYS
      fail: {errno: ENOSYS, calls: [io_uring_setup, io_uring_enter, io_uring_register]}
    - name: keyrings
      why: keys belong to no namespace; request_key starts a helper as root (CVE-2026-46243)
      violation: [add_key, request_key, keyctl]
    - name: host state
      why: swap, quotas, accounting, the clock and I/O ports belong to the whole machine
      violation: [swapon, swapoff, acct, quotactl, quotactl_fd, settimeofday, clock_settime,
        vhangup, ioperm, iopl, nfsservctl]
      deny: [adjtimex, clock_adjtime]
    - name: file handles
      why: a handle opens files that the view hides (the shocker exploit)
      violation: [open_by_handle_at]
    - name: setuid files
      why: >-
        a file with a setuid or setgid bit in a shared workspace would run with its owner's rights
        for others; approved work does not need to make one
      deny:
        - {call: chmod, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmod, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmodat, when: [{argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmodat2, when: [{argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: creat, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - call: open
          when:
            - {argument: 1, mask: O_CREAT|O_TMPFILE, notIn: [0, O_DIRECTORY]}
            - {argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}
        - call: openat
          when:
            - {argument: 2, mask: O_CREAT|O_TMPFILE, notIn: [0, O_DIRECTORY]}
            - {argument: 3, mask: S_ISUID|S_ISGID, notIn: [0]}
    - name: openat2
      why: >-
        its mode is behind a pointer, where setuid bits cannot be seen; callers fall back to openat
      fail: {errno: ENOSYS, calls: [openat2]}
    - name: special files
      why: >-
        pipes and sockets with names are ordinary; devices are not, and mknod makes setuid files too
      allow:
        - call: mknod
          when: [{argument: 1, mask: S_IFMT|S_ISUID|S_ISGID, in: [0, S_IFREG, S_IFIFO, S_IFSOCK]}]
        - call: mknodat
          when: [{argument: 2, mask: S_IFMT|S_ISUID|S_ISGID, in: [0, S_IFREG, S_IFIFO, S_IFSOCK]}]
      deny: [mknod, mknodat]
    - name: introspection
      why: a tracer can make a weaker process act for it, or suspend its filter (CVE-2022-30594)
      violation: [ptrace]
    - name: user namespaces
      why: >-
        a new user namespace gives every capability inside it and with them the kernel's least
        tested code. The flags of clone3 are behind a pointer; callers fall back to clone at ENOSYS
      violation:
        - {call: clone, when: [{argument: 0, mask: CLONE_NEWUSER, notIn: [0]}]}
        - {call: unshare, when: [{argument: 0, mask: CLONE_NEWUSER, notIn: [0]}]}
        - {call: setns, when: [{argument: 1, mask: CLONE_NEWUSER, notIn: [0]}]}
        - {call: setns, when: [{argument: 1, in: [0]}]}
      fail: {errno: ENOSYS, calls: [clone3]}
    - name: terminal takeover
      why: TIOCSTI and TIOCLINUX type into the terminal's other users; compared on 32 bits
      violation:
        - {call: ioctl, when: [{argument: 1, in: [TIOCSTI, TIOCLINUX]}]}
    - name: socket families
      why: local sockets, IPv4, IPv6 and the routing table; the rest is kernel attack surface
      violation:
        - call: socket
          when: [{argument: 0, notIn: [AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK]}]
        - {call: socketpair, when: [{argument: 0, notIn: [AF_UNIX]}]}
      deny:
        - call: socket
          when:
            - {argument: 0, in: [AF_INET, AF_INET6]}
            - {argument: 1, mask: 0xf, notIn: [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]}
      fail:
        errno: EPROTONOSUPPORT
        calls:
          - call: socket
            when:
              - {argument: 0, in: [AF_NETLINK]}
              - {argument: 2, notIn: [NETLINK_ROUTE]}

limits:
  processes: 4096

requests: {perSecond: 50, burst: 100, concurrentTools: 16}

"""#,
    sha256: "173bd7d6788071498070f34eba39c83116ee79ec6b22403572425fd5e72e4c32")

  public static let ring2 = Text(
    file: "ring2.yaml (built in)",
    text: #"""
# Ring 2: reversible work. Builds, tests and edits in the workspace, starts processes, and reaches
# what policy names through the broker. Everything that ring 3 refuses and this file does not name
# stays refused.
apiVersion: agt-run/v1
kind: RingProfile
metadata:
  name: ring2
  description: reversible work; changes the workspace, starts processes, reaches what policy names
extends: ring3
ring: 2

filesystem:
  workspace: rw
  read:
    - {path: /opt, optional: true, why: "toolchains and vendors' programs"}
    - {path: /etc/nanorc, optional: true, why: "settings of the editor"}
    - {path: /etc/vim, optional: true, why: "settings of the editor"}
    - {path: /etc/emacs, optional: true, why: "settings of the editor"}
    - {path: /etc/tmux.conf, optional: true, why: "settings of tmux"}
    - {path: /etc/screenrc, optional: true, why: "settings of screen"}
    - {path: /etc/manpath.config, optional: true, why: "where manual pages are"}
    - {path: /etc/rpc, optional: true, why: "names of services"}
    - {path: /etc/ethertypes, optional: true, why: "names of protocols"}
    - {path: /etc/debconf.conf, optional: true, why: "read by packaging tools"}
    - {path: /etc/dpkg, optional: true, why: "read by packaging tools"}
  scratch: {size: 2GiB, inodes: 1048576, exec: true}

environment:
  pass: [LINES, COLUMNS, EDITOR, VISUAL, PAGER, CI, GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL,
    GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL]

network: loopback
landlock: {files: full, scope: [abstract-unix-socket], tcp: allow}

syscalls:
  groups:
    - name: processes
      why: >-
        builds and shells start processes, as many as the limit allows. The flags of clone3 are
        behind a pointer; the C library falls back to clone at ENOSYS
      allow: [clone, fork, vfork]
      fail: {errno: ENOSYS, calls: [clone3]}
    - name: ownership
      why: install and tar set owners; without capabilities only the caller's own
      allow: [chown, fchown, lchown, fchownat]
    - name: credentials
      why: >-
        posix_spawn, which make uses, sets the effective ids to the real ones; other changes stay
        refused, and without capabilities the kernel knows no other id to change to
      allow:
        - call: setresuid
          when: [{argument: 0, in: [0xffffffff]}, {argument: 2, in: [0xffffffff]}]
        - call: setresgid
          when: [{argument: 0, in: [0xffffffff]}, {argument: 2, in: [0xffffffff]}]
      deny: [setuid, setgid, setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid,
        setgroups, capset]
    - name: socket families
      why: >-
        local sockets, TCP and UDP, which end at the broker, and the routing table, which
        getifaddrs reads; every other family is kernel attack surface
      violation:
        - call: socket
          when: [{argument: 0, notIn: [AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK]}]
      allow:
        - call: socket
          when:
            - {argument: 0, in: [AF_UNIX]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]}
        - call: socket
          when:
            - {argument: 0, in: [AF_INET, AF_INET6]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_DGRAM]}
            - {argument: 2, in: [0, IPPROTO_TCP, IPPROTO_UDP]}
        - call: socket
          when:
            - {argument: 0, in: [AF_NETLINK]}
            - {argument: 1, mask: 0xf, in: [SOCK_DGRAM, SOCK_RAW]}
            - {argument: 2, in: [NETLINK_ROUTE]}
        - call: socketpair
          when:
            - {argument: 0, in: [AF_UNIX]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]}
      fail: {errno: EAFNOSUPPORT, calls: [socket, socketpair]}
    - name: sockets
      why: >-
        the processes of the ring connect to each other; what leaves ends at the broker
      allow: [bind, listen, accept, accept4, connect, getsockname, getpeername, getsockopt,
        setsockopt, shutdown, sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg]
    - name: urgent data and fast open
      why: >-
        telnet, ftp and old rsh use urgent data, and TCP stacks fast open; both end at the broker
      allow: [sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg]
    - name: device control
      why: >-
        terminal multiplexers, debuggers and file systems use many commands; /dev holds no device
        but terminals and random numbers, and terminal takeover stays refused
      allow: [ioctl]
    - name: process control
      why: >-
        the list of ring 3, and what build tools and language runtimes set for themselves
      allow:
        - call: prctl
          when:
            - argument: 0
              in: [PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE,
                PR_GET_UNALIGN, PR_SET_UNALIGN, PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_SET_NAME,
                PR_GET_NAME, PR_GET_TIMING, PR_SET_TIMING, PR_GET_SECCOMP, PR_CAPBSET_READ,
                PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC, PR_GET_SECUREBITS, PR_SET_TIMERSLACK,
                PR_GET_TIMERSLACK, PR_TASK_PERF_EVENTS_DISABLE, PR_MCE_KILL_GET,
                PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
                PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
                PR_SVE_SET_VL, PR_SVE_GET_VL, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL,
                PR_PAC_RESET_KEYS, PR_SET_TAGGED_ADDR_CTRL, PR_GET_TAGGED_ADDR_CTRL, PR_SET_MDWE,
                PR_GET_MDWE, PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE, PR_SET_VMA, PR_GET_AUXV]
        - call: prctl
          when:
            - {argument: 0, in: [PR_CAP_AMBIENT]}
            - {argument: 1, in: [PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_CLEAR_ALL,
                PR_CAP_AMBIENT_LOWER]}
      fail: {errno: EINVAL, calls: [prctl]}
    - name: personality
      why: debuggers and test suites switch address randomisation off for a process of their own
      allow:
        - call: personality
          when: [{argument: 0, wide: true, in: [PER_LINUX, ADDR_NO_RANDOMIZE, PER_QUERY]}]
      deny: [personality]
    - name: System V and POSIX messages
      why: >-
        databases and test suites share memory, semaphores and queues; the ipc namespace bounds them
      allow: [shmget, shmat, shmdt, shmctl, semget, semop, semtimedop, semctl, msgget, msgsnd,
        msgrcv, msgctl, mq_open, mq_unlink, mq_timedsend, mq_timedreceive, mq_notify,
        mq_getsetattr]
    - name: scheduling
      why: build tools lower their own priority
      allow: [sched_setparam, sched_setscheduler, sched_setattr, ioprio_set]
    - name: flushing
      why: package managers and databases flush whole file systems
      allow: [sync, syncfs]
    - name: memory placement
      why: numerical libraries choose nodes for memory of their own
      allow: [mbind, set_mempolicy, get_mempolicy, set_mempolicy_home_node]
      fail: {errno: ENOSYS, calls: [migrate_pages, move_pages, cachestat]}
    - name: zero copy
      why: file servers and copy tools move data between pipes and files
      allow: [tee, splice]
      fail: {errno: ENOSYS, calls: [vmsplice]}
    - name: new calls
      why: C libraries of 2025 and later use the new locks, attributes and shadow stacks
      allow: [map_shadow_stack, futex_wait, futex_wake, futex_requeue, setxattrat, getxattrat,
        listxattrat, removexattrat, file_getattr]
      fail:
        errno: ENOSYS
        calls: [memfd_secret, lsm_get_self_attr, lsm_list_modules, file_setattr]

limits:
  memory: 4GiB
  processes: 512
  openFiles: 4096
  fileSize: 16GiB
  lockedMemory: 8MiB
  wall: 1h

requests: {perSecond: 20, burst: 40, concurrentTools: 8}

reasons:
  ring: ring 2 holds ring 3 and what reversible work needs besides
  filesystem.workspace: its work is to change the workspace
  filesystem.scratch: build trees and caches are larger, and configure scripts run what they compile
  environment.pass: what editors, terminals and git take from the caller; no secret has these names
  network: connections go to the broker's relay, which policy opens
  landlock: with many processes, signals and sockets between them are ordinary
  limits: a build needs more of everything
  requests: the published rate of this ring

"""#,
    sha256: "3957eff0bc5f7b1f9c713ad89810bace40511cdf86064a072cc8325acc5f00c0")

  public static let ring3 = Text(
    file: "ring3.yaml (built in)",
    text: #"""
# Ring 3, the default: unknown code. It reads the workspace and the system's programs, computes,
# writes into scratch space that vanishes with it, and talks to nobody but the broker.
#
# Of the rules that name a system call, those with conditions are tried before those without, and
# of two that hold the refusal wins. `violation` refuses with EPERM and tells the supervisor;
# `deny` (EPERM) and `fail` (another errno) refuse in silence, for what honest programs try.
apiVersion: agt-run/v1
kind: RingProfile
metadata:
  name: ring3
  description: unknown code; reads the workspace, computes, talks to nobody
ring: 3
root: private
namespaces: [user, pid, mount, network, ipc, uts, cgroup]

filesystem:
  workspace: ro
  proc: masked
  read:
    - {path: /usr, why: "programs, libraries, interpreters and their data"}
    - {path: /bin, optional: true, why: "programs; a symbolic link on a merged /usr"}
    - {path: /sbin, optional: true, why: "programs; a symbolic link on a merged /usr"}
    - {path: /lib, optional: true, why: "libraries and the dynamic loader"}
    - {path: /lib32, optional: true, why: "a symbolic link that tools expect beside /lib"}
    - {path: /lib64, optional: true, why: "the dynamic loader's path in every x86-64 program"}
    - {path: /libx32, optional: true, why: "a symbolic link that tools expect beside /lib"}
    - {path: /etc/ld.so.cache, optional: true, why: "where the dynamic loader finds libraries"}
    - {path: /etc/ld.so.conf, optional: true, why: "library directories, read when the cache lacks one"}
    - {path: /etc/ld.so.conf.d, optional: true, why: "library directories, read when the cache lacks one"}
    - {path: /etc/alternatives, optional: true, why: "the links behind awk, java, editor and others"}
    - {path: /etc/ssl/certs, optional: true, why: "public certificate authorities (Debian, SUSE)"}
    - {path: /etc/ssl/openssl.cnf, optional: true, why: "OpenSSL reads it on start; the keys beside it stay out"}
    - {path: /etc/ca-certificates, optional: true, why: "public certificate authorities, their own format"}
    - {path: /etc/ca-certificates.conf, optional: true, why: "which certificate authorities are trusted"}
    - {path: /etc/pki/tls/certs, optional: true, why: "public certificate authorities (Fedora)"}
    - {path: /etc/pki/tls/cert.pem, optional: true, why: "public certificate authorities (Fedora)"}
    - {path: /etc/pki/tls/openssl.cnf, optional: true, why: "OpenSSL reads it on start (Fedora)"}
    - {path: /etc/pki/ca-trust/extracted, optional: true, why: "public certificate authorities (Fedora)"}
    - {path: /etc/crypto-policies, optional: true, why: "which ciphers libraries offer (Fedora)"}
    - {path: /etc/localtime, optional: true, why: "the time zone"}
    - {path: /etc/timezone, optional: true, why: "the time zone's name"}
    - {path: /etc/locale.alias, optional: true, why: "names of locales, read by setlocale"}
    - {path: /etc/mime.types, optional: true, why: "file types, read by Python's mimetypes"}
    - {path: /etc/magic, optional: true, why: "file types, read by file(1)"}
    - {path: /etc/services, optional: true, why: "names of ports"}
    - {path: /etc/protocols, optional: true, why: "names of protocols"}
    - {path: /etc/gai.conf, optional: true, why: "how addresses are ordered"}
    - {path: /etc/host.conf, optional: true, why: "how names are looked up"}
    - {path: /etc/os-release, optional: true, why: "which system this is"}
    - {path: /etc/debian_version, optional: true, why: "which system this is"}
    - {path: /etc/lsb-release, optional: true, why: "which system this is"}
    - {path: /etc/fonts, optional: true, why: "fontconfig, used by plotting libraries"}
    - {path: /etc/terminfo, optional: true, why: "what the terminal can do"}
    - {path: /etc/inputrc, optional: true, why: "keys of line editing"}
    - {path: /etc/bash.bashrc, optional: true, why: "what an interactive shell reads on start"}
    - {path: /etc/perl, optional: true, why: "Perl's own configuration and modules"}
    - {path: /etc/python3, optional: true, why: "Python's own configuration"}
    - {path: /etc/python3.9, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/python3.10, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/python3.11, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/python3.12, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/python3.13, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/python3.14, optional: true, why: "Python's sitecustomize"}
    - {path: /etc/java, optional: true, why: "Java's own configuration"}
    - {path: /etc/java-8-openjdk, optional: true, why: "Java does not start without it"}
    - {path: /etc/java-11-openjdk, optional: true, why: "Java does not start without it"}
    - {path: /etc/java-17-openjdk, optional: true, why: "Java does not start without it"}
    - {path: /etc/java-21-openjdk, optional: true, why: "Java does not start without it"}
    - {path: /etc/java-25-openjdk, optional: true, why: "Java does not start without it"}
  scratch: {size: 256MiB, inodes: 65536, exec: false}

environment:
  pass: [LANG, "LC_*", LANGUAGE, TERM, TZ, COLORTERM, NO_COLOR]
  set: {PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}

capabilities: none
network: none
landlock: {files: full, scope: [signal, abstract-unix-socket], tcp: deny}

syscalls:
  default: ENOSYS
  groups:
    - name: files
      why: >-
        opening and reading files; what may be opened is decided by the mount namespace and Landlock
      allow: [open, openat, close, close_range, read, readv, pread64, preadv, preadv2, lseek,
        stat, fstat, lstat, newfstatat, statx, statfs, fstatfs, access, faccessat, faccessat2,
        readlink, readlinkat, getdents, getdents64, getcwd, chdir, fchdir, dup, dup2, dup3, fcntl,
        flock, fadvise64, readahead, getxattr, lgetxattr, fgetxattr, listxattr, llistxattr,
        flistxattr]
    - name: file changes
      why: >-
        writing into scratch space; the workspace and the system are mounted read-only
      allow: [creat, write, writev, pwrite64, pwritev, pwritev2, truncate, ftruncate, fallocate,
        fsync, fdatasync, sync_file_range, rename, renameat, renameat2, mkdir, mkdirat, rmdir,
        unlink, unlinkat, link, linkat, symlink, symlinkat, chmod, fchmod, fchmodat, fchmodat2,
        umask, utime, utimes, futimesat, utimensat, setxattr, lsetxattr, fsetxattr, removexattr,
        lremovexattr, fremovexattr, sendfile, copy_file_range]
    - name: setuid files
      why: >-
        a file with a setuid or setgid bit in a shared workspace would run with its owner's rights
        for others; no tool needs to make one
      deny:
        - {call: chmod, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmod, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmodat, when: [{argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: fchmodat2, when: [{argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - {call: creat, when: [{argument: 1, mask: S_ISUID|S_ISGID, notIn: [0]}]}
        - call: open
          when:
            - {argument: 1, mask: O_CREAT|O_TMPFILE, notIn: [0, O_DIRECTORY]}
            - {argument: 2, mask: S_ISUID|S_ISGID, notIn: [0]}
        - call: openat
          when:
            - {argument: 2, mask: O_CREAT|O_TMPFILE, notIn: [0, O_DIRECTORY]}
            - {argument: 3, mask: S_ISUID|S_ISGID, notIn: [0]}
    - name: openat2
      why: >-
        its mode is behind a pointer, where setuid bits cannot be seen; callers fall back to openat
      fail: {errno: ENOSYS, calls: [openat2]}
    - name: special files
      why: >-
        pipes and sockets with names are ordinary; devices are not, and mknod makes setuid files too
      allow:
        - call: mknod
          when: [{argument: 1, mask: S_IFMT|S_ISUID|S_ISGID, in: [0, S_IFREG, S_IFIFO, S_IFSOCK]}]
        - call: mknodat
          when: [{argument: 2, mask: S_IFMT|S_ISUID|S_ISGID, in: [0, S_IFREG, S_IFIFO, S_IFSOCK]}]
      deny: [mknod, mknodat]
    - name: ownership
      why: there is one user inside; nothing can be given away
      deny: [chown, fchown, lchown, fchownat]
    - name: memory
      why: memory of the process itself
      allow: [mmap, munmap, mremap, mprotect, madvise, brk, msync, mincore, mlock, mlock2, munlock,
        mlockall, munlockall, mseal, pkey_alloc, pkey_free, pkey_mprotect, membarrier]
    - name: memory files
      why: >-
        memory that is shared by descriptor; it must be sealed against execution, because a program
        that no path names would pass every path rule. EACCES is what vm.memfd_noexec=2 answers
      allow:
        - call: memfd_create
          when: [{argument: 1, mask: MFD_NOEXEC_SEAL|MFD_EXEC, in: [MFD_NOEXEC_SEAL]}]
      fail: {errno: EACCES, calls: [memfd_create]}
    - name: threads
      why: threads of the process itself, their locks and their places on processors
      allow: [futex, futex_waitv, set_robust_list, get_robust_list, set_tid_address, gettid, rseq,
        sched_yield, sched_getaffinity, sched_setaffinity, sched_getparam, sched_getscheduler,
        sched_get_priority_max, sched_get_priority_min, sched_rr_get_interval, sched_getattr,
        getcpu, arch_prctl, set_thread_area, get_thread_area, restart_syscall]
    - name: processes
      why: >-
        one process: clone makes threads only. fork is refused for good (EPERM): at EAGAIN, the
        answer of a process limit, shells try again for a minute.
        The flags of clone3 are behind a pointer; the C library falls back to clone at ENOSYS
      allow:
        - call: clone
          when: [{argument: 0, mask: CLONE_THREAD, in: [CLONE_THREAD]}]
      deny: [clone, fork, vfork]
      fail: {errno: ENOSYS, calls: [clone3]}
    - name: namespaces
      why: >-
        a new user namespace gives every capability inside it and with them the kernel's least
        tested code (CVE-2022-0185, CVE-2024-1086, CVE-2023-0386)
      violation:
        - {call: clone, when: [{argument: 0, mask: CLONE_NEWANY, notIn: [0]}]}
        - unshare
        - setns
    - name: execution
      why: >-
        the launcher's own execve passes this filter, and a process may replace itself; a program
        without a path (AT_EMPTY_PATH) may not, and fexecve falls back to a path at ENOSYS
      allow:
        - execve
        - {call: execveat, when: [{argument: 4, mask: AT_EMPTY_PATH, in: [0]}]}
      fail: {errno: ENOSYS, calls: [execveat]}
    - name: process information
      why: a process learns about itself and bounds itself
      allow: [exit, exit_group, getpid, getppid, getpgrp, getpgid, setpgid, getsid, setsid, wait4,
        waitid, getuid, geteuid, getgid, getegid, getresuid, getresgid, getgroups, capget, uname,
        sysinfo, times, getrusage, getrlimit, setrlimit, prlimit64, getpriority, setpriority,
        ioprio_get, getrandom]
    - name: signals
      why: handlers, masks and signals; Landlock and the pid namespace bound who can be reached
      allow: [rt_sigaction, rt_sigprocmask, rt_sigreturn, rt_sigpending, rt_sigtimedwait,
        rt_sigsuspend, rt_sigqueueinfo, rt_tgsigqueueinfo, sigaltstack, kill, tkill, tgkill, pause,
        signalfd, signalfd4, pidfd_open, pidfd_send_signal]
    - name: time
      why: reading clocks, sleeping and timers
      allow: [time, gettimeofday, clock_gettime, clock_getres, nanosleep, clock_nanosleep, alarm,
        getitimer, setitimer, timer_create, timer_settime, timer_gettime, timer_getoverrun,
        timer_delete, timerfd_create, timerfd_settime, timerfd_gettime]
    - name: events
      why: event loops and pipes
      allow: [poll, ppoll, select, pselect6, epoll_create, epoll_create1, epoll_ctl, epoll_wait,
        epoll_pwait, epoll_pwait2, eventfd, eventfd2, pipe, pipe2, inotify_init, inotify_init1,
        inotify_add_watch, inotify_rm_watch]
    - name: socket families
      why: >-
        event loops need Unix socket pairs, and libraries try whether IPv4 and IPv6 exist; both end
        in an empty network namespace. Every other family is kernel attack surface
        (CVE-2026-31431 AF_ALG, CVE-2026-43284 AF_RXRPC, CVE-2016-8655 AF_PACKET), and protocols
        beside TCP and UDP pass Landlock's network rules unseen (MPTCP)
      violation:
        - call: socket
          when: [{argument: 0, notIn: [AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK]}]
      allow:
        - call: socket
          when:
            - {argument: 0, in: [AF_UNIX]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_SEQPACKET]}
        - call: socket
          when:
            - {argument: 0, in: [AF_INET, AF_INET6]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_DGRAM]}
            - {argument: 2, in: [0, IPPROTO_TCP, IPPROTO_UDP]}
        - call: socketpair
          when:
            - {argument: 0, in: [AF_UNIX]}
            - {argument: 1, mask: 0xf, in: [SOCK_STREAM, SOCK_SEQPACKET]}
      fail: {errno: EAFNOSUPPORT, calls: [socket, socketpair]}
    - name: sockets
      why: >-
        using the sockets that could be made, and the launcher's last message. Nothing is connected:
        a Unix socket that another program keeps in the workspace would be a way out that neither a
        read-only mount nor Landlock before ABI 9 closes; datagrams, which need no connect, are not
        made either
      allow: [bind, listen, accept, accept4, getsockname, getpeername, getsockopt, setsockopt,
        shutdown, sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg]
      fail: {errno: EACCES, calls: [connect]}
    - name: urgent data and fast open
      why: >-
        MSG_OOB on Unix sockets was reached from browser sandboxes (CVE-2025-38236), MSG_FASTOPEN
        connects without connect; neither is used by the programs that belong here
      fail:
        errno: EOPNOTSUPP
        calls:
          - {call: sendto, when: [{argument: 3, mask: MSG_OOB|MSG_FASTOPEN, notIn: [0]}]}
          - {call: sendmsg, when: [{argument: 2, mask: MSG_OOB|MSG_FASTOPEN, notIn: [0]}]}
          - {call: sendmmsg, when: [{argument: 3, mask: MSG_OOB|MSG_FASTOPEN, notIn: [0]}]}
          - {call: recvfrom, when: [{argument: 3, mask: MSG_OOB, notIn: [0]}]}
          - {call: recvmsg, when: [{argument: 2, mask: MSG_OOB, notIn: [0]}]}
          - {call: recvmmsg, when: [{argument: 3, mask: MSG_OOB, notIn: [0]}]}
    - name: device control
      why: >-
        terminals, pipes and files as ordinary programs use them; other drivers' commands are
        answered as a file without a driver answers
      allow:
        - call: ioctl
          when:
            - argument: 1
              in: [TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETS2, TCSETS2, TCSETSW2, TCSETSF2,
                TIOCGWINSZ, TIOCSWINSZ, TIOCGPGRP, TIOCSPGRP, TIOCGSID, TCSBRK, TCSBRKP, TCXONC,
                TCFLSH, TIOCOUTQ, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIOQSIZE,
                FICLONE, FICLONERANGE, FS_IOC_GETFLAGS]
      fail: {errno: ENOTTY, calls: [ioctl]}
    - name: terminal takeover
      why: >-
        TIOCSTI and TIOCLINUX type into the terminal's other users (CVE-2017-5226, CVE-2023-28100),
        TIOCSETD loads line disciplines (CVE-2017-2636); compared on the 32 bits that the kernel
        reads (CVE-2019-10063)
      violation:
        - {call: ioctl, when: [{argument: 1, in: [TIOCSTI, TIOCLINUX, TIOCSETD]}]}
    - name: process control
      why: >-
        names, death signals, hints and questions; not a filter of its own, another tracer, moved
        memory areas or raised capabilities. EINVAL is a kernel's answer to an unknown option
      allow:
        - call: prctl
          when:
            - argument: 0
              in: [PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE,
                PR_GET_KEEPCAPS, PR_SET_NAME, PR_GET_NAME, PR_GET_TIMING, PR_GET_SECCOMP,
                PR_CAPBSET_READ, PR_GET_TSC, PR_GET_SECUREBITS, PR_SET_TIMERSLACK,
                PR_GET_TIMERSLACK, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER,
                PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
                PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SVE_GET_VL,
                PR_GET_TAGGED_ADDR_CTRL, PR_SET_MDWE, PR_GET_MDWE, PR_SET_VMA, PR_GET_AUXV]
        - call: prctl
          when:
            - {argument: 0, in: [PR_CAP_AMBIENT]}
            - {argument: 1, in: [PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_CLEAR_ALL]}
      fail: {errno: EINVAL, calls: [prctl]}
    - name: personality
      why: >-
        asking is harmless; ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC weaken the process, which no
        program here needs. All 64 bits are compared
      allow:
        - {call: personality, when: [{argument: 0, wide: true, in: [PER_LINUX, PER_QUERY]}]}
      deny: [personality]
    - name: own restrictions
      why: a program may confine itself further with Landlock
      allow: [landlock_create_ruleset, landlock_add_rule, landlock_restrict_self]
    - name: own filters
      why: >-
        a filter of the program's own could answer the notifications that belong to the supervisor;
        libraries take ENOSYS for a kernel without seccomp
      fail: {errno: ENOSYS, calls: [seccomp]}

    - name: mounting
      why: >-
        changes the view that contains the ring (CVE-2022-0492, CVE-2022-0185); the new calls too,
        which a list forgot in CVE-2021-41133
      violation: [mount, umount2, pivot_root, fsopen, fsconfig, fsmount, fspick, move_mount,
        mount_setattr, open_tree, open_tree_attr]
    - name: chroot
      why: a second chroot leaves the first
      violation: [chroot]
    - name: mount information
      why: the mounts of the host; tools fall back to /proc
      fail: {errno: ENOSYS, calls: [statmount, listmount]}
    - name: kernel image
      why: replaces or stops the kernel of the host
      violation: [kexec_load, kexec_file_load, reboot]
    - name: kernel modules
      why: code in the kernel
      violation: [init_module, finit_module, delete_module, create_module, query_module,
        get_kernel_syms]
    - name: programmable kernel
      why: verifiers and samplers run for the caller inside the kernel and measure others
      violation: [bpf, perf_event_open, lookup_dcookie]
    - name: io_uring
      why: >-
        a second way to every system call, which no filter sees; libuv and others try it and fall
        back at ENOSYS
      fail: {errno: ENOSYS, calls: [io_uring_setup, io_uring_enter, io_uring_register]}
    - name: race aids
      why: user-space page faults stretch races in the kernel
      deny: [userfaultfd]
    - name: keyrings
      why: keys belong to no namespace; request_key starts a helper as root (CVE-2026-46243)
      violation: [add_key, request_key, keyctl]
    - name: host state
      why: swap, quotas, accounting, the clock and I/O ports belong to the whole machine
      violation: [swapon, swapoff, acct, quotactl, quotactl_fd, settimeofday, clock_settime,
        vhangup, ioperm, iopl, nfsservctl]
      deny: [adjtimex, clock_adjtime]
    - name: host identity
      why: the host's name and log, and labels of security modules
      deny: [syslog, sethostname, setdomainname, lsm_set_self_attr]
    - name: introspection
      why: >-
        another process's memory and descriptors; a tracer can make a weaker process act for it
        or suspend its filter (CVE-2022-30594)
      violation: [ptrace, process_vm_readv, process_vm_writev, pidfd_getfd]
      deny: [process_madvise, process_mrelease, kcmp]
    - name: file handles
      why: a handle opens files outside the view (the shocker exploit)
      violation: [open_by_handle_at]
      fail: {errno: EOPNOTSUPP, calls: [name_to_handle_at]}
    - name: fanotify
      why: watches whole mounts
      deny: [fanotify_init, fanotify_mark]
    - name: credentials
      why: there is one user and no capability inside; nobody else can be become
      deny: [setuid, setgid, setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid,
        setgroups, capset]
    - name: legacy
      why: dead calls and segment tables
      fail:
        errno: ENOSYS
        calls: [modify_ldt, uselib, ustat, sysfs, vserver, _sysctl, afs_syscall, tuxcall, security,
          getpmsg, putpmsg, epoll_ctl_old, epoll_wait_old, remap_file_pages]
    - name: memory placement
      why: >-
        moves pages between nodes and tells what others have in the page cache; libraries take
        ENOSYS for a machine with one node
      fail:
        errno: ENOSYS
        calls: [mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages,
          set_mempolicy_home_node, cachestat]
    - name: zero copy
      why: >-
        pages moved between pipes and files were the means of Dirty Pipe and its kin; tools fall
        back to read and write
      fail: {errno: ENOSYS, calls: [vmsplice, tee, splice]}
    - name: new calls
      why: >-
        unused by the programs that belong here; the at-forms repeat calls that have rules above
      fail:
        errno: ENOSYS
        calls: [memfd_secret, map_shadow_stack, lsm_get_self_attr, lsm_list_modules, futex_wait,
          futex_wake, futex_requeue, setxattrat, getxattrat, listxattrat, removexattrat,
          file_getattr, file_setattr]

limits:
  memory: 512MiB
  processes: 64
  openFiles: 256
  fileSize: 256MiB
  lockedMemory: 64KiB
  wall: 10m

requests: {perSecond: 5, burst: 10, concurrentTools: 2}

"""#,
    sha256: "dcc51837228e83e439d271217b6a9e3ce4de7a458e487887a732493615647ccf")
}
