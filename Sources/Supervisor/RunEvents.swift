internal import JSON
internal import Kernel

/// One JSON line per event on the descriptor of --status-fd. A reader that is gone or does not read is no
/// reason to stop the run: its events are lost, the run's record is not.
struct RunEvents {
  let descriptor: Int32?
  /// What a pipe takes whole or not at all (PIPE_BUF, pipe(7)).
  private static let maximumBytes = 4096

  func emit(_ kind: String, _ members: JSONObject) {
    guard let descriptor, Descriptors.isWritable(descriptor) else { return }
    var object: JSONObject = ["event": .string(kind)]
    for member in members.members { object[member.name] = member.value }
    let line = JSONWriter.compact(.object(object)) + [10]
    if line.count <= Self.maximumBytes { _ = try? Descriptors.writeSome(descriptor, line[...]) }
  }
}
