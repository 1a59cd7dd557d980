internal import ArgumentParser
internal import JSON
internal import Rings
internal import Supervisor

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Lists, shows, checks and compares ring profiles.",
    subcommands: [List.self, Show.self, Lint.self, Diff.self, Verify.self])

  /// A ring (`3`, `ring3`, `sandbox`) or a file.
  static func load(_ name: String) throws -> RingProfile {
    do throws(RunError) {
      return try ProfileSource.profile(named: name)
    } catch {
      throw Printing.fail(error)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the shipped rings.")
    func run() { print(ProfileText.list(), terminator: "") }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints the effective profile, after inheritance.")
    @Argument(help: "A ring (0-3 or its name) or a profile file.")
    var profile: String
    func run() throws { print(ProfileText.show(try ProfileCommand.load(profile)), terminator: "") }
  }

  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks profile files.",
      discussion: "Exit status: 0 clean, 1 with findings, 2 when a file cannot be loaded.")
    @Argument(help: "Profile files.")
    var files: [String]
    func run() throws {
      var findings = 0
      for file in files {
        let profile = try ProfileCommand.load(file)
        for widening in profile.widenings {
          print("\(file): widens \(widening.what): \(widening.reason)")
        }
        for finding in try self.findings(profile) {
          findings += 1
          print("\(file): \(finding.what)\n  hint: \(finding.advice)")
        }
      }
      if findings > 0 { throw ExitCode(1) }
      print(files.count == 1 ? "1 profile is sound" : "\(files.count) profiles are sound")
    }

    private func findings(_ profile: RingProfile) throws -> [ProfileLint.Finding] {
      do throws(RingProfileError) {
        return try ProfileLint.findings(profile)
      } catch {
        throw Printing.fail(RunError(.usage, error.description))
      }
    }
  }

  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows what the second profile grants more and less than the first.",
      discussion: "Exit status: 0 when they are equal, 1 otherwise.")
    @Argument(help: "A ring or a file.")
    var first: String
    @Argument(help: "A ring or a file.")
    var second: String
    func run() throws {
      let text = ProfileText.diff(
        from: try ProfileCommand.load(first), to: try ProfileCommand.load(second))
      print(text, terminator: "")
      if !text.isEmpty { throw ExitCode(1) }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Evaluates the compiled filters and the tables: each ring lies within the one above it.",
      discussion: "Exit status: 0 when the order holds, 1 otherwise.")
    @Flag(help: "Print JSON.")
    var json = false
    func run() throws {
      let breaches: [RingOrder.Breach]
      do throws(RingProfileError) {
        breaches = try RingOrder.verifyShipped()
      } catch {
        throw Printing.fail(RunError(.internalFailure, error.description))
      }
      if json {
        Printing.json(
          .object([
            "holds": .bool(breaches.isEmpty),
            "breaches": .array(
              breaches.map { .object(["ring": JSONValue($0.ring), "what": .string($0.what)]) }),
          ]))
      } else {
        for breach in breaches { print("ring \(breach.ring): \(breach.what)") }
        if breaches.isEmpty {
          print("ring 3 lies within ring 2, ring 2 within ring 1, ring 1 within ring 0")
        }
      }
      if !breaches.isEmpty { throw ExitCode(1) }
    }
  }
}
