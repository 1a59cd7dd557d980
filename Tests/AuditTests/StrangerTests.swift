import Audit
import AuditStore
import JSON
import Kernel
import TestSupport
import Testing

/// A verifier that shares no line with ours reads our log: PyPI's pymerkle, cryptography and rfc8785.
enum Stranger {
  private static let folder = "/tmp/agt-audit-venv"
  static let python = folder + "/bin/python"

  /// Whether the environment could be made; it is kept for the next run.
  static let isAvailable: Bool = {
    func works(_ words: [String]) -> Bool {
      Command(words).with { $0.timeoutSeconds = 120 }.run().status == 0
    }
    let imports = [python, "-c", "import pymerkle, cryptography, rfc8785"]
    if File.exists(python), works(imports) { return true }
    return works(["/usr/bin/python3", "-m", "venv", folder])
      && works([
        python, "-m", "pip", "install", "--quiet", "pymerkle==7.0.0", "cryptography",
        "rfc8785==0.1.4",
      ])
  }()

  static var script: String { File.parent(#filePath) + "/verify_log.py" }

  static func verify(_ directory: String, _ key: VerifierKey, kept: String) -> Completed {
    Command([python, script, directory, key.text, kept]).with { $0.timeoutSeconds = 120 }.run()
  }
}

@Suite(.enabled(if: Stranger.isAvailable, "needs Python and PyPI"))
struct StrangerTests {
  @Test func acceptsOurLogAndNothingElse() throws {
    let site = LogSite()
    let writer = try site.create(segmentMaxBytes: 4000)
    for number in 0..<60 {
      try writer.append(
        EntryKind.allCases[number % EntryKind.allCases.count],
        timeMilliseconds: 1_764_000_000_000 + UInt64(number),
        data: [
          "text": .string("\u{20AC} \"quoted\" \u{1} \u{7F} line\nfeed \u{1F600}"),
          "n": JSONValue(number * 7_919), "rule": "deny-all", "nothing": .null,
          "list": [true, "a", [:]], "\u{FB33}": "after \u{1F600}", "": -1,
        ])
      try writer.commit()
      if number == 40 {
        let note = writer.head.signed(by: [site.key])
        site.scratch.write("kept", bytes: note.bytes)
      }
    }
    #expect(site.segments.count > 2)
    let run = Stranger.verify(site.path, site.verifier, kept: site.scratch.path + "/kept")
    #expect(run.status == 0 && run.out == "accepted 60\n", "\(run.summary)")
  }

  /// It can reject a file as well.
  @Test func rejectsAChangedFile() throws {
    let site = LogSite()
    let writer = try site.create()
    for number in 0..<3 { try site.append(writer, number) }
    site.scratch.write("kept", bytes: writer.head.signed(by: [site.key]).bytes)
    let file = "log/" + site.segments[0]
    let text = try #require(site.scratch.read(file))
    site.scratch.write(file, text.replacing("\"n\":1", with: "\"n\":2"))
    let run = Stranger.verify(site.path, site.verifier, kept: site.scratch.path + "/kept")
    #expect(run.status != 0 && run.err.contains("another beginning"), "\(run.summary)")
  }
}
