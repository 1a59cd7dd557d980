@testable import Programs

/// A file system in memory. Everything is owned by user 1000 and may be executed when its mode says
/// so.
struct MemoryFiles: ProgramFiles {
  enum Node: Equatable {
    case directory
    case file([UInt8], mode: UInt32)
    case link([UInt8])
    case other
  }

  private(set) var nodes: [Path: Node] = ["/": .directory]

  init(_ build: (inout MemoryFiles) -> Void = { _ in }) { build(&self) }

  private mutating func put(_ path: Path, _ node: Node) {
    precondition(path.isAbsolute)
    if path != "/", path.parent != "/", nodes[path.parent] == nil { directory(path.parent) }
    nodes[path] = node
  }

  mutating func directory(_ path: Path) { if nodes[path] != .directory { put(path, .directory) } }
  mutating func link(_ path: Path, _ target: String) { put(path, .link(Array(target.utf8))) }
  mutating func file(_ path: Path, _ text: String = "") {
    put(path, .file(Array(text.utf8), mode: 0o644))
  }
  mutating func script(_ path: Path, _ text: String) {
    put(path, .file(Array(text.utf8), mode: 0o755))
  }
  mutating func bytes(_ path: Path, _ bytes: [UInt8], mode: UInt32 = 0o755) {
    put(path, .file(bytes, mode: mode))
  }
  mutating func other(_ path: Path) { put(path, .other) }
  mutating func remove(_ path: Path) { nodes[path] = nil }
  mutating func elf(
    _ path: Path, loader: String? = "/lib64/ld-linux-x86-64.so.2", needed: [String] = [],
    runpath: String? = nil
  ) {
    put(path, .file(elfBytes(loader: loader, needed: needed, runpath: runpath), mode: 0o755))
  }

  func status(_ path: Path) throws(FileFailure) -> FileEntry {
    guard let node = nodes[path] else { throw .missing }
    let (kind, mode, size): (FileEntry.Kind, UInt32, Int) =
      switch node {
      case .directory: (.directory, 0o755, 0)
      case .file(let bytes, let mode): (.regular, mode, bytes.count)
      case .link(let target): (.symbolicLink, 0o777, target.count)
      case .other: (.other, 0o666, 0)
      }
    return FileEntry(
      kind: kind, mode: mode, owner: 1000, group: 100, sizeBytes: UInt64(size), device: 1,
      inode: UInt64(truncatingIfNeeded: path.bytes.reduce(5381) { ($0 &* 33) &+ Int($1) }))
  }

  func readLink(_ path: Path) throws(FileFailure) -> [UInt8] {
    guard case .link(let target) = nodes[path] else { throw .other(errno: 22) }
    return target
  }

  func read(_ path: Path, offset: UInt64, limit: Int) throws(FileFailure) -> [UInt8] {
    guard case .file(let bytes, _) = nodes[path] else { throw .other(errno: 22) }
    guard offset < UInt64(bytes.count) else { return [] }
    return Array(bytes[Int(offset)...].prefix(limit))
  }

  func names(in directory: Path, limit: Int) throws(FileFailure) -> [[UInt8]] {
    guard nodes[directory] == .directory else { throw .missing }
    return Array(
      nodes.keys.filter { $0 != "/" && $0.parent == directory }.map(\.name).prefix(limit))
  }

  func mayExecute(_ path: Path) -> Bool {
    guard case .file(_, let mode) = nodes[path] else { return false }
    return mode & 0o111 != 0
  }
}

