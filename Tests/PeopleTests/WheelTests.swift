import TestSupport
import Testing

/// Virtual environments, pip, and a compiled wheel from PyPI.
@Suite("Wheels", .needs("python3")) struct WheelTests {
  /// What people do first: an environment in the workspace, pip in it, and then ring 3 for the work.
  @Test(.venv, arguments: Starter.all) func environmentInTheWorkspace(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("tiny.py", "answer = 42\n")
    let ring2 = Place(ring: 2, starter: starter)
    let wheel = ring2.python(Self.makeWheel, in: scratch)
    #expect(wheel.status == 0, "\(wheel.summary)")
    let made = ring2.run("python3", "-m", "venv", ".venv", in: scratch)
    #expect(made.prints(""), "\(made.summary)")
    let version = ring2.run(".venv/bin/pip", "--version", in: scratch)
    #expect(version.out.contains("from \(scratch.path)/.venv/lib/"), "\(version.summary)")
    let install = ring2.run(
      ".venv/bin/pip", "install", "--no-index", "--disable-pip-version-check",
      "./tiny-1.0-py3-none-any.whl", in: scratch)
    #expect(install.status == 0, "\(install.summary)")
    #expect(install.out.hasSuffix("Successfully installed tiny-1.0\n"), "\(install.summary)")
    for place in [ring2, Place(ring: 3, starter: starter)] {
      let list = place.run(".venv/bin/pip", "list", "--format=freeze", in: scratch)
      #expect(list.out.contains("tiny==1.0\n"), "\(list.summary)")
      // -I: not the module in the current directory that the wheel was made of.
      let run = place.run(
        ".venv/bin/python", "-I", "-c", "import tiny, sys; print(tiny.answer, sys.prefix)",
        in: scratch)
      #expect(run.prints("42 \(scratch.path)/.venv\n"), "\(run.summary)")
    }
  }

  @Test(.numpy, arguments: Place.all) func numpyOutsideTheWorkspace(_ place: Place) {
    let run = place.run(Outside.environment! + "/bin/python", "-c", Self.compute)
    #expect(run.prints("500.0 8 True\n"), "\(run.summary)")
  }

  @Test(.numpy, arguments: Starter.all) func numpyInTheWorkspace(_ starter: Starter) {
    let scratch = Scratch()
    let copy = Command(["/bin/cp", "-a", Outside.environment!, scratch.path + "/v"]).run()
    #expect(copy.status == 0, "\(copy.summary)")
    for ring in [2, 3] {
      let run = Place(ring: ring, starter: starter).run(
        "v/bin/python", "-c", Self.compute + "; print(n.__file__)", in: scratch)
      #expect(run.out.hasPrefix("500.0 8 True\n\(scratch.path)/v/lib/"), "\(run.summary)")
      #expect(run.status == 0)
    }
  }

  /// Each thread of a numerical library reserves memory: as many as a large machine starts must fit.
  @Test(.numpy, arguments: Place.all) func numpyThreads(_ place: Place) {
    let run = place.run(
      "env", "OPENBLAS_NUM_THREADS=16", Outside.environment! + "/bin/python", "-c",
      """
      import numpy as n
      from concurrent.futures import ThreadPoolExecutor
      a = n.eye(400)
      def work(k): return float((a @ a * k).sum())
      with ThreadPoolExecutor(8) as pool: print(sum(pool.map(work, range(8))))
      try: n.ones((1 << 34,))
      except MemoryError as error: print(str(error)[:18])
      """)
    #expect(run.prints("11200.0\nUnable to allocate\n"), "\(run.summary)")
  }

  private static let compute = """
    import numpy as n; a = n.random.default_rng(1).random((200, 200)); \
    print(n.dot(n.ones(500), n.ones(500)), round(float(n.linalg.det(n.eye(3) * 2))), \
    n.allclose(n.linalg.inv(a) @ a, n.eye(200)))
    """

  /// A wheel is a zip file; this one needs nothing to be built.
  private static let makeWheel = """
    import zipfile
    name = 'tiny-1.0.dist-info/'
    about = {
        'METADATA': 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n',
        'WHEEL': 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
        'RECORD': f'tiny.py,,\\n{name}METADATA,,\\n{name}WHEEL,,\\n{name}RECORD,,\\n',
    }
    with zipfile.ZipFile('tiny-1.0-py3-none-any.whl', 'w') as wheel:
        wheel.write('tiny.py')
        for file, text in about.items(): wheel.writestr(name + file, text)
    """
}

extension Trait where Self == ConditionTrait {
  static var venv: Self {
    .enabled("needs python3 -m venv: apt install python3-venv") { Outside.environment != nil }
  }

  static var numpy: Self { .enabled("needs numpy from PyPI") { Outside.hasNumpy } }
}

/// A virtual environment that is made once, outside of every workspace and without a ring.
enum Outside {
  private static let place = Scratch()

  static let environment: String? = {
    let path = place.path + "/venv"
    let made = Command(["/usr/bin/python3", "-m", "venv", path]).run()
    return made.status == 0 ? path : nil
  }()

  static let hasNumpy: Bool = {
    guard let environment else { return false }
    var command = Command([
      environment + "/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
      "--retries", "1", "--only-binary", ":all:", "--no-compile", "numpy",
    ])
    // Where the machine's own pip finds its index, its certificates and its cache.
    for name in [
      "HOME", "PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy",
      "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    ] {
      guard let value = Binaries.environment(name) else { continue }
      command.environment.removeAll { $0.hasPrefix(name + "=") }
      command.environment.append("\(name)=\(value)")
    }
    command.timeoutSeconds = 60
    let run = command.run()
    if run.status != 0 { print("pip install numpy: \(run.summary)") }
    return run.status == 0
  }()
}
