/// A ring profile after inheritance: everything that a ring grants and bounds, as values.
///
/// Loading (`RingProfile.load`), lint, diff and the compiled filter live in files of their own;
/// lowering a profile onto a machine is `Supervisor`'s work.
public struct RingProfile: Equatable, Sendable {
  /// A namespace of namespaces(7).
  public enum Namespace: String, CaseIterable, Sendable {
    case user, pid, mount, network, ipc, uts, cgroup
  }

  /// What the root directory of the ring is.
  public enum Root: String, CaseIterable, Sendable {
    /// A new tmpfs that holds only what the profile names.
    case `private`
    /// The host's tree with parts made read-only or hidden.
    case host
  }

  public enum Access: String, CaseIterable, Sendable {
    case readOnly = "ro"
    case readWrite = "rw"
  }

  /// How /proc looks inside.
  public enum ProcView: String, CaseIterable, Sendable {
    /// Only the ring's processes, nothing of the kernel's (proc mount option subset=pid).
    case processes
    /// The ring's processes and the kernel's harmless files; the others are masked.
    case masked
    /// The ring's processes and the whole rest.
    case full
  }

  public enum Network: String, CaseIterable, Sendable {
    /// A network namespace whose loopback is down.
    case none
    /// A network namespace with loopback up; what leaves goes through the broker.
    case loopback
    case host
  }

  public enum Capabilities: String, CaseIterable, Sendable {
    case none
    case inherited
  }

  /// Which file rights Landlock handles.
  public enum LandlockFiles: String, CaseIterable, Sendable {
    case none
    /// Writing is allowed only in the workspace and the scratch directories.
    case write
    /// Reading, executing and writing are allowed only where the profile says.
    case full
  }

  public struct PathRule: Equatable, Sendable {
    /// Absolute, or `~/…` for the home directory of the user who starts the run.
    public var path: String
    /// A missing path is skipped; without this it fails the launch.
    public var optional: Bool
    public var why: String
    public init(path: String, optional: Bool, why: String) {
      self.path = path
      self.optional = optional
      self.why = why
    }
  }

  public struct Scratch: Equatable, Sendable {
    /// Bytes that /tmp and the private home directory may hold, each.
    public var sizeBytes: UInt64
    public var inodes: UInt64
    /// Whether a file there may be executed or mapped executable.
    public var executable: Bool
    public init(sizeBytes: UInt64, inodes: UInt64, executable: Bool) {
      self.sizeBytes = sizeBytes
      self.inodes = inodes
      self.executable = executable
    }
  }

  public struct Filesystem: Equatable, Sendable {
    public var workspace: Access
    /// Read-only parts of the host (private root) — or made read-only (host root).
    public var read: [PathRule]
    /// Read-write parts of the host beside the workspace.
    public var write: [PathRule]
    /// Parts of a host root that are covered by nothing readable.
    public var hide: [PathRule]
    public var scratch: Scratch?
    public var proc: ProcView
    public init(
      workspace: Access, read: [PathRule], write: [PathRule], hide: [PathRule], scratch: Scratch?,
      proc: ProcView
    ) {
      self.workspace = workspace
      self.read = read
      self.write = write
      self.hide = hide
      self.scratch = scratch
      self.proc = proc
    }
  }

  public struct Environment: Equatable, Sendable {
    /// Variables taken over from the caller when set: a name, or a prefix ending in `*`.
    public var pass: [String]
    /// Variables with fixed values, in file order.
    public var set: [(name: String, value: String)]
    public init(pass: [String], set: [(name: String, value: String)]) {
      self.pass = pass
      self.set = set
    }
    public static func == (a: Environment, b: Environment) -> Bool {
      a.pass == b.pass && a.set.elementsEqual(b.set) { $0.name == $1.name && $0.value == $1.value }
    }
  }

  public struct Landlock: Equatable, Sendable {
    public var files: LandlockFiles
    /// Signals only to processes of the ring (ABI 6).
    public var scopeSignal: Bool
    /// Abstract Unix sockets only of the ring (ABI 6).
    public var scopeAbstractUnixSocket: Bool
    /// TCP bind and connect are refused (ABI 4).
    public var denyTCP: Bool
    public init(
      files: LandlockFiles, scopeSignal: Bool, scopeAbstractUnixSocket: Bool, denyTCP: Bool
    ) {
      self.files = files
      self.scopeSignal = scopeSignal
      self.scopeAbstractUnixSocket = scopeAbstractUnixSocket
      self.denyTCP = denyTCP
    }
  }

