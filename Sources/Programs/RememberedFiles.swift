/// A file system whose answers about names are kept for one resolution: paths share most of their
/// directories, and what was judged once is not judged differently a moment later.
final class RememberedFiles: ProgramFiles {
  private struct Known {
    var status: Result<FileEntry, FileFailure>?
    var target: Result<[UInt8], FileFailure>?
  }

  private let files: any ProgramFiles
  /// One dictionary for both: the first use of each kind costs a launch its making.
  private var known: [Path: Known] = [:]

  init(_ files: any ProgramFiles) { self.files = files }

  func status(_ path: Path) throws(FileFailure) -> FileEntry {
    if let known = known[path]?.status { return try known.get() }
    let answer: Result<FileEntry, FileFailure>
    do { answer = .success(try files.status(path)) } catch { answer = .failure(error) }
    known[path, default: Known()].status = answer
    return try answer.get()
  }

  func readLink(_ path: Path) throws(FileFailure) -> [UInt8] {
    if let known = known[path]?.target { return try known.get() }
    let answer: Result<[UInt8], FileFailure>
    do { answer = .success(try files.readLink(path)) } catch { answer = .failure(error) }
    known[path, default: Known()].target = answer
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
