internal import Kernel

/// One of the two sockets of a relayed connection, and what the loop is asked to tell of it.
struct RelaySide {
  /// Of the socket, which the relay owns; nil when there is none.
  let raw: Int32?
  private var interest: Poller.Interest = []
  private var isWatched = false

  init(_ raw: Int32?) { self.raw = raw }

  func isAsked(for wanted: Poller.Interest) -> Bool { interest.contains(wanted) }

  /// - Parameter hasEnded: nothing more will be written to this side. When it does not send either, both
  ///   directions are over, and while its last bytes wait for the other side the kernel would say so
  ///   again and again; a side that nothing is wanted of is then not watched at all.
  mutating func want(
    _ wanted: Poller.Interest, hasEnded: Bool, _ watches: NetworkWatches,
    _ handler: any NetworkHandler
  ) throws(SyscallError) {
    guard let number = raw else { return }
    let isWanted = !(wanted.isEmpty && hasEnded)
    defer { interest = wanted }
    if isWanted, !isWatched {
      try watches.watch(number, wanted, handler)
      isWatched = true
    } else if isWanted, wanted != interest {
      try watches.change(number, wanted)
    } else if !isWanted {
      unwatch(watches)
    }
  }

  /// Before the socket is closed.
  mutating func unwatch(_ watches: NetworkWatches) {
    if isWatched, let number = raw { watches.unwatch(number) }
    isWatched = false
  }
}
