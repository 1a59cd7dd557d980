internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Supervisor

/// Requests of agents that wait for a person (docs/approvals.md), as the runs themselves tell of them.
struct ParkedRequest {
  let run: RegisteredRun
  let id: String
  let json: JSONValue

  private static let patienceMilliseconds: Int32 = 2000
  /// Soon enough for a person.
  static let watchMicroseconds: UInt32 = 300_000

  /// Of every run of this user, the oldest run first.
  static func all() throws -> [ParkedRequest] {
    let runs: [RegisteredRun]
    do throws(RunError) { runs = try Runs.registry.list() } catch { throw Printing.fail(error) }
    let answers = RunRegistry.ask(runs, ["method": "pending"], milliseconds: patienceMilliseconds)
    return zip(runs, answers).flatMap { run, answer in
      // A run without a policy has no such method, and nothing that waits.
      (answer?["pending"]?.arrayValue ?? []).compactMap { json in
        json["id"]?.stringValue.map { ParkedRequest(run: run, id: $0, json: json) }
      }
    }
  }

  /// Fewer digits of an id could be met by asking often enough.
  private static let prefixMin = 6

  /// The one whose id is, or alone begins with, this text.
  static func find(_ text: String) throws -> ParkedRequest {
    guard text.utf8.count >= prefixMin else {
      throw Printing.fail(
        RunError(.usage, "\(text): \(prefixMin) digits of the id are needed", hint: "agt pending"))
    }
    let found = try all().filter { $0.id.hasPrefix(text) }
    if found.count == 1 { return found[0] }
    let problem =
      found.isEmpty ? "no request \(text) waits" : "\(found.count) requests begin with \(text)"
    throw Printing.fail(RunError(.notFound, problem, hint: "agt pending lists them"))
  }

  /// - Parameter memory: how long a yes holds for equal requests; empty for this one only.
  func answer(_ method: String, reason: String, remember memory: String = "") throws -> String {
    do throws(RunError) {
      var request: JSONObject = [
        "method": .string(method), "id": .string(id), "reason": .string(reason),
        // What was read is what is answered.
        "digest": json["request"]?["digest"] ?? .null,
      ]
      if !memory.isEmpty { request["remember"] = .string(memory) }
      let answer = try run.ask(request, milliseconds: Self.patienceMilliseconds)
      if let file = answer["file"]?.stringValue, let text = answer["text"]?.stringValue {
        try OperatorMemory.write(text, to: file)
        print("remembered in \(file); remove it to take that back")
      }
      return answer["state"]?.stringValue ?? ""
    } catch { throw Printing.fail(error) }
  }

  /// What a person has to see before answering; the supervisor has taken out what a terminal could obey.
  var text: String {
    let seconds = (json["expiresInMilliseconds"]?.integerValue ?? 0) / 1000
    let (have, need) = (json["approvals"]?.integerValue ?? 0, json["quorum"]?.integerValue ?? 1)
    let lines = (json["text"]?.stringValue ?? "").split(separator: "\n").map { "  \($0)\n" }
    return "\(id)  expires in \(seconds) s, \(have) of \(need) approvals"
      + (json["mayAnswer"]?.boolValue == true ? "" : "; not yours to answer") + "\n"
      + lines.joined()
  }
}

struct PendingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pending", abstract: "Lists requests of agents that wait for approval.")

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Print each request as it comes, with --json one a line, until interrupted.")
  var watch = false

  func run() throws {
    if watch { return try follow() }
    let all = try ParkedRequest.all()
    if json { return Printing.json(.array(all.map(\.json))) }
    if all.isEmpty { return print("nothing waits") }
    for request in all { print(request.text, terminator: "") }
  }

  private func follow() throws {
    var seen: Set<String> = []
    while true {
      for request in try ParkedRequest.all() where seen.insert(request.id).inserted {
        if json {
          print(String(decoding: JSONWriter.compact(request.json), as: UTF8.self))
        } else {
          print(request.text, terminator: "")
        }
        fflush(nil)
      }
      usleep(ParkedRequest.watchMicroseconds)
    }
  }
}

struct ApproveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "approve", abstract: "Approves a request that waits, as the calling user.",
    discussion: """
      What is approved is exactly the request that agt pending shows, once. A rule can want several \
      people. With --watch, requests are shown as they come, and answered on the terminal.
      """)

  @Argument(help: ArgumentHelp("The request, or the beginning of its id.", valueName: "id"))
  var id: String?

  @Option(help: "Why; it is recorded.")
  var reason = ""

  @Option(
    help: ArgumentHelp(
      "Approve equal requests of this and later runs for this long as well, as 8h; a file says so.",
      valueName: "duration"))
  var remember = ""

  @Flag(help: "Ask at the terminal for each request that comes, until interrupted.")
  var watch = false

  func validate() throws {
    if watch == (id != nil) { throw ValidationError("name a request, or add --watch") }
    if watch && !remember.isEmpty {
      throw ValidationError("--remember is for one request; name it")
    }
    if watch && isatty(0) == 0 { throw ValidationError("--watch asks at a terminal") }
  }

  func run() throws {
    if let id {
      let request = try ParkedRequest.find(id)
      let state = try request.answer("approve", reason: reason, remember: remember)
      return print("\(request.id) is \(state)")
    }
    var seen: Set<String> = []
    while true {
      for request in try ParkedRequest.all()
      where request.json["mayAnswer"]?.boolValue == true && seen.insert(request.id).inserted {
        print(request.text, terminator: "")
        print("approve? [y]es, [n]o, [l]ater: ", terminator: "")
        fflush(nil)
        guard let line = readLine() else { return }
        let method = ["y": "approve", "n": "deny"][line.lowercased().first.map(String.init) ?? ""]
        // It may have expired meanwhile; that is no reason to stop watching.
        if let method, let state = try? request.answer(method, reason: reason) {
          print("\(request.id) is \(state)")
        }
      }
      usleep(ParkedRequest.watchMicroseconds)
    }
  }
}

struct DenyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deny", abstract: "Denies a request that waits; one person is enough.")

  @Argument(help: ArgumentHelp("The request, or the beginning of its id.", valueName: "id"))
  var id: String

  @Option(help: "Why; the agent is told.")
  var reason = ""

  func run() throws {
    let request = try ParkedRequest.find(id)
    print("\(request.id) is \(try request.answer("deny", reason: reason))")
  }
}
