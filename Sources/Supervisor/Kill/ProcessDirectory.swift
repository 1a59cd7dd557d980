internal import Glibc
internal import Kernel

/// The open directory of one process in procfs (proc_pid(5)): what is read through it is of that process, and never of
/// a later one that was given the same number.
final class ProcessDirectory {
  let pid: Int32
  private let directory: OwnedFD

  /// nil when the process is gone or hidden.
  init?(_ pid: Int32) {
    guard let opened = try? Files.open(ByteString("/proc/\(pid)"), O_RDONLY | O_DIRECTORY) else {
      return nil
    }
    self.pid = pid
    directory = opened
  }

  /// nil when it is gone.
  var sample: ProcessSample? {
    read("stat", upTo: 4096).flatMap { ProcessSample(line: $0) }
  }

  /// Of all of its threads (proc_pid_task(5)); nil when it is gone.
  func children(threads: Int) -> [Int32]? {
    if threads == 1 { return numbers("task/\(pid)/children") }
    let tasks = ByteString("task")
    guard let place = try? Files.open(tasks, O_RDONLY | O_DIRECTORY, at: directory.raw),
      let names = try? Files.names(in: place)
    else { return nil }
    return names.flatMap { numbers("task/\($0.text)/children") ?? [] }
  }

  /// What stands between NUL bytes in a file of it.
  func words(_ name: String, upTo bytes: Int) -> [ArraySlice<UInt8>] {
    (read(name, upTo: bytes) ?? []).split(separator: 0)
  }

  /// The numbers of its open files, so many at most.
  func descriptors(upTo most: Int) -> [Int32] {
    var count = 0
    guard
      let place = try? Files.open(
        ByteString("fd"), O_RDONLY | O_DIRECTORY, at: directory.raw),
      let names = try? Files.names(
        in: place,
        until: { _ in
          count += 1
          return count > most
        })
    else { return [] }
    return names.compactMap { Int32($0.text) }.sorted()
  }

  /// Where a link leads; empty when it cannot be read.
  func link(_ name: String) -> ByteString {
    (try? Files.readLink(ByteString(name), at: directory.raw)) ?? []
  }

  /// Holds one of its namespaces (`ns/mnt`).
  func open(_ name: String) -> OwnedFD? {
    try? Files.open(ByteString(name), O_RDONLY, at: directory.raw)
  }

  /// pidfd_send_signal(2) takes this directory for a pidfd.
  func signal(_ number: Int32) {
    _ = try? Processes.signal(pidfd: directory.raw, number)
  }

  /// The kernel gives such lists in pieces of a page.
  private func numbers(_ name: String) -> [Int32]? {
    guard let file = open(name) else { return nil }
    return Self.numbers(file.raw)
  }

  static func numbers(_ file: Int32) -> [Int32]? {
    guard var bytes = try? Descriptors.read(file, upTo: 8192) else { return nil }
    while bytes.count >= pieceMin, bytes.count < listMax,
      let more = try? Descriptors.read(file, upTo: 8192), !more.isEmpty
    {
      bytes += more
    }
    return bytes.split(separator: 32).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }

  /// A shorter piece is the last one.
  private static let pieceMin = 4000
  private static let listMax = 1 << 20

  /// At most so much, in one call.
  private func read(_ name: String, upTo bytes: Int) -> [UInt8]? {
    guard let file = open(name) else { return nil }
    return try? Descriptors.read(file.raw, upTo: bytes)
  }
}
