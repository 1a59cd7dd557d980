internal import Glibc
public import Kernel
public import Saga

/// The journal of a saga that runs: lines are added, and are on the disk when `append` returns.
public final class JournalFile {
  private let file: OwnedFD
  private var number: Int
  public private(set) var syncCount = 0
  public private(set) var syncNanoseconds: UInt64 = 0

  /// Cuts off what a crash tore.
  public init(_ directory: SagaDirectory, recordCount: Int, validBytes: Int) throws(SyscallError) {
    file = try Files.open(ByteString(directory.journal), O_WRONLY | O_APPEND | O_NOFOLLOW)
    number = recordCount
    if try Files.status(file.raw).sizeBytes > validBytes {
      try Files.truncate(file.raw, toBytes: Int64(validBytes))
      try Files.sync(file.raw)
    }
  }

  public func append(_ records: [SagaRecord]) throws(SyscallError) {
    guard !records.isEmpty else { return }
    var bytes: [UInt8] = []
    for record in records {
      number += 1
      bytes += SagaJournal.line(record, number: number)
    }
    try Descriptors.write(file.raw, bytes)
    let began = Clock.monotonicNanoseconds()
    try Files.syncData(file.raw)
    syncNanoseconds += Clock.monotonicNanoseconds() - began
    syncCount += 1
  }
}
