internal import CProbe
internal import Glibc

/// Devices that a ring never has. Opening is enough: what could be done with the descriptor is
/// not tried.
private let devices:
  [(name: String, path: String, flags: Int32, twin: Probe.Twin, feature: String?)] =
    [
      ("memory", "/dev/mem", O_RDONLY, .root, "CONFIG_DEVMEM"),
      ("port", "/dev/port", O_RDONLY, .root, "CONFIG_DEVPORT"),
      ("kernel-log", "/dev/kmsg", O_WRONLY, .root, nil),
      ("console", "/dev/console", O_WRONLY, .root, nil),
      ("first-console", "/dev/tty1", O_WRONLY, .root, "CONFIG_VT"),
      ("screen", "/dev/vcs", O_RDONLY, .root, "CONFIG_VT"),
      ("virtual-machines", "/dev/kvm", O_RDWR, .root, "CONFIG_KVM"),
      ("tunnel", "/dev/net/tun", O_RDWR, .root, "CONFIG_TUN"),
      ("user-file-systems", "/dev/fuse", O_RDWR, .root, "CONFIG_FUSE_FS"),
      ("user-faults", "/dev/userfaultfd", O_RDWR, .root, "CONFIG_USERFAULTFD"),
      ("loop-control", "/dev/loop-control", O_RDWR, .root, "CONFIG_BLK_DEV_LOOP"),
      ("loop", "/dev/loop0", O_RDONLY, .root, "CONFIG_BLK_DEV_LOOP"),
      ("virtual-sockets", "/dev/vsock", O_RDONLY, .root, "CONFIG_VSOCKETS"),
      ("checkpoints", "/dev/btrfs-control", O_RDWR, .root, "CONFIG_BTRFS_FS"),
      ("serial", "/dev/ttyS0", O_WRONLY, .root, "CONFIG_SERIAL_8250"),
      ("input", "/dev/uinput", O_WRONLY, .root, "CONFIG_INPUT_UINPUT"),
      ("graphics", "/dev/dri/card0", O_RDWR, .root, "CONFIG_DRM"),
      ("processor", "/dev/cpu/0/msr", O_RDONLY, .root, "CONFIG_X86_MSR"),
    ]

let deviceProbes: [Probe] =
  devices.map { device in
    Probe(
      "device.\(device.name)", ring: 1, twin: device.twin, feature: device.feature,
      "open \(device.path)"
    ) { _ in
      .judged(
        open(device.path, device.flags | O_NONBLOCK | O_NOCTTY),
        refusals: Outcome.fileRefusals.union([ENXIO, ENODEV]))
    }
  } + [
    Probe("device.root-disk", ring: 1, twin: .root, "open any block device for reading") { _ in
      for name in names(in: "/dev").names {
        let path = "/dev/" + name
        guard status(path).1?.isBlockDevice == true else { continue }
        if open(path, O_RDONLY | O_NONBLOCK) >= 0 { return .done(path) }
      }
      return .refused("none can be opened", errno: EACCES)
    },
    Probe(
      "device.unexpected", ring: 1,
      "open any device in /dev beside the harmless ones"
    ) { _ in
      let expected = [
        "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "stdin",
        "stdout", "stderr", "core", "mqueue", "console",
      ]
      for name in names(in: "/dev").names.sorted() where !expected.contains(name) {
        let path = "/dev/" + name
        guard let status = status(path).1 else { continue }
        let isDevice = status.isCharacterDevice || status.isBlockDevice
        if isDevice && open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY) >= 0 { return .done(path) }
      }
      return .refused("none can be opened", errno: EACCES)
    },
    Probe(
      "device.foreign-terminals", ring: 1, needs: [.terminal],
      "open the caller's terminal by its name in /dev/pts"
    ) { fixtures in
      foreignTerminal(fixtures.text(.terminal), fixtures.optional(.terminalDevice))
    },
  ]

/// In a devpts instance of its own, a ring may well have a terminal of the same name.
private func foreignTerminal(_ path: String, _ device: String?) -> Outcome {
  let fd = open(path, O_RDWR | O_NOCTTY)
  if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals.union([ENXIO, EIO])) }
  if let device, let own = status(fd: fd).1, "\(own.device):\(own.specialDevice)" != device {
    return .refused("another terminal of that name")
  }
  return .done(path)
}
