internal import Glibc
internal import Kernel

/// Stands between a program and what it writes to, where `--output` limits how much and no terminal of ours is
/// between them: pipes for the program, whose bytes are counted and passed on.
///
/// Its user wants a program that floods to have an end, and everything else as before. What can go wrong: whoever
/// reads is slow; then the program waits, as it would without us. Whoever reads is gone; then the program's pipe
/// breaks as well. It must never lose what was written within the limit, wait for a reader in the loop, or exist in
/// a run without such a limit, whose program has the descriptors themselves.
final class OutputRelay: RunService {
  private final class Stream {
    /// Ours, for the program's numbers.
    let numbers: [Int32]
    let sink: Int32
    /// The same opened anew, so that a write to it never waits; nil where that is not possible.
    let own: OwnedFD?
    let isFile: Bool
    var reader: OwnedFD?
    /// What the sink has not taken; until then no more is read.
    var pending: ArraySlice<UInt8> = []
    var isWaiting = false

    init(_ numbers: [Int32], _ kind: FileStatus.Kind, _ reader: consuming OwnedFD) {
      self.numbers = numbers
      sink = numbers[0]
      isFile = kind == .regular || kind == .blockDevice
      own =
        kind == .fifo
        ? try? Files.open(
          ByteString("/proc/self/fd/\(numbers[0])"), O_WRONLY | O_NONBLOCK | O_NOCTTY) : nil
      self.reader = consume reader
    }

    var place: Int32 { own.raw ?? sink }
  }

  private var streams: [Stream] = []
  private var writers: [OwnedFDBox] = []
  private weak var loop: RunLoop?
  private var failure: SyscallError?

  private final class OwnedFDBox {
    let descriptor: OwnedFD
    init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
  }

  private static let chunkBytes = 65536
  /// What a pipe or socket that can be written takes without waiting (pipe(7)).
  private static let pieceBytes = 4096
  /// For a reader that takes nothing when the run was ended.
  private static let patienceMilliseconds: Int32 = 5000

  /// nil when the output is not limited, or a terminal of the ring's is between anyway.
  static func make(_ options: RunOptions) throws(RunError) -> OutputRelay? {
    guard options.outputBytes != nil, !options.detach else { return nil }
    let numbers = [Int32(1), 2].filter { !Descriptors.isTerminal($0) }
    if numbers.isEmpty { return nil }
    try checkInput(numbers)
    do throws(SyscallError) { return try OutputRelay(numbers) } catch {
      throw RunError(.internalFailure, "--output: \(error.description)")
    }
  }

  /// What the program can write to through its standard input, nobody counts.
  private static func checkInput(_ numbers: [Int32]) throws(RunError) {
    guard let input = try? Files.status(0), (try? Descriptors.isReadOnly(0)) == false,
      input.kind == .socket
        || numbers.contains(where: { (try? Files.status($0))?.identity == input.identity })
    else { return }
    throw RunError(
      .usage, "--output: standard input can be written to, and nobody counts that",
      hint: "give it another one: </dev/null, or cat | agt-run …")
  }

  private init(_ numbers: [Int32]) throws(SyscallError) {
    let states = try numbers.map { (number) throws(SyscallError) in try Files.status(number) }
    // One pipe for both where both lead to the same, so that the order of what is written stays.
    let isShared = states.count == 2 && states[0].identity == states[1].identity
    for (group, state) in zip(isShared ? [numbers] : numbers.map { [$0] }, states) {
      let pipe = try Descriptors.pipe()
      writers.append(OwnedFDBox(try pipe.writer.duplicate()))
      let reader = pipe.takeReader()
      try Descriptors.setNonBlocking(reader.raw, true)
      streams.append(Stream(group, state.kind, reader))
    }
  }

  /// (ours, number in the stage).
  var standard: [(Int32, Int32)] {
    zip(writers, streams).flatMap { writer, stream in
      stream.numbers.map { (writer.descriptor.raw, $0) }
    }
  }

