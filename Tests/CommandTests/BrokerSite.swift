import JSON
import TestSupport
import Testing

/// A ring with a policy, and a program of Python's in it that speaks to the broker itself.
struct BrokerSite: Sendable, CustomTestStringConvertible {
  let ring: Int
  let starter: Starter

  static let all = [2, 3].flatMap { ring in Starter.all.map { BrokerSite(ring: ring, starter: $0) }
  }
  static let native = [2, 3].map { BrokerSite(ring: $0, starter: .native) }

  var testDescription: String { "ring \(ring), \(starter)" }

  static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: reads, when: tool == 'read', then: allow, say: Reading is fine.}
      - {id: no-drop, when: "tool == 'drop'", then: deny, say: Nothing is dropped., why: it is gone then}
      - {id: mail, when: tool == 'mail', then: require_approval, say: A person looks at mail first.}
      - {id: mine, when: tool == 'who' and executable glob '/usr/bin/python3*' and pid > 1, then: allow}

    """

  /// Declares the tool `sh`, which runs what it is given.
  static func shell(ring: Int) -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: sh, description: a shell}
    ring: \(ring)
    arguments: {type: object, properties: {script: {type: string}}, required: [script]}
    command: [sh, -c, "{script}"]
    """
  }

  func command(
    _ script: String, policy: String = BrokerSite.policy, options: [String] = [],
    in scratch: Scratch = Scratch(), rate: Int? = 1_000_000
  ) -> Command {
    scratch.write("policy.yaml", policy)
    scratch.write("result.json", "", mode: 0o666)
    var place = ["--ring", "\(ring)"]
    if let rate {
      scratch.write(
        "profile.yaml",
        """
        apiVersion: agt-run/v1
        kind: RingProfile
        metadata: {name: quick, description: for tests of something else than the rate}
        extends: ring\(ring)
        requests: {perSecond: \(rate), burst: \(rate)}
        reasons: {requests: for tests of something else than the rate}
        """)
      place = ["--profile", "profile.yaml"]
    }
    return .agtRun(
      place + ["--quiet", "--policy", "policy.yaml", "--result-json", "result.json"] + options
        + ["--", "/usr/bin/python3", "-c", Self.prelude + script], as: starter, in: scratch)
  }

  /// What the run's record says of the broker.
  static func record(_ scratch: Scratch) -> JSONValue? {
    (try? JSONParser.parse(Array((scratch.read("result.json") ?? "").utf8)))?["broker"]
  }

  static let prelude = """
    import array, json, os, socket, sys, threading, time

    def connect():
        kind, _, place = os.environ['AGT_BROKER'].partition(':')
        if kind == 'fd': return socket.socket(fileno=os.dup(int(place)))
        s = socket.socket(socket.AF_UNIX)
        s.connect(place)
        return s

    class Peer:
        def __init__(self, greet=True):
            self.s = connect()
            self.s.settimeout(20)
            self.rest = b''
            self.id = 0
            if greet: self.hello = self.ask('agt.hello', protocol=1)
        def line(self, method, **params):
            self.id += 1
            return json.dumps({'jsonrpc': '2.0', 'id': self.id, 'method': method, 'params': params}).encode() + b'\\n'
        def read(self):
            while b'\\n' not in self.rest:
                try: data = self.s.recv(65536)
                except ConnectionResetError: return None
                if not data: return None
                self.rest += data
            line, _, self.rest = self.rest.partition(b'\\n')
            return json.loads(line)
        def raw(self, line):
            self.s.sendall(line)
            return self.read()
        def ask(self, method, **params):
            return self.raw(self.line(method, **params))
        def code(self, line):
            reply = self.raw(line)
            return reply if reply is None else reply['error']['data']['code'] if 'error' in reply else 'ok'
        def verdict(self, **params):
            reply = self.ask('policy.decide', **params)
            return reply['result']['verdict'] if 'result' in reply else reply['error']['data']['code']


    """
}