  /// Bounds; nil means that the ring sets none.
  public struct Limits: Equatable, Sendable {
    /// Memory of the whole run, bytes.
    public var memoryBytes: UInt64?
    /// Processes and threads of the whole run.
    public var processes: UInt64?
    public var openFiles: UInt64?
    public var fileSizeBytes: UInt64?
    public var lockedMemoryBytes: UInt64?
    /// Wall clock of the run, milliseconds.
    public var wallMilliseconds: UInt64?
    /// Time on processors of all of the run's processes together, milliseconds.
    public var cpuTimeMilliseconds: UInt64?
    /// What all of the run's processes together write to file systems on disks, bytes.
    public var diskBytes: UInt64?
    /// To the broker, of the whole run.
    public var requests: UInt64?
    /// Of the whole run.
    public var toolCalls: UInt64?
    /// Sent to each destination of the ring's own network, bytes.
    public var egressBytes: UInt64?
    public init() {}
  }

  public struct Requests: Equatable, Sendable {
    public var perSecond: UInt64
    public var burst: UInt64
    public var concurrentTools: UInt64
    public init(perSecond: UInt64, burst: UInt64, concurrentTools: UInt64) {
      self.perSecond = perSecond
      self.burst = burst
      self.concurrentTools = concurrentTools
    }
  }

  /// A widening that a derived profile makes over the one that it extends.
  public struct Widening: Equatable, Sendable {
    /// What was widened, `filesystem.read /home/me/data` or `limits.memory`.
    public var what: String
    public var reason: String
    public init(what: String, reason: String) {
      self.what = what
      self.reason = reason
    }
  }

  public var name: String
  public var description: String
  /// 0 … 3: the ring whose guarantees and order this profile claims.
  public var ring: UInt8
  public var root: Root
  public var namespaces: Set<Namespace>
  public var filesystem: Filesystem
  public var environment: Environment
  public var capabilities: Capabilities
  public var network: Network
  public var landlock: Landlock
  public var syscalls: SyscallPolicy
  public var limits: Limits
  public var requests: Requests
  /// Set by loading, empty for the four shipped rings.
  public var widenings: [Widening]

  public init(
    name: String, description: String, ring: UInt8, root: Root, namespaces: Set<Namespace>,
    filesystem: Filesystem, environment: Environment, capabilities: Capabilities,
    network: Network, landlock: Landlock, syscalls: SyscallPolicy, limits: Limits,
    requests: Requests, widenings: [Widening]
  ) {
    self.name = name
    self.description = description
    self.ring = ring
    self.root = root
    self.namespaces = namespaces
    self.filesystem = filesystem
    self.environment = environment
    self.capabilities = capabilities
    self.network = network
    self.landlock = landlock
    self.syscalls = syscalls
    self.limits = limits
    self.requests = requests
    self.widenings = widenings
  }
}

/// The system calls of a ring, before they become a BPF program.
public struct SyscallPolicy: Equatable, Sendable {
  public enum Default: Equatable, Sendable {
    /// Whatever no group names runs (rings 0 and 1).
    case allow
    /// Whatever no group names fails with this errno (rings 2 and 3: ENOSYS).
    case fail(errno: Int32)
  }

  public enum Action: Equatable, Sendable {
    case allow
    /// Refused with EPERM and reported to the supervisor by seccomp notification.
    case violation
    /// Refused with this errno in silence.
    case fail(errno: Int32)
  }

  /// One comparison; arguments are compared on the 32 bits that the kernel reads unless `wide`.
  public struct Condition: Equatable, Sendable {
    public enum Comparison: Equatable, Sendable {
      /// The masked argument is one of these.
      case isIn([UInt64])
      /// The masked argument is none of these.
      case isNotIn([UInt64])
    }
    /// 0 … 5
    public var argument: UInt8
    /// Applied before comparing; all ones when the profile names none.
    public var mask: UInt64
    public var comparison: Comparison
    /// Compare all 64 bits (personality(2)).
    public var wide: Bool
    public init(argument: UInt8, mask: UInt64, comparison: Comparison, wide: Bool) {
      self.argument = argument
      self.mask = mask
      self.comparison = comparison
      self.wide = wide
    }
  }

  public struct Call: Equatable, Sendable {
    public var name: String
    /// All must hold; empty means always.
    public var when: [Condition]
    public init(name: String, when: [Condition]) {
      self.name = name
      self.when = when
    }
  }

  public struct Group: Equatable, Sendable {
    public var name: String
    public var why: String
    public var action: Action
    public var calls: [Call]
    public init(name: String, why: String, action: Action, calls: [Call]) {
      self.name = name
      self.why = why
      self.action = action
      self.calls = calls
    }
  }

  public var defaultAction: Default
  public var groups: [Group]
  public init(defaultAction: Default, groups: [Group]) {
    self.defaultAction = defaultAction
    self.groups = groups
  }
}