  // MARK: RunService

  /// The stage runs by now: from here on only the ring writes.
  func start(in loop: RunLoop) throws(SyscallError) {
    self.loop = loop
    writers = []
    for stream in streams {
      if let number = stream.reader.raw { try loop.watch(number, .input, for: self) }
    }
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    for stream in streams {
      if event.descriptor == stream.reader.raw { read(stream, loop) }
      if event.descriptor == stream.place { write(stream, loop) }
      try arrange(stream, loop)
    }
  }

  private func arrange(_ stream: Stream, _ loop: RunLoop) throws(SyscallError) {
    let waits = !stream.pending.isEmpty
    guard waits != stream.isWaiting else { return }
    stream.isWaiting = waits
    if waits {
      try loop.watch(stream.place, .output, for: self)
    } else {
      try loop.unwatch(stream.place)
    }
    if let number = stream.reader.raw { try loop.change(number, waits ? [] : .input) }
  }

  private static func rest(until: UInt64) -> Int32 {
    let now = Clock.monotonicNanoseconds()
    return now < until ? Int32((until - now) / 1_000_000) : 0
  }

  /// - Returns: how many bytes came.
  @discardableResult
  private func read(_ stream: Stream, _ loop: RunLoop) -> Int {
    guard let number = stream.reader.raw, stream.pending.isEmpty else { return 0 }
    do throws(SyscallError) {
      let bytes = try Descriptors.read(number, upTo: Self.chunkBytes)
      if !bytes.isEmpty {
        stream.pending = loop.meter?.passed(bytes) ?? bytes[...]
        write(stream, loop)
        return bytes.count
      }
    } catch { if error.errno == EAGAIN { return 0 } }
    close(stream, loop)
    return 0
  }

  /// As much as goes without waiting.
  private func write(_ stream: Stream, _ loop: RunLoop) {
    do throws(SyscallError) {
      while !stream.pending.isEmpty {
        var piece = stream.pending
        if stream.own.raw == nil, !stream.isFile {
          guard Descriptors.isWritable(stream.sink) else { return }
          piece = piece.prefix(Self.pieceBytes)
        }
        stream.pending = stream.pending.dropFirst(try Descriptors.writeSome(stream.place, piece))
      }
    } catch {
      if error.errno == EAGAIN { return }
      // The program meets the same: its pipe breaks.
      if error.errno != EPIPE, failure == nil { failure = error }
      stream.pending = []
      close(stream, loop)
    }
  }

  private func close(_ stream: Stream, _ loop: RunLoop) {
    if let number = stream.reader.raw { try? loop.unwatch(number) }
    stream.reader = nil
  }

  func finish() {}

  /// What the program wrote last, once the ring is gone: whoever reads gets it, however long that takes, unless the run
  /// was ended, its time is over, or somebody asks us to go. Others may have the pipe as well by then, and write for ever.
  func pass(in loop: RunLoop) {
    let until = Clock.monotonicNanoseconds() + UInt64(Self.patienceMilliseconds) * 1_000_000
    for stream in streams {
      if stream.isWaiting { try? loop.unwatch(stream.place) }
      write(stream, loop)
      var left = stream.reader.raw.map { Descriptors.waitingBytes($0) } ?? 0
      while true {
        if stream.pending.isEmpty {
          guard left > 0 else { break }
          let count = read(stream, loop)
          if count == 0 { break }
          left -= count
          continue
        }
        let goesOn =
          loop.wasEnded
          ? Descriptors.isWritable(stream.place, withinMilliseconds: Self.rest(until: until))
          : (try? loop.linger(until: stream.place, .output, isTimed: true)) == true
        guard goesOn else { break }
        write(stream, loop)
      }
    }
    if let failure {
      Output.complain(
        RunError(.internalFailure, "passing the program's output on: \(failure.description)"))
    }
  }
}
