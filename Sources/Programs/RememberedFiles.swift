/// A file system whose answers about names are kept for one resolution: paths share most of their
/// directories, and what was judged once is not judged differently a moment later.
final class RememberedFiles: ProgramFiles {
  private enum Status {
    case found(FileEntry)
    case failed(FileFailure)
  }
  private enum Target {
    case found([UInt8])
    case failed(FileFailure)
  }
  private struct Known {
    var status: Status?
    var target: Target?
  }

  private let files: any ProgramFiles
  /// One dictionary: each type of one costs a launch its making.
  private var known: [Path: Known] = [:]

  init(_ files: any ProgramFiles) { self.files = files }

  func status(_ path: Path) throws(FileFailure) -> FileEntry {
    if known[path]?.status == nil {
      let answer: Status
      do throws(FileFailure) { answer = .found(try files.status(path)) } catch {
        answer = .failed(error)
      }
      known[path, default: Known()].status = answer
    }
    switch known[path]!.status! {
    case .found(let entry): return entry
    case .failed(let failure): throw failure
    }
  }

  func readLink(_ path: Path) throws(FileFailure) -> [UInt8] {
    if known[path]?.target == nil {
      let answer: Target
      do throws(FileFailure) { answer = .found(try files.readLink(path)) } catch {
        answer = .failed(error)
      }
      known[path, default: Known()].target = answer
    }
    switch known[path]!.target! {
    case .found(let target): return target
    case .failed(let failure): throw failure
    }
  }

  func read(_ path: Path, offset: UInt64, limit: Int) throws(FileFailure) -> [UInt8] {
    try files.read(path, offset: offset, limit: limit)
  }

  func names(in directory: Path, limit: Int) throws(FileFailure) -> [[UInt8]] {
    try files.names(in: directory, limit: limit)
  }

  func mayExecute(_ path: Path) -> Bool { files.mayExecute(path) }
}
