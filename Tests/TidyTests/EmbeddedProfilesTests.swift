import Foundation
import Testing

/// The binaries carry the texts of Profiles/.
@Suite struct EmbeddedProfilesTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @Test func embeddedTextsAreThoseOfProfiles() throws {
    let process = Process()
    process.executableURL = Self.root.appending(path: "Scripts/embed-profiles")
    process.arguments = ["--check"]
    let pipe = Pipe()
    process.standardError = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(String(decoding: output, as: UTF8.self))")
  }

  /// The check above can fail: a changed text is not found in the embedded file.
  @Test func everyLineOfEveryProfileIsEmbedded() throws {
    let embedded = try String(
      contentsOf: Self.root.appending(path: "Sources/Rings/EmbeddedProfiles.swift"),
      encoding: .utf8)
    for ring in 0...3 {
      let text = try String(
        contentsOf: Self.root.appending(path: "Profiles/ring\(ring).yaml"), encoding: .utf8)
      #expect(embedded.contains(text), "ring \(ring)")
      #expect(!embedded.contains(text + "x"))
    }
  }
}
