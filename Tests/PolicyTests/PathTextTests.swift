import Paths
import Testing

/// Bytes between slashes, whatever Swift takes for a character or for equal.
@Suite struct PathTextTests {
  @Test(arguments: [
    ("/a/b", "/a", true), ("/a", "/a", true), ("/ab", "/a", false), ("/", "/", true),
    ("/a", "/", true), ("a/b", "a", true), ("", "/", true), ("/a", "/a/b", false),
    ("/a/\u{301}x", "/a", true), ("/a\u{301}/x", "/a", false),
    // Equal as texts, and two directories.
    ("/\u{e9}/x", "/e\u{301}", false), ("/\u{e9}/x", "/\u{e9}", true),
  ])
  func inside(_ path: String, _ directory: String, _ isInside: Bool) {
    #expect(PathText.isInside(path, directory) == isInside)
    #expect((PathText.below(path, directory) != nil) == isInside)
  }

  @Test func parts() {
    #expect(PathText.components("/a//\u{301}b/") == ["a", "\u{301}b"])
    #expect(PathText.below("/a/b/c", "/a") == "b/c" && PathText.below("/a", "/") == "a")
    #expect(PathText.parent("/a/\u{301}b") == "/a" && PathText.parent("/a") == "/")
    #expect(PathText.parent("a") == "/" && PathText.parent("/a/b/c") == "/a/b")
    #expect(!PathText.areEqual("\u{e9}", "e\u{301}") && PathText.areEqual("a", "a"))
  }
}
