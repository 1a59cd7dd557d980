internal import CProbe
internal import Glibc

/// What must work: a sandbox in which nothing works looks contained.
let controlProbes: [Probe] = [
  Probe(control: "own-program", "read the own executable") { _ in readable("/proc/self/exe") },
  Probe(control: "own-status", "read /proc/self/status") { _ in readable("/proc/self/status") },
  Probe(control: "workspace-read", needs: [.planted], "read a file of the workspace") { _ in
    readable(workingDirectory() + "/planted-file")
  },
  Probe(control: "workspace-list", "list the workspace") { _ in
    .judged(names(in: workingDirectory()).result)
  },
  Probe(control: "scratch-write", "write a file in /tmp and read it") { _ in
    let path = scratchPath("control")
    let made = create(path, Array("probe".utf8))
    defer { unlink(path) }
    return made < 0 ? .judged(made) : readable(path)
  },
  Probe(control: "thread", "run four threads") { _ in .judged(Int(probe_threads(4))) },
  Probe(control: "socket-pair", "send through a Unix socket pair") { _ in
    guard let pair = socketPair() else { return .refused("socketpair") }
    return .judged(write(pair.0, [1]))
  },
  Probe(control: "pipe", "make a pipe") { _ in .judged(call(SYS_pipe2, Memory.zeroed(8), 0)) },
  Probe(control: "map", "map and unmap memory") { _ in
    let address = call(SYS_mmap, 0, 65536, 3, 0x22, -1, 0)
    return address < 0 ? .judged(address) : .judged(call(SYS_munmap, address, 65536))
  },
  Probe(control: "compile", "write code into memory and make it executable, as compilers do") { _ in
    let address = call(SYS_mmap, 0, 4096, 3, 0x22, -1, 0)
    return address < 0 ? .judged(address) : .judged(call(SYS_mprotect, address, 4096, 5))
  },
  Probe(control: "clock", "read the clocks") { _ in
    .judged(call(SYS_clock_gettime, 0, Memory.zeroed(16)))
  },
  Probe(control: "sleep", "sleep for a millisecond") { _ in
    .judged(call(SYS_clock_nanosleep, 1, 0, Memory.words([0, 1_000_000]), 0))
  },
  Probe(control: "random", "get random bytes") { _ in
    .judged(call(SYS_getrandom, Memory.zeroed(16), 16, 0))
  },
  Probe(control: "null-device", "write to /dev/null") { _ in
    let fd = open("/dev/null", O_RDWR)
    return fd < 0 ? .judged(fd) : .judged(write(fd, [0]))
  },
  Probe(control: "random-device", "read /dev/urandom") { _ in readable("/dev/urandom") },
  Probe(control: "shared-memory", "write a file in /dev/shm") { _ in
    let path = "/dev/shm/agt-probe.\(call(SYS_getpid))"
    defer { unlink(path) }
    return .judged(create(path, [1]))
  },
  Probe(control: "event-loop", "epoll with an event and a timer descriptor") { _ in
    let loop = call(SYS_epoll_create1, 0)
    let event = call(SYS_eventfd2, 1, 0)
    let timer = call(SYS_timerfd_create, 1, 0)
    if let failed = [loop, event, timer].first(where: { $0 < 0 }) { return .judged(failed) }
    // struct epoll_event is packed: events, then 8 bytes of data.
    return .judged(call(SYS_epoll_ctl, loop, 1, event, Memory.halves([1, 0, 0])))
  },
  Probe(control: "signal-self", "send a signal to itself") { _ in
    .judged(call(SYS_kill, call(SYS_getpid), Int(SIGWINCH)))
  },
  Probe(control: "thread-name", "name the own thread") { _ in
    .judged(call(SYS_prctl, 15, Memory.text("agt-probe")))
  },
  Probe(control: "lower-limit", "lower a limit of its own") { _ in
    let now = Memory.zeroed(16)
    let asked = call(SYS_prlimit64, 0, 7, 0, now)
    return asked < 0 ? .judged(asked) : .judged(call(SYS_prlimit64, 0, 7, now, 0))
  },
  Probe(control: "system-library", "map the C library executable") { _ in
    let paths = [
      "/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
    ]
    guard let path = paths.first(where: { status($0).0 == 0 }) else {
      return .unavailable("no C library at the known paths")
    }
    let fd = open(path, O_RDONLY)
    return fd < 0 ? .judged(fd) : .judged(call(SYS_mmap, 0, 4096, 5, 2, fd, 0))
  },
  Probe(control: "benign-link", "follow /bin or /lib, which are links on a merged system") { _ in
    .judged(status("/bin/sh").0)
  },
  Probe(control: "exec-workspace", needs: [.planted], alone: true, "run a program of the workspace")
  { _ in
    let path = workingDirectory() + "/planted-native"
    return .judged(execute(path, [path]))
  },
  Probe(control: "exec-system", rings: 1...2, "run a program of the system and wait for it") { _ in
    let child = Int(probe_fork())
    if child == 0 {
      _ = execute("/bin/true", ["true"])
      leave(1)
    }
    if child < 0 { return .judged(child) }
    let status = wait(for: child)
    return status == 0 ? .done("it ran") : .refused("status \(status)")
  },
  Probe(control: "fork", rings: 1...2, "have a child and wait for it") { _ in
    let child = Int(probe_fork())
    if child == 0 { leave(0) }
    return child < 0 ? .judged(child) : .judged(Int(wait(for: child)))
  },
  Probe(control: "session", rings: 1...2, "start a session in a child") { _ in
    let child = Int(probe_fork())
    if child == 0 { leave(call(SYS_setsid) < 0 ? 1 : 0) }
    if child < 0 { return .judged(child) }
    let status = wait(for: child)
    return status == 0 ? .done("") : .refused("status \(status)")
  },
  Probe(
    control: "workspace-write", rings: 1...2, "create, rename, chmod and remove in the workspace"
  ) { _ in
    let path = workingDirectory() + "/control.\(call(SYS_getpid))"
    let (from, to) = (Memory.text(path), Memory.text(path + ".renamed"))
    let made = create(path, Array("probe".utf8))
    if made < 0 { return .judged(made) }
    let mode = call(SYS_fchmodat, currentDirectory, from, 0o755)
    let moved = call(SYS_renameat, currentDirectory, from, currentDirectory, to)
    unlink(path + ".renamed")
    unlink(path)
    return .judged(min(mode, moved))
  },
  Probe(
    control: "workspace-link", rings: 1...2, needs: [.planted],
    "make a symbolic link in the workspace and follow it"
  ) { _ in
    let path = workingDirectory() + "/control-link.\(call(SYS_getpid))"
    let made = call(SYS_symlinkat, Memory.text("planted-file"), currentDirectory, Memory.text(path))
    defer { unlink(path) }
    return made < 0 ? .judged(made) : readable(path)
  },
  Probe(
    control: "workspace-build", rings: 1...2, alone: true,
    "run a program that it wrote to the workspace"
  ) { _ in
    let path = workingDirectory() + "/control-built.\(call(SYS_getpid))"
    let report = TinyProgram.report(of: "control.workspace-build")
    let made = create(path, TinyProgram.native(says: report), mode: 0o755)
    return made < 0 ? .judged(made) : .judged(execute(path, [path]))
  },
  Probe(control: "loopback", rings: 1...2, "listen on 127.0.0.1, connect to it and accept") { _ in
    ownServer(2, .inet([127, 0, 0, 1], 0))
  },
  Probe(control: "unix-server", rings: 1...2, "listen on a Unix socket in /tmp, connect and accept")
  { _ in
    let path = scratchPath("socket")
    defer { unlink(path) }
    return ownServer(1, .unix(Array(path.utf8), abstract: false))
  },
  Probe(control: "terminal", rings: 1...2, "make a pseudoterminal of its own") { _ in
    let fd = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    if fd < 0 { return .judged(fd) }
    _ = call(SYS_ioctl, fd, 0x4004_5431, Memory.zeroed(4))
    return .judged(call(SYS_ioctl, fd, 0x5441, Int(O_RDWR | O_NOCTTY)))
  },
]

private func ownServer(_ family: Int, _ address: SocketAddress) -> Outcome {
  let server = call(SYS_socket, family, Int(SOCK_STREAM.rawValue), 0)
  if server < 0 { return .judged(server) }
  let bound = call(SYS_bind, server, address.address, address.length)
  if bound < 0 { return .judged(bound) }
  _ = call(SYS_listen, server, 1)
  let (name, length) = (Memory.zeroed(128), Memory.halves([128]))
  _ = call(SYS_getsockname, server, name, length)
  let client = call(SYS_socket, family, Int(SOCK_STREAM.rawValue), 0)
  let connected = call(SYS_connect, client, name, Int(Memory.load(UInt32.self, at: length)))
  if connected < 0 { return .judged(connected) }
  return .judged(call(SYS_accept4, server, 0, 0, 0))
}
