internal import JSON
internal import Testing

@testable internal import Policy

@Suite struct SpellingTests {
  @Test(arguments: [
    ("example.org", "example.org"), ("EXAMPLE.Org.", "example.org"), ("a", "a"),
    ("a-b.c_d.e1", "a-b.c_d.e1"), ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"), ("bu\u{308}cher.example", "xn--bcher-kva.example"),
    ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"), ("127.0.0.1", "127.0.0.1"),
    ("[::1]", "::1"), ("0:0:0:0:0:0:0:1", "::1"), ("2001:DB8::0:1", "2001:db8::1"),
    ("::ffff:1.2.3.4", "1.2.3.4"), ("1.example.org", "1.example.org"),
  ])
  func hosts(_ text: String, _ canonical: String) throws {
    #expect(try HostName.canonical(text) == canonical)
    #expect(try HostName.canonical(canonical) == canonical)
  }

  @Test(arguments: [
    "", ".", "a..b", "-a.org", "a-.org", "a b", "a/b", "a:1", "127.1", "0x7f.1", "1.2.3",
    "a.0x1", "2130706433", "1.2.3.4.5", "01.2.3.4", "ｅxample.org", "①.org", "a\u{200b}b.org",
    "a。org", "ℂ.org", String(repeating: "a", count: 64) + ".org",
    Array(repeating: "abcdefgh", count: 40).joined(separator: "."), "[1.2.3", "*.org", "a\u{0}b",
  ])
  func hostsThatAreNone(_ text: String) {
    #expect(throws: HostName.Problem.self) { try HostName.canonical(text) }
  }

  @Test(arguments: [
    ("/a/b", "/a/b"), ("/a//b/", "/a/b"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/..", "/"),
    ("/../../a", "/a"), ("a/../b", "b"), ("a/../../b", "../b"), ("./a", "a"), (".", "."),
    ("a/..", "."), ("", ""), ("/", "/"), ("//", "/"), ("/.hidden", "/.hidden"),
    ("/a/...", "/a/..."), ("/a/b..", "/a/b.."), ("..", ".."), ("/a/..b/c", "/a/..b/c"),
    // A slash with a combining mark behind it is one `Character`, and two names for the kernel.
    ("/w/secrets/\u{301}/../key", "/w/secrets/key"), ("/w/\u{301}/..", "/w"),
    ("/a/\u{200d}b/../c", "/a/c"),
  ])
  func paths(_ path: String, _ normal: String) {
    #expect(PolicyPath.normalize(path) == normal)
    #expect(PolicyPath.normalize(normal) == normal)
  }

  @Test(arguments: [
    ("*", "abc", true), ("*", "a/c", false), ("**", "a/c", true), ("/a/**/b", "/a/b", true),
    ("/a/**/b", "/a/x/y/b", true), ("/a/**/b", "/axb", false), ("**/b", "b", true),
    ("**/b", "ab", false), ("?", "é", true), ("?", "ab", false), ("?", "/", false),
    ("[a-c]x", "bx", true), ("[!a-c]x", "bx", false), ("[!a-c]x", "dx", true), ("\\*", "*", true),
    ("\\*", "x", false), ("a*b*c", "axxbyyc", true), ("a*b*c", "axxbyy", false), ("", "", true),
    ("[!a]", "é", true), ("a**", "a/b", true),
  ])
  func globs(_ pattern: String, _ text: String, _ isMatch: Bool) throws {
    #expect(try Glob(pattern).matches(text) == isMatch)
  }

  @Test func globsAreNotExponential() throws {
    let glob = try Glob(String(repeating: "*a", count: 200) + "b")
    #expect(!glob.matches(String(repeating: "a", count: 2_000)))
  }

  @Test func joinersInPathsOnly() throws {
    #expect(try request("{\"path\": \"/a/\u{200d}b\"}").problem == nil)
    #expect(try request("{\"tool\": \"a\u{200d}b\"}").problem != nil)
    #expect(try request("{\"path\": \"/a/\u{202e}b\"}").problem != nil)
  }

  /// Texts that are looked at no further are those in which nothing is to be seen.
  @Test func printableASCII() {
    for byte in UInt8.min...(.max) {
      let text = "a\(Unicode.Scalar(byte))"
      #expect(Text.isPrintableASCII(text) == (0x20..<0x7F).contains(byte))
      #expect(Text.isASCII(text) == (byte < 0x80))
      #expect(!Text.isPrintableASCII(text) || !Text.hasControl(text))
    }
    #expect(Text.isPrintableASCII("") && Text.hasControl("\u{7F}") && !Text.hasControl("é"))
  }

  @Test func effectiveRequest() throws {
    let made = try request(
      #"{"path": "/a/../b", "host": "A.ORG", "kind": "file.open", "ip": "::ffff:1.2.3.4"}"#)
    #expect(made.fields["path"] == "/b" && made.fields["host"] == "a.org")
    #expect(made.fields["tool"] == nil && made.fields["ip"] == "1.2.3.4")
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.1", false),
    ("0.0.0.0/0", "255.255.255.255", true), ("0.0.0.0/0", "::1", false),
    ("1.2.3.4", "1.2.3.4", true), ("2001:db8::/32", "2001:db8:ffff::1", true),
    ("2001:db8::/32", "2001:db9::1", false), ("::/0", "::1", true), ("::1/128", "::1", true),
    ("2001:db8::/65", "2001:db8::8000:0:0:0", false),
    ("2001:db8::/65", "2001:db8::7fff:0:0:0", true), ("10.0.0.0/8", "::ffff:10.1.1.1", true),
  ])
  func networks(_ network: String, _ address: String, _ isInside: Bool) throws {
    let address = try #require(IPAddress(address))
    #expect(try IPNetwork(network).contains(address) == isInside)
  }

  @Test(arguments: [
    "1.2.3", "1.2.3.256", "1.2.3.04", "1.2.3.4.", ":", ":::", "1:2:3:4:5:6:7", "1::2::3", "12345::",
    "::1%eth0", "+1::", "1:2:3:4:5:6:7:8:9", "::1.2.3", "1:2:3:4:5:6:7::8:9",
  ])
  func addressesThatAreNone(_ text: String) {
    #expect(IPAddress(text) == nil)
  }
}
