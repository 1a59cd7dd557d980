import TestSupport
import Testing

/// Node and npm.
@Suite("Node", .needs("node")) struct NodeTests {
  @Test(arguments: Place.all) func filesAndProcessors(_ place: Place) {
    let scratch = Scratch()
    scratch.write("a.txt", "given")
    let run = node(
      """
      const fs = require("fs"), os = require("os");
      fs.writeFileSync(os.tmpdir() + "/b", fs.readFileSync("a.txt", "utf8").toUpperCase());
      console.log(fs.readFileSync("/tmp/b", "utf8"), os.cpus().length > 0, os.totalmem() > 0,
        os.userInfo().username, require("crypto").createHash("md5").update("").digest("hex"));
      """, at: place, in: scratch)
    #expect(
      run.prints("GIVEN true true agent d41d8cd98f00b204e9800998ecf8427e\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func workers(_ place: Place) {
    let run = node(
      """
      const {Worker} = require("worker_threads");
      const source = n => `require("worker_threads").parentPort.postMessage(${n} * 2)`;
      const work = n => new Promise(done =>
        new Worker(source(n), {eval: true}).on("message", done));
      Promise.all([1, 2, 3, 4].map(work)).then(all => console.log(all.join()));
      """, at: place)
    #expect(run.prints("2,4,6,8\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func fetchOfAClosedNetwork(_ place: Place) {
    for (address, code) in [
      ("http://192.0.2.1/", place.ring == 3 ? "EACCES" : "ENETUNREACH"),
      ("http://example.com/", "ENOTFOUND"),
    ] {
      let run = node("fetch('\(address)').catch(e => console.log(e.cause.code))", at: place)
      #expect(run.prints(code + "\n"), "\(address): \(run.summary)")
      #expect(run.seconds < 5)
    }
  }

  @Test(arguments: Place.ring2) func childProcesses(_ place: Place) {
    let run = node(
      """
      const {execSync, spawnSync} = require("child_process");
      console.log(execSync("echo from a shell", {encoding: "utf8"}).trim(),
        spawnSync("tr", ["a", "b"], {input: "a"}).stdout.toString());
      """, at: place)
    #expect(run.prints("from a shell b\n"), "\(run.summary)")
  }

  @Test(arguments: Place.ring3) func childProcessesAreRefused(_ place: Place) {
    let run = node(
      "try { require('child_process').execSync('ls') } catch (e) { console.log(e.message) }",
      at: place)
    #expect(run.prints("spawnSync /bin/sh EPERM\n"), "\(run.summary)")
  }

  @Test(arguments: Place.all) func moreMemoryThanAllowed(_ place: Place) {
    let hoard = """
      const held = [];
      try { for (;;) held.push(Buffer.alloc(20 << 20)); } catch (e) { console.log(e.message); }
      """
    let run = place.run("node", "-e", hoard, options: ["--memory", "512MiB"])
    #expect(run.prints("Array buffer allocation failed\n"), "\(run.summary)")
  }

  @Test(.needs("npm"), arguments: Place.all) func npmVersion(_ place: Place) {
    let run = place.run("npm", "--version")
    #expect(run.status == 0 && run.out.contains("."), "\(run.summary)")
    #expect(run.err == "", "\(run.summary)")
  }

  @Test(.needs("npm"), arguments: Starter.all) func npmInstallAndRun(_ starter: Starter) {
    let scratch = Scratch()
    _ = Command(["/bin/mkdir", "package", "project"], in: scratch.path).run()
    scratch.write("package/package.json", #"{"name": "local", "version": "1.0.0"}"#)
    scratch.write("package/index.js", "module.exports = 42")
    scratch.write("project/main.js", "console.log(require('local'))")
    scratch.write(
      "project/package.json",
      #"{"name": "p", "version": "1.0.0", "scripts": {"test": "node main.js"}}"#)
    let run = Place(ring: 2, starter: starter).shell(
      "cd project && npm install --offline --no-fund --no-audit ../package && npm test --silent",
      in: scratch)
    #expect(run.status == 0 && run.out.hasSuffix("\n42\n"), "\(run.summary)")
    // What was installed is used in ring 3, where npm itself could not start the script.
    let used = Place(ring: 3, starter: starter).run("node", "project/main.js", in: scratch)
    #expect(used.prints("42\n"), "\(used.summary)")
  }

  private func node(_ script: String, at place: Place, in scratch: Scratch = Scratch())
    -> Completed
  {
    place.run("node", "-e", script, in: scratch)
  }
}
