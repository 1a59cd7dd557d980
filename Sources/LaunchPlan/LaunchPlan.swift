/// Everything that the stage does before the program runs, as one value.
///
/// The supervisor lowers a ring profile, the command line and the machine to this; the stage executes it
/// in the order that docs/decisions/0002 fixes and decides nothing. Strings are bytes without NUL.
public struct LaunchPlan: Equatable, Sendable {
  /// Who the program is.
  public enum Identity: Equatable, Sendable {
    /// As started (ring 0).
    case unchanged
    /// Started by an ordinary user: a user namespace that maps this one user and group to themselves.
    case own(uid: UInt32, gid: UInt32)
    /// Started by root: a user namespace that maps an unused host id to the id seen inside.
    case mapped(uid: UInt32, gid: UInt32, hostUID: UInt32, hostGID: UInt32)
    /// Started by root without a user namespace (ring 1): an unused host id.
    case host(uid: UInt32, gid: UInt32)
  }

  /// Which file a path meant when it was judged.
  public struct Judged: Equatable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    public init(device: UInt64, inode: UInt64) {
      self.device = device
      self.inode = inode
    }
  }

  /// Flags of one mount.
  public struct MountOptions: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let readOnly = MountOptions(rawValue: 1)
    public static let noSetUserID = MountOptions(rawValue: 2)
    public static let noDevices = MountOptions(rawValue: 4)
    public static let noExecution = MountOptions(rawValue: 8)
    /// With the mounts below the source.
    public static let recursive = MountOptions(rawValue: 16)
  }

  /// One operation on the new root (or on the host's tree), executed in order.
  public enum MountStep: Equatable, Sendable {
    /// A directory of the new root's own tmpfs; its parent exists.
    case directory(path: [UInt8], mode: UInt32)
    /// A file of the new root's own tmpfs.
    case file(path: [UInt8], mode: UInt32, contents: [UInt8])
    case symbolicLink(path: [UInt8], target: [UInt8])
    /// `owner` in ids of the host; root when nil.
    case tmpfs(
      path: [UInt8], sizeBytes: UInt64, inodes: UInt64, mode: UInt32, options: MountOptions,
      owner: Owner?)
    case proc(path: [UInt8], processesOnly: Bool)
    /// A new devpts instance, so that the ring's terminals are its own.
    case devpts(path: [UInt8], owner: Owner?)
    /// A part of the host's tree. `owner` is the on-disk owner that is shown as the program's own id.
    case bind(
      source: [UInt8], target: [UInt8], options: MountOptions, judged: Judged?, owner: Owner?)
    /// Covers a file or a directory of a host tree with nothing; skipped when it is not there.
    case mask(path: [UInt8])
    /// Makes a whole host tree read-only, mounts below included.
    case protect(path: [UInt8])
    /// A part of the host's tree that stays as it is: what is written goes to other layers (`StageStart.overlay`).
    case overlay(path: [UInt8])
  }

  /// An overlay over a directory of the host, at its own path.
  public struct Overlay: Equatable, Sendable {
    /// The directory, source and target.
    public var path: [UInt8]
    public var judged: Judged
    /// Holds `upper` and `work`.
    public var layers: [UInt8]
    public var layersJudged: Judged
    /// The upper layer of another transaction in between; nil for none.
    public var base: Base?
    public var options: MountOptions
    /// The on-disk owner of both that is shown as the program's own id.
    public var owner: Owner?
    /// Mounted in an ordinary user's namespace: overlayfs keeps its marks in `user.overlay.*`.
    public var userMarks: Bool
    public init(
      path: [UInt8], judged: Judged, layers: [UInt8], layersJudged: Judged, base: Base? = nil,
      options: MountOptions, owner: Owner?, userMarks: Bool
    ) {
      self.path = path
      self.judged = judged
      self.layers = layers
      self.layersJudged = layersJudged
      self.base = base
      self.options = options
      self.owner = owner
      self.userMarks = userMarks
    }
  }

  /// A directory of the host that an overlay shows above its own.
  public struct Base: Equatable, Sendable {
    /// Holds `upper`.
    public var layers: [UInt8]
    public var judged: Judged
    public init(layers: [UInt8], judged: Judged) {
      self.layers = layers
      self.judged = judged
    }
  }

  public struct Owner: Equatable, Sendable {
    public var uid: UInt32
    public var gid: UInt32
    public init(uid: UInt32, gid: UInt32) {
      self.uid = uid
      self.gid = gid
    }
  }

  /// One socket that the stage opens in the ring's network and hands to the supervisor.
  public struct RingSocket: Equatable, Sendable {
    public var isDatagram: Bool
    /// 4 or 16 bytes in network order; zeros mean every address.
    public var address: [UInt8]
    public var port: UInt16
    public init(isDatagram: Bool, address: [UInt8], port: UInt16) {
      self.isDatagram = isDatagram
      self.address = address
      self.port = port
    }
  }

  public struct LandlockRule: Equatable, Sendable {
    /// Seen from inside.
    public var path: [UInt8]
    /// Bits of LANDLOCK_ACCESS_FS_*; cut by the stage to what a plain file can have.
    public var access: UInt64
    public init(path: [UInt8], access: UInt64) {
      self.path = path
      self.access = access
    }
  }

  public struct LandlockPlan: Equatable, Sendable {
    /// The interface version that the bits below are cut to.
    public var abi: UInt8
    public var handledFiles: UInt64
    public var handledNetwork: UInt64
    public var scopes: UInt64
    public var rules: [LandlockRule]
    /// A readable file that no rule covers: opening it must fail once the rules are on.
    public var canary: [UInt8]?
    public init(
      abi: UInt8, handledFiles: UInt64, handledNetwork: UInt64, scopes: UInt64,
      rules: [LandlockRule], canary: [UInt8]?
    ) {
      self.abi = abi
      self.handledFiles = handledFiles
      self.handledNetwork = handledNetwork
      self.scopes = scopes
      self.rules = rules
      self.canary = canary
    }
  }

  public struct ResourceLimit: Equatable, Sendable {
    /// RLIMIT_* of getrlimit(2).
    public var resource: UInt32
    public var value: UInt64
    public init(resource: UInt32, value: UInt64) {
      self.resource = resource
      self.value = value
    }
  }

  public struct SeccompPlan: Equatable, Sendable {
    /// struct sock_filter, 8 bytes each.
    public var instructions: [UInt8]
    /// Whether the program returns USER_NOTIF and the listener goes to the supervisor.
    public var reportsViolations: Bool
    public init(instructions: [UInt8], reportsViolations: Bool) {
      self.instructions = instructions
      self.reportsViolations = reportsViolations
    }
  }

  /// How the program reaches the broker.
  public enum Broker: UInt8, Equatable, Sendable {
    /// There is none.
    case absent = 0
    /// One connected stream socket, descriptor 3 of the program.
    case connection = 1
    /// A stream socket that listens at `brokerPath` in the private root.
    case listener = 2
  }

  /// Where the program finds a listening broker.
  public static let brokerPath = "/run/agt/broker.sock"
  /// Where the program finds a connection to it.
  public static let brokerDescriptor: Int32 = 3

  /// 0 … 3, for messages and the host name.
  public var ring: UInt8
  /// What the stage was told before; the plan repeats it, and they must agree.
  public var start: StageStart
  /// A new root on tmpfs and pivot_root(2); without, `mounts` work on the host's tree.
  public var privateRoot: Bool
  public var mounts: [MountStep]
  public var limits: [ResourceLimit]
  public var landlock: LandlockPlan?
  public var seccomp: SeccompPlan?
  /// Bit n: descriptor n (0 … 2) becomes the new terminal.
  public var terminal: UInt8
  public var executable: [UInt8]
  public var arguments: [[UInt8]]
  public var environment: [[UInt8]]
  public var workingDirectory: [UInt8]
  public var broker: Broker

  public init(
    ring: UInt8, start: StageStart, privateRoot: Bool, mounts: [MountStep],
    limits: [ResourceLimit], landlock: LandlockPlan?, seccomp: SeccompPlan?, terminal: UInt8,
    executable: [UInt8], arguments: [[UInt8]],
    environment: [[UInt8]], workingDirectory: [UInt8], broker: Broker = .absent
  ) {
    self.ring = ring
    self.start = start
    self.privateRoot = privateRoot
    self.mounts = mounts
    self.limits = limits
    self.landlock = landlock
    self.seccomp = seccomp
    self.terminal = terminal
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.broker = broker
  }
}
