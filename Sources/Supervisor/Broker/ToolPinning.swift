internal import Broker
internal import JSON
internal import Kernel

/// What tools execute is part of what is judged: a lease and an approval hold for the very files that were there
/// when they were given, by digest, and for none that programs of the run could have changed meanwhile.
extension BrokerMethods {
  /// A command, by the name under which it is looked for again.
  typealias Commands = [(name: String, words: [String])]
  typealias Programs = [String: ToolProgram]

  /// What a thread finds.
  private final class Found: @unchecked Sendable {
    var programs: Programs = [:]
    var problem: BrokerError?
  }

  /// Looks at what the commands execute, in a thread.
  /// - Parameters:
  ///   - expected: what was looked at before; whatever is missing in it is not compared.
  ///   - then: called in the loop; the error is `changed` when one of them is another now, or can be made another.
  func look(
    _ commands: Commands, expecting expected: Programs = [:],
    then: @escaping (Result<Programs, BrokerError>) -> Void
  ) throws(BrokerError) {
    let programs = try runner().programs
    let found = Found()
    try blocking.run {
      do throws(BrokerError) {
        for (name, words) in commands {
          found.programs[name] = try Self.looked(name, words, programs, expected[name])
        }
      } catch { found.problem = error }
    } done: { isInTime in
      if !isInTime {
        then(.failure(BrokerError(.failed, "the file system does not answer")))
      } else if let problem = found.problem {
        then(.failure(problem))
      } else {
        then(.success(found.programs))
      }
    }
  }

  private static func looked(
    _ name: String, _ words: [String], _ programs: ToolPrograms, _ expected: ToolProgram?
  ) throws(BrokerError) -> ToolProgram {
    let program = try programs.look(words)
    if let path = program.changeable {
      throw BrokerError(
        .changed,
        "\(name): programs of the run could change \(path), which it executes; "
          + "keep that outside of what they may write")
    }
    guard let other = expected.flatMap({ program.difference(from: $0) }) else { return program }
    throw BrokerError(.changed, "\(name): \(other) is not what it was when it was judged")
  }
}

extension ToolProgram {
  /// The first of its files that is another than it was before; nil when none is.
  func difference(from before: ToolProgram) -> String? {
    if before.files == files { return nil }
    let other = zip(before.files, files).first { $0.0 != $0.1 }
    return (other?.1 ?? files.last ?? before.files.last)?.path ?? "what it executes"
  }
}
