internal import JSON
internal import Kernel

/// One JSON line per event on the descriptor of --status-fd. A reader that is gone or does not read is no
/// reason to stop the run: its events are lost, the run's record is not.
struct RunEvents {
  let descriptor: Int32?

  func emit(_ kind: String, _ members: JSONObject) {
    guard let descriptor else { return }
    var object: JSONObject = ["event": .string(kind)]
    for member in members.members { object[member.name] = member.value }
    _ = try? Descriptors.writeSome(descriptor, (JSONWriter.compact(.object(object)) + [10])[...])
  }
}
