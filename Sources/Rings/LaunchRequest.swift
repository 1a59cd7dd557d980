public import LaunchPlan

/// What lowering asks the machine; a table in tests.
public protocol HostView {
  /// What is at an absolute path itself, without following a link at its end; nil when nothing is there
  /// or it may not be seen.
  func kind(of path: String) -> HostFileKind?
  /// The raw text of a symbolic link.
  func linkTarget(of path: String) -> String?
  /// Names in the root directory of the kernel's /proc, processes left out; empty when it cannot be read.
  func kernelFiles() -> [String]
}

public enum HostFileKind: Equatable, Sendable {
  case file, directory, symbolicLink, device, other
}

/// A protection that the operator gave up by name, with `--degrade NAME`.
public enum Degradation: String, CaseIterable, Sendable {
  /// Neither namespaces nor mounts: Landlock, seccomp, capabilities and limits remain.
  case namespaces
  case landlock
  case seccomp
  /// Forbidden calls are refused without being reported (an outer sandbox holds the listener).
  case violations

  /// What is lost, for the warning and the record.
  public var loss: String {
    switch self {
    case .namespaces:
      "no namespaces: host processes, network and the names of files outside stay visible"
    case .landlock: "no Landlock: files are bounded by the mount view alone"
    case .seccomp: "no seccomp: every system call of the kernel is reachable"
    case .violations: "forbidden calls are refused but not reported"
    }
  }
}

/// One run to lower: the profile, the program and everything that the machine and the command line say.
public struct LaunchRequest: Sendable {
  public enum Starter: Equatable, Sendable {
    /// Root, with a host id that no other run uses.
    case root(hostUID: UInt32, hostGID: UInt32)
    case ordinary(uid: UInt32, gid: UInt32)
  }

  public struct Link: Equatable, Sendable {
    public var path: String
    public var target: String
    public init(path: String, target: String) {
      self.path = path
      self.target = target
    }
  }

  public struct Program: Equatable, Sendable {
    /// An absolute path.
    public var executable: String
    public var arguments: [[UInt8]]
    /// Parts of the host that the program needs, read-only, as they were judged.
    public var reads: [Share]
    /// Symbolic links that the program's own paths cross, made after the mounts.
    public var links: [Link]
    public var environment: [(name: String, value: [UInt8])]
    /// The directories of PATH inside; empty leaves the profile's.
    public var searchPath: [String]
    public init(
      executable: String, arguments: [[UInt8]], reads: [Share], links: [Link],
      environment: [(name: String, value: [UInt8])], searchPath: [String]
    ) {
      self.executable = executable
      self.arguments = arguments
      self.reads = reads
      self.links = links
      self.environment = environment
      self.searchPath = searchPath
    }
    public static func == (a: Program, b: Program) -> Bool {
      a.executable == b.executable && a.arguments == b.arguments && a.reads == b.reads
        && a.links == b.links && a.searchPath == b.searchPath
        && a.environment.elementsEqual(b.environment) { $0.name == $1.name && $0.value == $1.value }
    }
  }

  /// A part of the host that the operator named, as it was judged.
  public struct Share: Equatable, Sendable {
    /// Canonical and absolute.
    public var path: String
    public var judged: LaunchPlan.Judged
    /// On disk, when the program is to take that owner's place; nil leaves the owners as they are.
    public var owner: LaunchPlan.Owner?
    public init(path: String, judged: LaunchPlan.Judged, owner: LaunchPlan.Owner?) {
      self.path = path
      self.judged = judged
      self.owner = owner
    }
  }

  /// A directory of the host that holds `upper` and `work` for overlayfs.
  public struct Layers: Equatable, Sendable {
    public var path: String
    public var judged: LaunchPlan.Judged
    /// Of another transaction, whose changes are seen and stay as they are.
    public var base: LaunchPlan.Base?
    public init(path: String, judged: LaunchPlan.Judged, base: LaunchPlan.Base? = nil) {
      self.path = path
      self.judged = judged
      self.base = base
    }
  }

  public struct Workspace: Equatable, Sendable {
    public var share: Share
    public var access: RingProfile.Access
    /// Where what the run writes goes instead, in a transaction.
    public var layers: Layers?
    public var path: String { share.path }
    public init(share: Share, access: RingProfile.Access, layers: Layers? = nil) {
      self.share = share
      self.access = access
      self.layers = layers
    }
  }

  public var profile: RingProfile
  public var seccomp: [UInt8]
  public var program: Program
  public var workspace: Workspace
  /// Of `--read`.
  public var reads: [Share]
  /// Of `--write` and of the profile's `filesystem.write`.
  public var writes: [Share]
  public var starter: Starter
  public var userName: String
  public var home: String
  public var workingDirectory: String
  /// The caller's environment, `NAME=VALUE`.
  public var callerEnvironment: [[UInt8]]
  /// Of `--env`, in order; the last one of a name wins.
  public var environment: [(name: String, value: [UInt8])]
  public var terminal: UInt8
  public var landlockABI: Int
  public var degraded: Set<Degradation>
  /// Of the ring's network, in its own order; empty when nothing may be reached.
  public var sockets: [LaunchPlan.RingSocket]
  /// Directories inside what the program may write that become mounts of their own, so that they stay where
  /// they are; parents before children.
  public var guards: [Share]
  /// Files and directories inside what the program may write that it can only read.
  public var obeyed: [Share]
  /// Covered after everything else.
  public var hidden: [String]
  /// Whether the program has a broker to ask.
  public var hasBroker: Bool
  /// Secrets, as files in `credentialsDirectory` that the program can only read.
  public var credentials: [Credential] = []

  public struct Credential: Equatable, Sendable {
    /// Of the file.
    public var name: String
    public var bytes: [UInt8]
    public init(name: String, bytes: [UInt8]) {
      self.name = name
      self.bytes = bytes
    }
  }

  /// Inside of a private root.
  public static let credentialsDirectory = "/run/credentials"

  public init(
    profile: RingProfile, seccomp: [UInt8], program: Program, workspace: Workspace,
    reads: [Share], writes: [Share], starter: Starter, userName: String, home: String,
    workingDirectory: String, callerEnvironment: [[UInt8]],
    environment: [(name: String, value: [UInt8])], terminal: UInt8, landlockABI: Int,
    degraded: Set<Degradation>, sockets: [LaunchPlan.RingSocket] = [],
    guards: [Share] = [], obeyed: [Share] = [], hidden: [String] = [], hasBroker: Bool = false
  ) {
    self.profile = profile
    self.seccomp = seccomp
    self.program = program
    self.workspace = workspace
    self.reads = reads
    self.writes = writes
    self.starter = starter
    self.userName = userName
    self.home = home
    self.workingDirectory = workingDirectory
    self.callerEnvironment = callerEnvironment
    self.environment = environment
    self.terminal = terminal
    self.landlockABI = landlockABI
    self.degraded = degraded
    self.sockets = sockets
    self.guards = guards
    self.obeyed = obeyed
    self.hidden = hidden
    self.hasBroker = hasBroker
  }
}

/// Why a request cannot become a plan.
public struct LoweringError: Error, Equatable, Sendable {
  public let message: String
  public let hint: String
  public init(message: String, hint: String) {
    self.message = message
    self.hint = hint
  }
}
