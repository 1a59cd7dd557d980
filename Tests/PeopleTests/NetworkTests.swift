import TestSupport
import Testing

/// Programs that want the network where there is none: a clear error, and soon.
@Suite("Closed network") struct NetworkTests {
  @Test(.needs("curl"), arguments: Place.all) func curl(_ place: Place) {
    fails(place.run("curl", "-sS", "http://192.0.2.1/"), 7, "Couldn't connect to server")
    fails(
      place.run("curl", "-sS", "https://example.com/"), 6, "Could not resolve host: example.com")
  }

  @Test(.needs("python3"), arguments: Place.all) func python(_ place: Place) {
    let run = place.python(
      """
      import urllib.request, urllib.error
      for address in 'http://192.0.2.1/', 'http://[2001:db8::1]/', 'https://example.com/':
          try: urllib.request.urlopen(address)
          except urllib.error.URLError as error: print(error.reason)
      """)
    let refused =
      place.ring == 3
      ? "[Errno 13] Permission denied\n" : "[Errno 101] Network is unreachable\n"
    let unknown = "[Errno -2] Name or service not known\n"
    #expect(run.prints(refused + refused + unknown), "\(run.summary)")
    #expect(run.seconds < 5)
  }

  @Test(.needs("ssh"), arguments: Place.all) func ssh(_ place: Place) {
    let version = place.run("ssh", "-V")
    #expect(version.status == 0 && version.err.hasPrefix("OpenSSH_"), "\(version.summary)")
    let reason = place.ring == 3 ? "Permission denied" : "Network is unreachable"
    fails(place.run("ssh", "192.0.2.1", "true"), 255, "192.0.2.1 port 22: \(reason)")
    fails(place.run("ssh", "example.com", "true"), 255, "Could not resolve hostname example.com")
  }

  @Test(.needs("git"), arguments: Place.ring2) func gitClone(_ place: Place) {
    fails(
      place.run("git", "clone", "https://example.com/x.git"), 128,
      "Could not resolve host: example.com")
  }

  /// By itself npm tries three times, over more than a minute, in a ring as anywhere.
  @Test(.needs("npm"), arguments: Place.all) func npm(_ place: Place) {
    fails(
      place.run("npm", "view", "left-pad", "--fetch-retries=0"), 1,
      "request to https://registry.npmjs.org/left-pad failed")
  }

  private func fails(_ run: Completed, _ status: Int32, _ text: String) {
    #expect(run.status == status, "\(run.summary)")
    #expect(run.err.contains(text), "\(run.summary)")
    #expect(run.seconds < 5)
  }
}