/// A small ELF image with the headers that are read (elf(5)).
func elfBytes(
  loader: String?, needed: [String] = [], runpath: String? = nil, machine: UInt16 = 62
) -> [UInt8] {
  func number(_ value: UInt64, _ bytes: Int) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }
  func segment(_ type: UInt64, _ offset: Int, _ size: Int) -> [UInt8] {
    number(type, 4) + number(4, 4) + number(UInt64(offset), 8)
      + number(0x40_0000 + UInt64(offset), 8)
      + number(0, 8) + number(UInt64(size), 8) + number(UInt64(size), 8) + number(8, 8)
  }
  var strings: [UInt8] = [0]
  func place(_ text: String) -> UInt64 {
    defer { strings += Array(text.utf8) + [0] }
    return UInt64(strings.count)
  }
  let isDynamic = loader != nil || !needed.isEmpty || runpath != nil
  var entries: [(UInt64, UInt64)] = needed.map { (1, place($0)) }
  if let runpath { entries.append((29, place(runpath))) }
  let headers = 64 + 56 * 3
  let interpreter: [UInt8] = loader.map { Array($0.utf8) + [0] } ?? []
  let stringsOffset = headers + interpreter.count
  entries.append((5, 0x40_0000 + UInt64(stringsOffset)))
  entries.append((0, 0))
  let dynamic = entries.flatMap { number($0.0, 8) + number($0.1, 8) }
  // The string table is read in pages, so the file goes on behind it.
  let total = stringsOffset + strings.count + dynamic.count
  var table: [[UInt8]] = [segment(1, 0, total)]
  if loader != nil { table.append(segment(3, headers, interpreter.count)) }
  if isDynamic { table.append(segment(2, stringsOffset + strings.count, dynamic.count)) }
  let count = UInt64(table.count)
  var header: [UInt8] = ELFImage.magic + [2, 1, 1, 0] + number(0, 8)
  header += number(3, 2) + number(UInt64(machine), 2) + number(1, 4) + number(0, 8) + number(64, 8)
  header += number(0, 8) + number(0, 4) + number(64, 2) + number(56, 2) + number(count, 2)
  header += number(0, 6)
  while table.count < 3 { table.append([UInt8](repeating: 0, count: 56)) }
  return Array([header, Array(table.joined()), interpreter, strings, dynamic].joined())
}

/// A Debian-like machine with a user, a workspace and secrets.
func debian(_ build: (inout MemoryFiles) -> Void = { _ in }) -> MemoryFiles {
  MemoryFiles { files in
    files.link("/bin", "usr/bin")
    files.link("/lib64", "usr/lib64")
    files.link("/lib", "usr/lib")
    files.elf("/usr/lib64/ld-linux-x86-64.so.2", loader: nil)
    for name in ["env", "bash", "dash", "node", "perl", "python3.11"] {
      files.elf(Path("/usr/bin/\(name)"))
    }
    files.link("/usr/bin/sh", "dash")
    files.link("/usr/bin/python3", "python3.11")
    files.file("/usr/lib/python3.11/os.py")
    files.directory("/usr/local/bin")
    files.directory("/tmp")
    files.directory("/home/me/work")
    files.file("/home/me/.ssh/id_ed25519", "SECRET")
    files.file("/home/me/.aws/credentials", "SECRET")
    build(&files)
  }
}

let systemPath = "/usr/local/bin:/usr/bin:/bin"

/// Resolves in the workspace /home/me/work with the ring's usual visible directories.
func resolve(
  _ files: MemoryFiles, _ command: String, _ arguments: [String] = [],
  path: String = systemPath, _ variables: [String: String] = [:],
  workingDirectory: Path = "/home/me/work", workspace: Path = "/home/me/work"
) throws(ProgramError) -> ResolvedProgram {
  var environment = ["HOME": "/home/me", "PATH": path]
  environment.merge(variables) { $1 }
  let resolver = ProgramResolver(
    files: files, environment: CallerEnvironment(environment), workingDirectory: workingDirectory,
    visible: ["/usr", "/bin", "/lib", "/lib64"], workspace: workspace, machine: .amd64)
  return try resolver.resolve(command: command, arguments: arguments)
}

extension ResolvedProgram {
  var mounted: [String] { reads.map(\.path.description) }
  var words: [String] { arguments.map { String(decoding: $0, as: UTF8.self) } }
  var linked: [String] {
    links.map { "\($0.path) -> \(String(decoding: $0.target, as: UTF8.self))" }
  }
  func variable(_ name: String) -> String? {
    environment.first { $0.name == name }.map { String(decoding: $0.value, as: UTF8.self) }
  }
}

/// The reason of the error that the body throws; nil when it throws none.
func reason(_ body: () throws(ProgramError) -> ResolvedProgram) -> ProgramError.Reason? {
  do {
    _ = try body()
    return nil
  } catch {
    return error.reason
  }
}
