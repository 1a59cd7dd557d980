internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The ring's view of files. Every tree is opened and restricted while it is detached, so no path is ever
/// followed after it was judged and no mount is ever reachable in a wider state (ESCAPES rows 9 and 10).
enum RingMounts {
  /// Where the new root stands until it becomes the root: a directory that every machine has.
  private static let stand = "/proc"
  /// The new root holds directories, links and some short files, nothing more.
  private static let rootOptions: [(key: String, value: String?)] = [
    ("size", "4m"), ("nr_inodes", "4096"), ("mode", "0755"),
  ]

  /// - Parameter overlay: the tree of `StageStart.overlay`.
  static func build(
    _ plan: LaunchPlan, owners: [(owner: LaunchPlan.Owner, namespace: Int32)], overlay: Int32?
  ) throws(StageFailure) {
    if plan.privateRoot { try InputFile.makeReadOnly(plan.start.identity) }
    // All sources first: the steps below cover parts of the host's tree.
    var trees: [Int32?] = []
    for step in plan.mounts {
      if case .overlay(let path) = step {
        trees.append(try judged(overlay, plan, at: path))
      } else {
        trees.append(try openTree(step, owners: owners))
      }
    }
    if plan.privateRoot {
      let root = try Stage.step("new root") { () throws(SyscallError) in
        let root = try Mounts.create("tmpfs", options: rootOptions, [.noSetUserID, .noDevices])
        let stand = try Files.open(ByteString(stand), O_DIRECTORY | oPath)
        try Mounts.attach(root.raw, on: stand.raw, object: "/")
        return root.release()
      }
      try place(plan, trees, root: root)
      if plan.broker == .listener { try listen(root) }
      try Stage.step("pivot_root") { () throws(SyscallError) in
        try Files.changeDirectory(to: root)
        try Mounts.pivotIntoWorkingDirectory()
        try Mounts.restrict(root, .readOnly, recursive: false, object: "/")
      }
      closeQuietly(root)
    } else {
      let root = try Stage.step("mounts") { () throws(SyscallError) in
        try Files.open(ByteString("/"), O_DIRECTORY | oPath).release()
      }
      try place(plan, trees, root: root)
      closeQuietly(root)
    }
  }

  private static func place(
    _ plan: LaunchPlan, _ trees: [Int32?], root: Int32
  ) throws(StageFailure) {
    var covers = Covers()
    for (index, step) in plan.mounts.enumerated() {
      try place(step, tree: trees[index], root: root, &covers)
    }
    covers.close()
  }

  /// The broker's socket, while the root can still be written. It is bound by a name in the working
  /// directory, because procfs is covered. Connecting to it takes no more than the right to write to it,
  /// also on a file system that is read-only by then (unix(7)).
  private static func listen(_ root: Int32) throws(StageFailure) {
    try Stage.step("broker") { () throws(SyscallError) in
      let path = ByteString(LaunchPlan.brokerPath)
      let slash = path.lastIndex(of: UInt8(ascii: "/"))!
      let place = try Files.open(
        relative(Array(path[..<slash])), O_RDONLY | O_DIRECTORY, at: root,
        resolve: [.noSymlinks, .noMagicLinks, .beneath])
      try Files.changeDirectory(to: place.raw)
      let socket = try UnixSockets.listenHere(Array(path[(slash + 1)...]), mode: 0o666)
      try Messages.send(
        Stage.socket, StageReport.broker(isListening: true).encoded(), descriptors: [socket.raw])
    }
  }

  static let oPath: Int32 = 0o10000000

  private static func closeQuietly(_ number: Int32) { _ = OwnedFD(number) }

