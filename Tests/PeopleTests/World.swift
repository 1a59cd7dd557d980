import TestSupport
import Testing

/// A small Internet of the tests' own (world.py), and a ring 2 that may reach some of it.
struct World {
  let starter: Starter
  /// The workspace of agt-run.
  let work = Scratch()
  /// Where the servers keep their files; its `www` is what the web servers show.
  let servers = Scratch()

  init(_ starter: Starter) { self.starter = starter }

  static let script = File.parent(#filePath) + "/world.py"

  /// agt-run in that world.
  func command(_ words: [String], net: [String], options: [String] = []) -> Command {
    let rules = net.flatMap { ["--net", $0] }
    let run = Command.agtRun(
      ["--ring", "2", "--quiet"] + rules + options + ["--"] + words, as: starter, in: work)
    return inside(run)
  }

  func inside(_ command: Command) -> Command {
    let before = [
      "/usr/bin/unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc",
      "/usr/bin/python3", Self.script, servers.path, "--",
    ]
    return command.with { $0.words = before.map { Array($0.utf8) } + $0.words }
  }

  func run(_ words: String..., net: String...) -> Completed { command(words, net: net).run() }

  /// A program for Python in the ring, with a few words for it.
  func python(_ script: String, net: String..., options: [String] = []) -> Completed {
    command(
      ["/usr/bin/python3", "-c", Self.prelude + script], net: net, options: options
    ).run()
  }

  /// `get(URL)`: the body or why not; `reach(HOST, PORT)`: whether a connection carries bytes.
  static let prelude = """
    import socket, struct, sys, time, urllib.request, urllib.error

    def get(url):
        try: return urllib.request.urlopen(url, timeout=9).read().decode().strip()
        except urllib.error.URLError as error: return type(error.reason).__name__
        except OSError as error: return type(error).__name__

    def reach(host, port):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        try:
            with socket.socket(family) as s:
                s.settimeout(9)
                s.connect((host, port))
                s.sendall(b'ping')
                return s.recv(4).decode() or 'closed'
        except OSError as error: return type(error).__name__

    def query(name, kind=1, tcp=False):
        if isinstance(name, str): name = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\\0'
        message = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 1) + name + struct.pack('!HH', kind, 1)
        message += b'\\0' + struct.pack('!HHIH', 41, 1232, 0, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
            s.settimeout(9)
            s.connect(('127.0.0.53', 53))
            s.send((struct.pack('!H', len(message)) if tcp else b'') + message)
            return s.recv(65536)[2 if tcp else 0:]

    """
}

extension Trait where Self == ConditionTrait {
  /// Only root gives the tests a network of their own.
  static var aNetwork: Self {
    .enabled("needs root, unshare and python3: a network of the test's own") {
      Starter.isRoot && Installed.find("unshare") != nil && Installed.find("ip") != nil
        && File.isExecutable("/usr/bin/python3")
    }
  }
}
