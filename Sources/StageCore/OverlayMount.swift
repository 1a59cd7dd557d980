internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The workspace of a transaction: the host's directory below, the run's own layers above it.
enum OverlayMount {
  /// A detached overlay. Before Linux 6.13 overlayfs takes its layers by path only, and before 6.15 only
  /// from mounts that are attached: both are put over the directories that they come from, in a mount
  /// namespace that nobody else sees, and go when the overlay has copies of its own.
  static func create(
    _ overlay: LaunchPlan.Overlay, _ owners: [(owner: LaunchPlan.Owner, namespace: Int32)]
  ) throws(StageFailure) -> Int32 {
    try Stage.step("transaction") { () throws(SyscallError) in
      let namespace = overlay.owner.flatMap { owner in
        owners.first { $0.owner == owner }?.namespace
      }
      try attachMapped(overlay.path, overlay.judged, namespace)
      try attachMapped(overlay.layers, overlay.layersJudged, namespace)
      var base: OwnedFD?
      if let other = overlay.base {
        try attachMapped(other.layers, other.judged, namespace)
        base = try open(other.layers + ByteString("/upper"))
      }
      let lower = try open(overlay.path)
      let upper = try open(overlay.layers + ByteString("/upper"))
      let work = try open(overlay.layers + ByteString("/work"))
      // What overlayfs does by itself it does as whoever mounts it; on a mapped layer root has no id, so
      // the owner's takes its place, and root's capabilities stay.
      if namespace != nil, let status = try? Files.status(lower.raw) {
        try Identity.actOnFiles(uid: status.uid, gid: status.gid)
      }
      let below = base.raw.map { path($0) + ":" } ?? ""
      // A launch that fails here ends, so that nothing has to be given back on the way out.
      let mount = try Mounts.create(
        "overlay",
        options: [
          ("lowerdir", below + path(lower.raw)), ("upperdir", path(upper.raw)),
          ("workdir", path(work.raw)), ("metacopy", "off"), ("index", "off"),
          // The layers are brought to disk when they are kept, not whenever a ring ends.
          ("volatile", nil),
        ] + (overlay.userMarks ? [("userxattr", nil)] : [("redirect_dir", "nofollow")]),
        RingMounts.flags(overlay.options))
      if namespace != nil { try Identity.actOnFilesAsSelf() }
      try Mounts.detach(overlay.layers)
      if let other = overlay.base { try Mounts.detach(other.layers) }
      try Mounts.detach(overlay.path)
      return mount.release()
    }
  }

  /// Names without a character that overlayfs's options would take apart.
  private static func path(_ number: Int32) -> String { "/proc/self/fd/\(number)" }

  private static func open(_ path: ByteString) throws(SyscallError) -> OwnedFD {
    try Files.open(
      path, O_DIRECTORY | RingMounts.oPath, resolve: [.noSymlinks, .noMagicLinks])
  }

  private static func attachMapped(
    _ path: ByteString, _ judged: LaunchPlan.Judged, _ namespace: Int32?
  ) throws(SyscallError) {
    let tree = try RingMounts.openJudged(path, judged, recursive: false)
    if let namespace {
      try Mounts.mapOwners(tree.raw, through: namespace, object: path.text)
    }
    let place = try open(path)
    try Mounts.attach(tree.raw, on: place.raw, object: path.text)
  }
}
