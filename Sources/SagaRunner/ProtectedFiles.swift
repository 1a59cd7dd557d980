internal import Kernel
internal import Paths
internal import Saga

/// What a step could change to be obeyed outside of its ring: the plan from which the next saga is made, and the
/// programs that tell of this one's steps or undo them. Each step is shown them read-only.
///
/// Only what is named as a program by its path, and is no link: a file among the arguments may be data that the
/// step is there to change, and a link would have to be refused.
enum ProtectedFiles {
  /// Each is a mount in each ring.
  private static let filesMax = 64

  static func of(_ plan: SagaPlan, _ header: SagaJournal.Header) -> [String] {
    var paths: [String] = []
    func add(_ path: String) {
      guard paths.count < filesMax, !paths.contains(path), path.hasPrefix("/"),
        let canonical = try? Files.canonical(ByteString(path)).text,
        let status = try? Files.status(of: ByteString(canonical)), status.kind == .regular,
        isSame(path, canonical)
      else { return }
      paths.append(canonical)
    }
    add(header.planFile)
    for step in plan.steps {
      for command in [step.compensation?.command, step.idempotency?.probe] {
        guard let program = command?.arguments[0].literal, program.contains("/") else { continue }
        add(program.hasPrefix("/") ? program : header.workspace + "/" + program)
      }
    }
    return paths
  }

  /// Whether no link leads there.
  private static func isSame(_ path: String, _ canonical: String) -> Bool {
    let parts = PathText.components(path).filter { $0 != "." }
    return PathText.areEqual("/" + parts.joined(separator: "/"), canonical)
  }
}
