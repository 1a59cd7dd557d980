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

  func names(in path: String) -> [String] {
    ((try? Files.names(in: ByteString(path))) ?? []).compactMap {
      String(validating: $0, as: UTF8.self)
    }
  }

  func linkTarget(of path: String) -> String? {
    guard let target = try? Files.readLink(ByteString(path)) else { return nil }
    return String(validating: target, as: UTF8.self)
  }
}
