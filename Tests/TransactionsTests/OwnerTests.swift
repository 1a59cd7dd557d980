import Glibc
import Kernel
import TestSupport
import Testing

@testable import Transactions

/// Root commits into the workspace of somebody who changes it meanwhile. The layers are plain directories
/// here, and the store is the test's own: no run is needed for what a commit does.
@Suite(.enabled(if: Starter.isRoot, "needs root"))
struct TransactionOwnerTests {
  let scratch = Scratch()
  private var work: String { scratch.path }
  private var store: TransactionStore { TransactionStore(path: scratch.home + "/txn") }
  /// What is root's alone, and must stay as it is.
  private var outside: String { scratch.home + "/outside" }
  private static let owner = "12345"
  private let id = "01OWNERTEST"

  @discardableResult
  private func shell(_ script: String, as user: String = "0") -> String {
    let run = Command(
      [
        "/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "/bin/sh",
        "-ec", script,
      ], in: "/"
    ).run()
    #expect(run.status == 0, "\(script): \(run.summary)")
    return run.out
  }

  /// A kept transaction: `script` makes its upper layer.
  private func transaction(_ script: String) throws -> Transaction {
    shell("chmod 711 \(scratch.home); chown \(Self.owner):\(Self.owner) \(work)")
    shell("mkdir -m 700 \(outside); umask 077; echo secret > \(outside)/0; mkdir \(outside)/7")
    let made = try store.begin(
      id: id, workspace: work, status: try Files.status(of: ByteString(work)),
      marksAreUsers: false, command: [])
    shell(
      "cd \(made.layersPath)/upper && \(script) && chown -R \(Self.owner):\(Self.owner) . ")
    try made.keep()
    return made
  }

  private func picture() -> String {
    shell("find \(outside) -printf '%P %y %m %U %s\\n' | sort")
  }

  private var stage: String { work + "/" + Transaction.stagePrefix + id }

  @Test("what is no stage of ours is left alone and named", arguments: ["", "-again"])
  func foreignStage(_ suffix: String) throws {
    let transaction = try transaction("echo new > a")
    let before = picture()
    let place = stage + suffix
    for make in [
      "mkdir -m 700 \(place); echo mine > \(place)/0; mkdir \(place)/1",
      "ln -s \(outside) \(place)",
      "echo file > \(place)",
    ] {
      shell(make, as: Self.owner)
      let there = shell("find \(place) -printf '%p %y %m %U %s\\n' | sort")
      #expect(throws: TransactionError.self) { try transaction.removeStage() }
      if suffix.isEmpty {
        #expect(throws: TransactionError.self) { try transaction.commit(allowExecutable: true) }
      }
      #expect(shell("find \(place) -printf '%p %y %m %U %s\\n' | sort") == there)
      #expect(!File.exists(work + "/a"))
      shell("rm -r \(place)")
    }
    // Root's own directory, which the owner of the workspace may give another name.
    shell("cp -r \(outside) \(work)/roots; mv \(work)/roots \(place)")
    #expect(throws: TransactionError.self) { try transaction.discard() }
    #expect(File.read(place + "/0") == "secret\n" && File.exists(place + "/7"))
    #expect(try store.list().isEmpty, "it is discarded all the same")
    #expect(picture() == before)
  }

