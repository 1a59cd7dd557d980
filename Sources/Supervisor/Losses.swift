internal import Glibc
internal import Kernel
internal import Rings

/// What the ring promises and this run does not keep: given up by name, or refused.
enum Losses {
  /// - Throws: when the machine lacks something that the operator did not give up.
  static func check(_ request: LaunchRequest) throws(RunError) -> [Loss] {
    var losses = request.degraded.sorted { $0.rawValue < $1.rawValue }.map {
      Loss(name: $0.rawValue, explanation: $0.loss)
    }
    if request.degraded.contains(.namespaces), case .ordinary = request.starter {
      losses.append(
        Loss(
          name: "securebits",
          explanation: "an ordinary user can neither lock them, nor empty the bounding set, nor "
            + "leave its groups: no_new_privs alone keeps programs from gaining capabilities"))
    }
    let landlock = request.profile.landlock
    if landlock.files != .none, !request.degraded.contains(.landlock) {
      guard request.landlockABI > 0 else {
        throw RunError(
          .notConfined,
          "ring \(request.profile.ring): landlock: this kernel has none, or it is switched off",
          hint: "boot with lsm=landlock,… (Linux 5.13 or newer); --degrade landlock goes on without"
        )
      }
      // Without an own network namespace only Landlock keeps the host's abstract sockets away.
      if landlock.scopeAbstractUnixSocket, request.landlockABI < 6,
        request.degraded.contains(.namespaces) || !request.profile.namespaces.contains(.network)
      {
        losses.append(
          Loss(
            name: "landlock-scopes",
            explanation: "Landlock ABI \(request.landlockABI) knows no scopes (Linux 6.12): "
              + "abstract Unix sockets of the host stay reachable"))
      }
    }
    return losses
  }
}
