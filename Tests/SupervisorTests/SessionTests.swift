import Glibc
import JSON
import Kernel
import Testing

@testable import Supervisor

/// What the registry of runs is made of: names, status files, lines of the process table, directories.
@Suite struct SessionTests {
  @Test(arguments: ["a", "research-3", "A.b_c", "_x", String(repeating: "n", count: 63)])
  func names(_ name: String) { #expect(Label.problem(name) == nil) }

  @Test(arguments: [
    "", "-x", ".x", "..", "a/b", "a b", "ä", "a\0", "@x", String(repeating: "n", count: 64),
    "01M88VCQFS4D3SXEG8ADV7DR83",
  ])
  func noNames(_ name: String) { #expect(Label.problem(name) != nil) }

  private var status: RunStatus {
    RunStatus(
      id: "01M88VCQFS4D3SXEG8ADV7DR83", name: "n", agent: nil, ring: 3, profile: "ring3",
      command: ["sh", "-c", "\u{1}\"ü"], workspace: "/w", network: "none",
      startedNanoseconds: 1_795_593_493_983_480_498, supervisorPid: 7, initPid: 8,
      observedNanoseconds: 22_873_192_857_845, timeoutMilliseconds: nil)
  }

  @Test func statusComesBackAsItWas() throws {
    let read = try JSONParser.parse(JSONWriter.compact(status.json))
    #expect(RunStatus(read) == status)
  }

  /// kill(2) takes 0, -1 and below as groups.
  @Test(arguments: [-1, 0, 1, 1 << 40]) func pidsOfAStatusAreOneProcess(_ pid: Int) {
    for key in ["initPid", "supervisorPid"] {
      var json = status.json.objectValue!
      json[key] = JSONValue(pid)
      #expect(RunStatus(.object(json)) == nil)
    }
  }

  @Test func theIdTellsTheTime() {
    var generator = SystemRandomNumberGenerator()
    for time in [0, 1, 1_795_593_493_983, (1 << 48) - 1] as [UInt64] {
      let id = RunIdentifier.make(wallMilliseconds: time, using: &generator)
      #expect(RunIdentifier.isValid(id))
      #expect(RunIdentifier.wallMilliseconds(of: id) == time)
    }
    #expect(!RunIdentifier.isValid("01M88VCQFS4D3SXEG8ADV7DR8i"))
    #expect(!RunIdentifier.isValid("../../../../../../../../.."))
  }

  /// A process chooses its own name.
  @Test(arguments: ["sh", "a b", ") R 1 1", "((", "))", ""])
  func processesWithAnyName(_ name: String) throws {
    let line =
      "42 (\(name)) S 7 42 42 0 -1 4194560 1 2 3 4 11 22 0 0 20 0 3 0 987 1000 55 18446744073709551615"
    let sample = try #require(ProcessSample(line: Array(line.utf8)))
    #expect(sample.pid == 42 && sample.name == name && sample.state == "S" && sample.parent == 7)
    #expect(sample.cpuTicks == 33 && sample.threads == 3 && sample.startedTicks == 987)
    #expect(sample.residentPages == 55)
    #expect(sample.existed(atNanoseconds: 9_870_000_000))
    #expect(!sample.existed(atNanoseconds: 9_869_999_999))
  }

  @Test(arguments: ["", "42", "42 (sh", "42 (sh) S", "42 (sh) S x y"])
  func brokenLines(_ line: String) { #expect(ProcessSample(line: Array(line.utf8)) == nil) }

  @Test func thisProcess() throws {
    let own = try #require(ProcessSample(getpid()))
    #expect(own.parent == getppid())
    #expect(own.existed(atNanoseconds: Clock.monotonicNanoseconds()))
    #expect(ProcessSnapshot().descendants(of: getppid()).contains { $0.pid == getpid() })
  }
}

/// A directory that somebody else could have prepared is never used.
@Suite struct RunPlacesTests {
  /// A runtime directory of its own for a uid.
  private final class Place {
    let path: String
    init() {
      var template = Array("/tmp/agt-place-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
      // SAFETY: the template ends in NUL and is ours.
      precondition(unsafe mkdtemp(&template) != nil)
      path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit {
      for end in ["/agt", ""] where unsafe rmdir(path + end) != 0 { _ = unsafe unlink(path + end) }
    }
  }

  /// Not root's, which has one place alone.
  private func places(_ place: Place, uid: UInt32 = 61235) -> RunPlaces {
    RunPlaces(uid: uid, runtimeDirectory: place.path)
  }

  private var isRoot: Bool { geteuid() == 0 }

  @Test func rootHasOnePlace() {
    #expect(RunPlaces(uid: 0, runtimeDirectory: "/tmp/x").paths == ["/run/agt"])
  }

  @Test func anotherUsersRuntimeDirectoryIsNotOurs() {
    #expect(places(Place()).paths == ["/tmp/agt-61235"])
    #expect(RunPlaces(uid: 61235, runtimeDirectory: "relative").paths == ["/tmp/agt-61235"])
    #expect(RunPlaces(uid: 61235, runtimeDirectory: nil).paths == ["/tmp/agt-61235"])
  }

  /// One mkdir of somebody else must not keep a user from the kill switch.
  @Test(.enabled(if: geteuid() == 0, "root alone can give files away"))
  func somebodyElsesFallbackIsLeftOut() throws {
    let place = Place()
    _ = unsafe chown(place.path, 61237, 61237)
    _ = unsafe mkdir(place.path + "/agt", 0o700)
    _ = unsafe chown(place.path + "/agt", 61237, 61237)
    let places = places(place, uid: 61237)
    _ = unsafe mkdir("/tmp/agt-61237", 0o755)
    defer { _ = unsafe rmdir("/tmp/agt-61237") }
    #expect(throws: RunError.self) { _ = try places.openExisting("/tmp/agt-61237") }
    #expect(try RunRegistry(places).list().isEmpty)
    // Where new runs register is another matter.
    _ = unsafe chown(place.path + "/agt", 0, 0)
    #expect(throws: RunError.self) { _ = try RunRegistry(places).list() }
  }

  @Test(.enabled(if: geteuid() == 0, "root alone can give files away")) func squatters() throws {
    let place = Place()
    let own = places(place)
    let path = place.path + "/agt"
    _ = unsafe chown(place.path, 61235, 61235)
    #expect(own.paths == [path, "/tmp/agt-61235"])
    #expect(try own.openExisting(path) == nil)
    _ = unsafe mkdir(path, 0o700)
    // Root's.
    #expect(throws: RunError.self) { _ = try own.openExisting(path) }
    _ = unsafe chown(path, 61235, 61235)
    #expect(try own.openExisting(path) != nil)
    _ = unsafe chmod(path, 0o770)
    #expect(throws: RunError.self) { _ = try own.openExisting(path) }
    _ = unsafe chmod(path, 0o702)
    #expect(throws: RunError.self) { _ = try own.openExisting(path) }
    _ = unsafe rmdir(path)
    _ = unsafe symlink("/tmp", path)
    #expect(throws: RunError.self) { _ = try own.openExisting(path) }
  }
}
