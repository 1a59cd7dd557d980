import Foundation
import Testing

/// The repository checks its own rules.
@Suite("Tidy") struct TidyTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func sources(_ folder: String) throws -> [(name: String, text: String)] {
    let place = root.appending(path: folder)
    let files = try FileManager.default.subpathsOfDirectory(atPath: place.path)
    return try files.filter { $0.hasSuffix(".swift") }.map {
      ("\(folder)/\($0)", try String(contentsOf: place.appending(path: $0), encoding: .utf8))
    }
  }

  /// Which module may import which of ours: arrows point down only (README, "Three processes").
  static let arrows: [String: Set<String>] = [
    "Kernel": ["CLinux", "CCapability"], "Hashing": ["CNettle"],
    "Audit": ["CNettle", "CSodium", "Hashing", "JSON"],
    "AuditStore": ["Audit", "Hashing", "JSON", "Kernel"],
    "JSON": [], "YAML": ["CYAML"], "LaunchPlan": [], "Paths": [],
    "Programs": ["JSON"], "Policy": ["CPCRE2", "Hashing", "JSON", "Paths", "YAML"],
    "Rings": ["CLinux", "CSeccomp", "JSON", "LaunchPlan", "Paths", "YAML"],
    "Network": ["Policy"], "Broker": ["JSON", "YAML"], "StageCore": ["Kernel", "LaunchPlan"],
    "Supervisor": [
      "Audit", "AuditStore", "Broker", "Hashing", "JSON", "Kernel", "LaunchPlan", "Network",
      "Paths", "Policy",
      "Programs", "Rings", "Saga",
      "Transactions", "YAML",
    ],
    "Saga": ["JSON", "YAML"],
    "SagaRunner": [
      "Hashing", "JSON", "Kernel", "Paths", "Saga", "Supervisor", "Transactions", "YAML",
    ],
    "Transactions": ["Hashing", "JSON", "Kernel", "Paths"],
    "agt-stage": ["StageCore"], "agt-run": ["Supervisor"], "agt-probe": ["CProbe"],
  ]

  @Test("imports follow the dependency arrows", arguments: arrows.keys.sorted())
  func imports(_ module: String) throws {
    guard
      FileManager.default.fileExists(atPath: Self.root.appending(path: "Sources/\(module)").path)
    else { return }
    let allowed = Self.arrows[module]!.union(["Glibc"])
    for (name, text) in try Self.sources("Sources/\(module)") {
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        guard let index = words.firstIndex(of: "import"), index <= 1, words.count > index + 1 else {
          continue
        }
        #expect(allowed.contains(String(words[index + 1])), "\(name): \(line)")
      }
    }
  }

  @Test(
    "the static programs carry no Foundation", arguments: ["agt-run", "agt-stage", "agt-probe"])
  func noFoundation(_ program: String) throws {
    let directory =
      ProcessInfo.processInfo.environment["AGT_BIN"]
      ?? Self.root.appending(path: ".build/release").path
    let bytes = try Data(contentsOf: URL(filePath: "\(directory)/\(program)"))
    #expect(bytes.range(of: Data("$s10Foundation".utf8)) == nil)
    // The check can fail: what is linked is found the same way.
    #expect(bytes.range(of: Data("$s6Kernel".utf8)) != nil || program == "agt-probe")
    // Nineteen of it are debug information, which is never loaded.
    #expect(bytes.count < 40 << 20)
  }

  @Test("unsafe code says why it is safe") func safety() throws {
    for (name, text) in try Self.sources("Sources") where text.contains("unsafe ") {
      #expect(text.contains("SAFETY") || !text.contains(" unsafe "), "\(name)")
    }
  }

  @Test("nothing is left for later") func nothingLeft() throws {
    let marks = [
      "TO" + "DO", "FIX" + "ME", "XX" + "X", "not yet " + "implemented", "un" + "implemented(",
    ]
    for (name, text) in try Self.sources("Sources") {
      for mark in marks { #expect(!text.contains(mark), "\(name): \(mark)") }
    }
  }

  @Test("files stay within what one can read") func lengths() throws {
    for (name, text) in try Self.sources("Sources") where !name.hasSuffix("EmbeddedProfiles.swift")
    {
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count <= 560, "\(name): \(lines.count) lines")
    }
  }

  @Test("what README names exists") func readme() throws {
    let text = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
    for script in ["Scripts/try", "Scripts/bootstrap", "Scripts/check"] {
      #expect(text.contains(script))
      #expect(FileManager.default.isExecutableFile(atPath: Self.root.appending(path: script).path))
    }
    for match in text.matches(of: #/`((?:Sources|Profiles|Tests|docs)\/[\w.\/-]+)`/#) {
      let path = String(match.1)
      #expect(
        FileManager.default.fileExists(atPath: Self.root.appending(path: path).path), "\(path)")
    }
    let run = try String(contentsOf: Self.root.appending(path: ".ci/run"), encoding: .utf8)
    #expect(run.contains("Scripts/bootstrap --tests") && run.contains("Scripts/check"))
  }

  @Test("the help text, the man page and the parser name the same options") func options() throws {
    let help = try String(
      contentsOf: Self.root.appending(path: "Sources/Supervisor/RunHelp.swift"), encoding: .utf8)
    let page = try String(
      contentsOf: Self.root.appending(path: "docs/man/agt-run.1"), encoding: .utf8
    ).replacing("\\-", with: "-")
    let parser = try String(
      contentsOf: Self.root.appending(path: "Sources/Supervisor/RunOptions.swift"), encoding: .utf8)
    let options = Set(help.matches(of: #/--[a-z-]+/#).map { String($0.0) })
    #expect(options.count >= 18)
    for option in options {
      #expect(page.contains(option), "docs/man/agt-run.1: \(option)")
      #expect(parser.contains("\"\(option)\""), "RunOptions.swift: \(option)")
    }
  }
}
