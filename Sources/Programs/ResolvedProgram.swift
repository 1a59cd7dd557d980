/// A command ready for execve(2), with all that must be mounted for it to start.
public struct ResolvedProgram: Equatable, Sendable {
  /// A part of the host that must be visible at the same path, read-only.
  public struct ReadMount: Equatable, Sendable {
    public enum Kind: Equatable, Sendable { case file, directory }
    /// Absolute, without symbolic links.
    public var path: Path
    public var kind: Kind
    /// For people: what needs it.
    public var why: String
    /// Device and inode of what was judged: compare after opening, before mounting.
    public var device: UInt64
    public var inode: UInt64
    /// User and group on disk: another user inside may need them mapped to read the file.
    public var owner: UInt32
    public var group: UInt32

    public init(
      path: Path, kind: Kind, why: String, device: UInt64, inode: UInt64, owner: UInt32,
      group: UInt32
    ) {
      self.path = path
      self.kind = kind
      self.why = why
      self.device = device
      self.inode = inode
      self.owner = owner
      self.group = group
    }
  }

  /// A symbolic link that must exist inside with this target, because a path that the program
  /// uses crosses it. Its parent directory is a path without links.
  public struct Link: Equatable, Hashable, Sendable {
    public var path: Path
    public var target: [UInt8]
    public init(path: Path, target: [UInt8]) {
      self.path = path
      self.target = target
    }
  }

  public struct Variable: Equatable, Sendable {
    public var name: String
    public var value: [UInt8]
    public init(name: String, value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  /// The ELF image for execve(2): absolute and without links, except that a Python of a virtual
  /// environment keeps its name there (Python finds pyvenv.cfg from the path it was started by).
  public var executable: Path
  /// The whole argument vector with argv[0].
  public var arguments: [[UInt8]]
  /// Beyond what is visible and outside the workspace; no entry lies within another. Sorted, so
  /// that mounting them in this order never hides one under another.
  public var reads: [ReadMount]
  /// None lies within a mount or what is visible. To be made after the mounts.
  public var links: [Link]
  /// To be set over what the profile builds; PATH is not among them.
  public var environment: [Variable]
  /// The directories for PATH inside, in order: absolute, existing and visible there.
  public var searchPath: [Path]
  /// One sentence per decision, for `--explain`.
  public var trail: [String]

  public init(
    executable: Path, arguments: [[UInt8]], reads: [ReadMount], links: [Link],
    environment: [Variable], searchPath: [Path], trail: [String]
  ) {
    self.executable = executable
    self.arguments = arguments
    self.reads = reads
    self.links = links
    self.environment = environment
    self.searchPath = searchPath
    self.trail = trail
  }
}

/// The variables of the caller that steer which program a name means.
public struct CallerEnvironment: Sendable {
  private let entries: [[UInt8]]

  /// - Parameter entries: `NAME=value` as in environ(7); the first of two equal names counts, as
  ///   for getenv(3).
  public init(entries: [[UInt8]]) {
    self.entries = entries
  }

  public init(_ variables: [String: String]) {
    self.init(entries: variables.map { Array("\($0.key)=\($0.value)".utf8) })
  }

  /// The value, nil when unset or empty: the managers treat both alike.
  subscript(_ name: String) -> [UInt8]? {
    let start = Array(name.utf8) + [UInt8(ascii: "=")]
    guard let entry = entries.first(where: { $0.starts(with: start) }),
      entry.count > start.count, !entry.contains(0)
    else { return nil }
    return Array(entry[start.count...])
  }
}