  @Test("a commit goes on only from its own stage") func swappedStage() throws {
    let transaction = try transaction("ln -s nowhere a")
    let before = picture()
    let manifest = Manifest(
      steps: [.place(ByteString("a"), number: 0, digest: nil)], isPartial: false)
    try transaction.replace(Transaction.manifestName, manifest.encoded)
    transaction.hasManifest = true
    for make in ["ln -s \(outside) \(stage)", "mkdir \(stage); echo x > \(stage)/0"] {
      shell(make, as: Self.owner)
      #expect {
        try transaction.finishCommit()
      } throws: {
        ($0 as? TransactionError)?.message.contains(stage) == true
      }
      #expect(!File.exists(work + "/a"))
      #expect(picture() == before)
      shell("rm -r \(stage)")
    }
    try transaction.finishCommit()
    #expect(File.linkTarget(work + "/a") == "nowhere")
    #expect(File.names(work) == ["a"])
  }

  @Test("a commit keeps the stage that it made") func keptStage() throws {
    let transaction = try transaction("echo new > a")
    let tree = try transaction.workspace()
    let upper = try transaction.upper()
    let changes = try transaction.changes()
    let made = try Stage.make(transaction.record, workspace: tree, upper: upper)
    let digests = try made.fill(changes)
    shell("mv \(stage) \(work)/elsewhere; mkdir \(stage); echo evil > \(stage)/0", as: Self.owner)
    let manifest = Manifest(changes, digests, isPartial: false)
    for step in manifest.steps { try made.perform(step, again: false) }
    #expect(File.read(work + "/a") == "new\n")
    made.remove()
    #expect(File.read(stage + "/0") == "evil\n")
  }

  @Test("removal does not follow a directory that is moved while it is in it") func moved() throws {
    let names = (1...8).map { "s\($0)" }
    shell(
      """
      cd \(work) && mkdir tree tree/b other && touch $(seq -f 'tree/%g' 100) $(seq -f 'other/%g' 100)
      cd tree/b && seq 40000 | xargs touch && touch \(names.joined(separator: " "))
      """)
    // Leaves when the first of these is gone.
    let areThere = names.map { "[ -e b/\($0) ]" }.joined(separator: " && ")
    let mover = Command.shell("cd \(work)/tree && while \(areThere); do :; done; mv b ../other/")
      .start()
    let tree = Tree(try Files.open(ByteString(work), O_RDONLY | O_DIRECTORY))
    #expect(throws: SyscallError(call: "openat", object: "b", errno: ESTALE)) {
      try Files.removeTree(ByteString("tree"), at: tree.root.raw)
    }
    #expect(mover.wait().status == 0)
    #expect(File.names(work + "/other")?.count == 101)
  }

  @Test("settling changes the directory that it judged, and nobody else's") func settled() throws {
    let transaction = try transaction("mkdir -m 755 d e; chmod 755 .")
    let tree = try transaction.workspace()
    let upper = try transaction.upper()
    let made = try Stage.make(transaction.record, workspace: tree, upper: upper)
    // The file of a third person, and root's directory, each under the name of the run's.
    shell(
      """
      cd \(work); echo x > f; chown 54321 f; chmod 600 f; mkdir -m 700 e
      mkdir d; chown \(Self.owner) d
      """)
    let swapper = Command.shell(
      "cd \(work); while [ -e f ] || [ -e d ] && [ ! -e stop ]; do "
        + "mv -T d d2; mv -T f d; mv -T d f; mv -T d2 d; done; [ -e d ] || mv d2 d"
    ).start()
    for _ in 0..<40_000 { try made.perform(.settle(ByteString("d")), again: false) }
    shell("touch \(work)/stop")
    #expect(swapper.wait().status == 0)
    let modes = "cd \(work); stat -c '%n %a %u' e f"
    try made.perform(.settle(ByteString("e")), again: true)
    #expect(shell(modes) == "e 700 0\nf 600 54321\n")
  }

  @Test("a commit that is stopped before its manifest leaves the layers as they were")
  func untouchedLayers() throws {
    scratch.write("a", "old")
    let transaction = try transaction("echo new > a; chmod 444 a; echo x > s; chmod 4755 s")
    let upper = try transaction.upper()
    let origin = ByteString("trusted.overlay.origin")
    let place = upper.root.raw
    try Files.setExtendedAttribute(origin, [1], of: ByteString("a"), at: place)
    let layers = "cd \(transaction.layersPath)/upper; stat -c '%n %a %U %h' a s"
    let before = shell(layers)
    let made = try Stage.make(
      transaction.record, workspace: try transaction.workspace(), upper: upper)
    _ = try made.fill(try transaction.changes())
    made.remove()
    #expect(shell(layers) == before)
    #expect(try Files.extendedAttribute(origin, of: ByteString("a"), at: place) == [1])
    try transaction.commit(allowExecutable: true)
    let workspace = try Files.open(ByteString(work), O_RDONLY | O_DIRECTORY)
    #expect(
      try Files.extendedAttributeNames(of: ByteString("a"), at: workspace.raw)
        .allSatisfy { !$0.starts(with: ByteString("trusted.")) })
    #expect(shell("cd \(work); stat -c '%n %a' a s") == "a 444\ns 755\n")
  }

  @Test("a new directory has its owner before it has its name") func newDirectory() throws {
    let transaction = try transaction("mkdir -m 751 d; echo x > d/f; touch -d @1000 d")
    #expect(try transaction.commit(allowExecutable: false) == .changes(2))
    #expect(
      shell("cd \(work); stat -c '%n %a %u %g %Y' d") == "d 751 \(Self.owner) \(Self.owner) 1000\n")
    #expect(File.names(work) == ["d"])
  }
}
