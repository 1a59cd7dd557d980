internal import CProbe
internal import Glibc

/// Putting words into the mouth of whoever sits at the terminal.
///
/// A filter must refuse the request on any descriptor: on /dev/null the kernel answers ENOTTY,
/// which proves that the filter let it through, and no terminal is needed for that.
let terminalProbes: [Probe] = [
  request("tiocsti", pushInput, ring: 1, rows: [1], "push a character into the terminal's input"),
  request(
    "tiocsti-high-bits", pushInput | 1 << 32, ring: 1, rows: [1, 2],
    "the same with a bit above the 32 that the kernel reads (CVE-2019-10063)"),
  request(
    "tioclinux", consoleRequest, ring: 1, rows: [3],
    "paste the console's selection (CVE-2023-28100)"),
  request(
    "tioclinux-high-bits", consoleRequest | 0x7fff_ffff << 32, ring: 1, rows: [2, 3],
    "the same with bits above the 32 that the kernel reads"),
  request("tiocsetd", setDiscipline, ring: 2, "set the line discipline, which loads modules"),
  request(
    "tiocsetd-high-bits", setDiscipline | 1 << 63, ring: 2, rows: [2],
    "the same with the highest bit"),
  Probe(
    "terminal.push-input", ring: 1, rows: [1], needs: [.terminal], twin: .anyone,
    "push a character into the input of the caller's terminal"
  ) { _ in
    let fd = open("/dev/tty", O_RDWR)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals.union([ENXIO])) }
    // The character never reaches anybody: the test reads the terminal's other side.
    return .judged(call(SYS_ioctl, fd, pushInput, Memory.text("#")))
  },
  Probe(
    "terminal.caller", ring: 1, rows: [1], needs: [.terminal, .terminalDevice],
    "hold the caller's terminal as descriptor 0, 1 or 2"
  ) { fixtures in
    let device = fixtures.text(.terminalDevice)
    for fd in 0...2 {
      if let own = status(fd: fd).1, "\(own.device):\(own.specialDevice)" == device {
        return .done("descriptor \(fd)")
      }
    }
    return .refused("a terminal of its own, or none")
  },
  Probe(
    "terminal.steal", ring: 1, rows: [1], needs: [.terminal], alone: true,
    "take the caller's terminal as the own controlling one"
  ) { fixtures in
    let fd = open(fixtures.text(.terminal), O_RDWR | O_NOCTTY)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals.union([ENXIO, EIO])) }
    if let device = fixtures.optional(.terminalDevice), let own = status(fd: fd).1,
      "\(own.device):\(own.specialDevice)" != device
    {
      return .refused("another terminal of that name")
    }
    return .judged(
      call(SYS_ioctl, fd, 0x5401, Memory.zeroed(64)), refusals: [EPERM, EACCES, EIO])
  },
  Probe(
    "terminal.session", ring: 1, needs: [.session],
    "be in the caller's session: whose leader is then outside, and reads as 0"
  ) { fixtures in
    let session = call(SYS_getsid, 0)
    return .state(
      session == 0 || session == fixtures.number(.session), "session \(session)")
  },
  Probe(
    "terminal.process-group", ring: 1, needs: [.group],
    "be in the caller's process group, which signals reach across namespaces"
  ) { fixtures in
    let group = call(SYS_getpgid, 0)
    return .state(group == 0 || group == fixtures.number(.group), "process group \(group)")
  },
]

/// TIOCSTI, TIOCLINUX and TIOCSETD of ioctl_tty(2).
private let pushInput = 0x5412
private let consoleRequest = 0x541c
private let setDiscipline = 0x5423

private func request(
  _ name: String, _ number: Int, ring: Int, rows: [Int] = [], _ summary: String
) -> Probe {
  Probe(call: "terminal.\(name)", ring: ring, rows: rows, refusals: [EPERM, ENOSYS], summary) {
    let fd = open("/dev/null", O_RDWR)
    return [call(SYS_ioctl, fd, number, Memory.zeroed(8))]
  }
}
