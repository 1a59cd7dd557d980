internal import Kernel
internal import Rings

/// The machine's files as lowering sees them.
struct HostFiles: HostView {
  func kind(of path: String) -> HostFileKind? {
    guard let status = try? Files.status(of: ByteString(path), followLink: false) else {
      return nil
    }
    return switch status.kind {
    case .regular: .file
    case .directory: .directory
    case .symbolicLink: .symbolicLink
    case .characterDevice, .blockDevice: .device
    case .fifo, .socket: .other
    }
  }

  /// The kernel lists its own files first and then as many processes as there are (proc_root_readdir in
  /// fs/proc/root.c), so the list is read until the first process. Were it ever otherwise, the first
  /// name would be a number, and everything is read.
  func kernelFiles() -> [String] {
    func isProcess(_ name: ByteString) -> Bool { name.allSatisfy { (48...57).contains($0) } }
    let place = ByteString("/proc")
    var names = (try? Files.names(in: place, until: isProcess)) ?? []
    if names.isEmpty { names = (try? Files.names(in: place)) ?? [] }
    return names.filter { !isProcess($0) }.compactMap { String(validating: $0, as: UTF8.self) }
  }

  func linkTarget(of path: String) -> String? {
    guard let target = try? Files.readLink(ByteString(path)) else { return nil }
    return String(validating: target, as: UTF8.self)
  }
}