  /// The detached, restricted tree of a bind; nil for every other step.
  private static func openTree(
    _ step: LaunchPlan.MountStep, owners: [(owner: LaunchPlan.Owner, namespace: Int32)]
  ) throws(StageFailure) -> Int32? {
    guard case .bind(let source, _, let options, let judged, let owner) = step else { return nil }
    return try Stage.step("mounts") { () throws(SyscallError) in
      let recursive = options.contains(.recursive)
      let tree: OwnedFD
      if let judged {
        tree = try openJudged(source, judged, recursive: recursive)
      } else {
        tree = try Mounts.openTree(source, recursive: recursive)
      }
      try Mounts.restrict(tree.raw, flags(options), recursive: recursive, object: source.text)
      if let owner, let namespace = owners.first(where: { $0.owner == owner })?.namespace {
        try Mounts.mapOwners(tree.raw, through: namespace, object: source.text)
      }
      return tree.release()
    }
  }

  /// The tree that was made for this place.
  private static func judged(
    _ overlay: Int32?, _ plan: LaunchPlan, at path: ByteString
  ) throws(StageFailure) -> Int32 {
    guard let overlay, plan.start.overlay?.path == path else {
      throw StageFailure(
        step: "plan", call: "", object: "\(path.text): no such transaction", errno: EPROTO)
    }
    return overlay
  }

  /// Nobody may have put a link or another file there since the supervisor looked.
  static func openJudged(
    _ source: ByteString, _ judged: LaunchPlan.Judged, recursive: Bool
  ) throws(SyscallError) -> OwnedFD {
    let place = try Files.open(source, oPath, resolve: [.noSymlinks, .noMagicLinks])
    let found = try Files.status(place.raw).identity
    guard found == FileIdentity(device: judged.device, inode: judged.inode) else {
      throw SyscallError(call: "openat2", object: source.text, errno: ESTALE)
    }
    return try Mounts.openTree([], recursive: recursive, at: place.raw)
  }

  static func flags(_ options: LaunchPlan.MountOptions) -> MountFlags {
    MountFlags(rawValue: options.rawValue & 15)
  }

  private static func place(
    _ step: LaunchPlan.MountStep, tree: Int32?, root: Int32, _ covers: inout Covers
  ) throws(StageFailure) {
    try Stage.step("mounts") { () throws(SyscallError) in
      switch step {
      case .directory(let path, let mode):
        try Files.makeDirectory(relative(path), mode: mode, at: root)
      case .file(let path, let mode, let contents):
        if contents.isEmpty {
          try Files.makeNode(relative(path), .regular, mode: mode, at: root)
        } else {
          try Files.create(relative(path), mode: mode, contents: contents, at: root)
        }
      case .symbolicLink(let path, let target):
        try Files.makeSymbolicLink(relative(path), to: target, at: root)
      case .tmpfs(let path, let sizeBytes, let inodes, let mode, let options, let owner):
        let mount = try Mounts.create(
          "tmpfs",
          options: [
            ("size", "\(sizeBytes)"), ("nr_inodes", "\(inodes)"), ("mode", String(mode, radix: 8)),
          ] + ids(owner), flags(options))
        try attach(mount.raw, on: path, root: root)
      case .proc(let path, let processesOnly):
        let mount = try Mounts.create(
          "proc", options: processesOnly ? [("subset", "pid")] : [],
          [.noSetUserID, .noDevices, .noExecution])
        try attach(mount.raw, on: path, root: root)
      case .devpts(let path, let owner):
        let mount = try Mounts.create(
          "devpts",
          options: [("newinstance", nil), ("ptmxmode", "0666"), ("mode", "0620")] + ids(owner),
          [.noSetUserID, .noExecution])
        try attach(mount.raw, on: path, root: root)
      case .bind(_, let target, _, _, _):
        let owned = OwnedFD(tree!)
        try attach(owned.raw, on: target, root: root)
      case .overlay(let path):
        let owned = OwnedFD(tree!)
        try attach(owned.raw, on: path, root: root)
      case .mask(let path):
        try mask(path, root: root, &covers)
      case .protect(let path):
        let place = try Files.open(path, oPath)
        try Mounts.restrict(place.raw, .readOnly, recursive: true, object: path.text)
      }
    }
  }

