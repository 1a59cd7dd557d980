/// A file system whose answers about names are kept for one resolution: paths share most of their
/// directories, and what was judged once is not judged differently a moment later.
final class RememberedFiles: ProgramFiles {
  private let files: any ProgramFiles
  private var statuses: [Path: Result<FileEntry, FileFailure>] = [:]
  private var targets: [Path: Result<[UInt8], FileFailure>] = [:]

  init(_ files: any ProgramFiles) { self.files = files }

  func status(_ path: Path) throws(FileFailure) -> FileEntry {
    if let known = statuses[path] { return try known.get() }
    let answer: Result<FileEntry, FileFailure>
    do { answer = .success(try files.status(path)) } catch { answer = .failure(error) }
    statuses[path] = answer
    return try answer.get()
  }

  func readLink(_ path: Path) throws(FileFailure) -> [UInt8] {
    if let known = targets[path] { return try known.get() }
    let answer: Result<[UInt8], FileFailure>
    do { answer = .success(try files.readLink(path)) } catch { answer = .failure(error) }
    targets[path] = answer
    return try answer.get()
  }

  func read(_ path: Path, offset: UInt64, limit: Int) throws(FileFailure) -> [UInt8] {
    try files.read(path, offset: offset, limit: limit)
  }

  func names(in directory: Path, limit: Int) throws(FileFailure) -> [[UInt8]] {
    try files.names(in: directory, limit: limit)
  }

  func mayExecute(_ path: Path) -> Bool { files.mayExecute(path) }
}