  private static func ids(_ owner: LaunchPlan.Owner?) -> [(key: String, value: String?)] {
    owner.map { [("uid", "\($0.uid)"), ("gid", "\($0.gid)")] } ?? []
  }

  private static func relative(_ path: ByteString) -> ByteString {
    path.count == 1 ? [UInt8(ascii: ".")] : Array(path.dropFirst())
  }

  private static func attach(_ tree: Int32, on path: ByteString, root: Int32) throws(SyscallError) {
    let target = try Files.open(
      relative(path), oPath, at: root, resolve: [.noSymlinks, .noMagicLinks, .beneath])
    try Mounts.attach(tree, on: target.raw, object: path.text)
  }

  /// What covers the first masked file and the first masked directory, to be cloned for the others.
  private struct Covers {
    var file: Int32?
    var directory: Int32?

    func close() {
      for number in [file, directory] { if let number { _ = OwnedFD(number) } }
    }
  }

  /// A file is covered with /dev/null on a mount without devices, so that not even that opens; a
  /// directory with an empty one.
  private static func mask(
    _ path: ByteString, root: Int32, _ covers: inout Covers
  ) throws(SyscallError) {
    // Elsewhere it may be a link, whose target is to be covered.
    if path.starts(with: kernelFiles),
      let cover = kernelDirectories.contains(path) ? covers.directory : covers.file
    {
      let copy = try Mounts.openTree([], recursive: false, at: cover)
      do throws(SyscallError) {
        return try Mounts.attach(copy.raw, on: relative(path), at: root)
      } catch {
        // Not there, or of the other kind: what follows looks. Anything else ends the launch.
        if ![ENOENT, EACCES, EINVAL, ENOTDIR].contains(error.errno) { throw error }
      }
    }
    let target: OwnedFD
    do throws(SyscallError) {
      target = try Files.open(relative(path), oPath, at: root)
    } catch {
      // Nobody gets there.
      if [ENOENT, EACCES, ELOOP, ENOTDIR].contains(error.errno) { return }
      throw error
    }
    let isDirectory = try Files.status(target.raw).kind == .directory
    if let cover = isDirectory ? covers.directory : covers.file {
      let copy = try Mounts.openTree([], recursive: false, at: cover)
      try Mounts.attach(copy.raw, on: target.raw, object: path.text)
    } else {
      // The first of its kind is attached itself: before Linux 6.15 only an attached mount can be cloned.
      let cover =
        isDirectory
        ? try emptyDirectory(root) : try Mounts.openTree(ByteString("/dev/null"), recursive: false)
      try Mounts.restrict(
        cover.raw, [.readOnly, .noSetUserID, .noDevices, .noExecution], recursive: false,
        object: path.text)
      try Mounts.attach(cover.raw, on: target.raw, object: path.text)
      if isDirectory { covers.directory = cover.release() } else { covers.file = cover.release() }
    }
  }

  /// What of the kernel's own in /proc is a directory. One that is not named here takes three system calls more:
  /// the kernel attaches no file on a directory, nor the other way round.
  private static let kernelFiles = ByteString("/proc/")
  private static let kernelDirectories = [
    "acpi", "asound", "bus", "driver", "fs", "irq", "pressure", "scsi", "sysvipc", "tty",
  ].map { Array("/proc/\($0)".utf8) }

  /// The one that a private root has for this, or a file system of its own.
  private static func emptyDirectory(_ root: Int32) throws(SyscallError) -> OwnedFD {
    if let ready = try? Mounts.openTree(ByteString("run/agt/empty"), recursive: false, at: root) {
      return ready
    }
    return try Mounts.create(
      "tmpfs", options: [("size", "4k"), ("nr_inodes", "1"), ("mode", "0555")], [])
  }
}
