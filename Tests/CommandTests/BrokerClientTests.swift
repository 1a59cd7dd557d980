import TestSupport
import Testing

/// Clients/python/agt.py inside the rings.
@Suite struct BrokerClientTests {
  static let client =
    File.read(File.parent(File.parent(File.parent(#filePath))) + "/Clients/python/agt.py") ?? ""

  private func run(
    _ site: BrokerSite, _ script: String, rate: Int? = 1_000_000
  ) -> Completed {
    let scratch = Scratch()
    scratch.write("agt.py", Self.client)
    return site.command(
      "sys.path.insert(0, os.getcwd())\nimport agt, asyncio\n" + script, in: scratch, rate: rate
    ).run()
  }

  @Test(arguments: BrokerSite.all) func governedFunctions(_ site: BrokerSite) {
    let run = run(
      site,
      """
      done = []
      @agt.govern
      def read(path, deep=False): done.append(path); return 'text'
      @agt.govern(tool='drop')
      def remove(table): done.append(table)
      def raw(to): done.append(to)
      mail = agt.govern(raw, tool='mail', action='send')
      @agt.govern(tool='read')
      async def later(path): return path
      print(read('/a'), asyncio.run(later('/b')), asyncio.iscoroutinefunction(later))
      for call in (lambda: remove('t'), lambda: mail(to='x')):
          try: call()
          except agt.GovernanceDenied as error: print(type(error).__name__, error)
      try: read('\\ud800')
      except agt.RequestError as error: print('RequestError')
      print(done, hasattr(mail, '__wrapped__'), read.__name__)
      try: read()
      except TypeError as error: print('TypeError')
      print(agt.broker().info['ring'], agt.decide(tool='drop').rules)
      agt.note('half way')
      """)
    #expect(
      run.out
        == "text /b True\nGovernanceDenied Nothing is dropped.\n"
        + "ApprovalRequired A person looks at mail first.\n"
        + "RequestError\n['/a'] False read\nTypeError\n\(site.ring) ('no-drop',)\n",
      "\(run.summary)")
  }

  /// Threads share one connection, and each gets its own answers.
  @Test(arguments: BrokerSite.native) func threads(_ site: BrokerSite) {
    let run = run(
      site,
      """
      wrong = []
      def work(tool, verdict):
          for _ in range(200):
              if agt.decide(tool=tool).verdict != verdict: wrong.append(tool)
      kinds = [('read', 'allow'), ('drop', 'deny'), ('mail', 'require_approval')] * 3
      threads = [threading.Thread(target=work, args=kind) for kind in kinds]
      for thread in threads: thread.start()
      for thread in threads: thread.join()
      async def all():
          return [d.verdict for d in await asyncio.gather(*(agt.adecide(tool='read') for _ in range(20)))]
      print(wrong, set(asyncio.run(all())))
      """)
    #expect(run.out == "[] {'allow'}\n", "\(run.summary)")
  }

  /// Faster than the ring may ask: it waits and asks again.
  @Test func rate() {
    let run = run(
      BrokerSite(ring: 3, starter: .native),
      """
      began = time.monotonic()
      print({agt.decide(tool='read').verdict for _ in range(14)}, 0.5 < time.monotonic() - began < 5)
      slow = agt.Broker(timeout=0.05)
      try:
          for _ in range(20): slow.decide(tool='read')
      except agt.BrokerUnavailable as error: print(str(error)[:13])
      """, rate: nil)
    #expect(run.out == "{'allow'} True\nrate_limited:\n", "\(run.summary)")
  }

  @Test func forks() {
    let run = run(
      BrokerSite(ring: 2, starter: .native),
      """
      print(agt.decide(tool='read').verdict, flush=True)
      if os.fork() == 0:
          print(agt.decide(tool='drop').verdict, flush=True)
          os._exit(0)
      os.wait()
      print(agt.decide(tool='read').verdict)
      """)
    #expect(run.out == "allow\ndeny\nallow\n", "\(run.summary)")
  }

  /// Without a broker everything is denied, unless somebody says otherwise.
  @Test func withoutABroker() {
    let scratch = Scratch()
    scratch.write("agt.py", Self.client)
    let script = """
      import agt, os, socket, threading, time
      def attempt(address=None, timeout=0.3):
          try: return agt.Broker(address, timeout).decide(tool='read').verdict
          except agt.GovernanceDenied as error: return type(error).__name__
      print(attempt(), attempt('unix:/nowhere'), attempt('fd:77'), attempt('tcp:1'), attempt('off'))
      # One that does not answer, one that closes, and one that talks nonsense.
      def serve(answer):
          def loop():
              while True:
                  c, _ = s.accept()
                  kept.append(c)
                  c.recv(1000)
                  if answer is None: continue
                  c.sendall(answer)
                  c.close()
          s = socket.socket(socket.AF_UNIX)
          path = f'{os.getcwd()}/{len(kept)}-{time.monotonic_ns()}'
          s.bind(path)
          s.listen()
          threading.Thread(target=loop, daemon=True).start()
          return 'unix:' + path
      kept = []
      began = time.monotonic()
      print(attempt(serve(None)), attempt(serve(b'')), time.monotonic() - began < 2)
      print(attempt(serve(b'nonsense\\n')))
      """
    let run = Command(["/usr/bin/python3", "-c", script], in: scratch.path).run()
    let no = "BrokerUnavailable"
    #expect(run.out == "\(no) \(no) \(no) \(no) allow\n\(no) \(no) True\n\(no)\n", "\(run.summary)")
  }

  /// pip needs nothing from anywhere.
  @Test func installs() throws {
    let scratch = Scratch()
    let source = File.parent(File.parent(File.parent(#filePath))) + "/Clients/python"
    let made = Command.shell(
      """
      cp -r "$1" source && python3 -c 'import ensurepip' && python3 -m venv v && v/bin/pip install --no-index -q ./source && cd / && "$2/v/bin/python" -c 'import agt; print(agt.__version__)'
      """, [source, scratch.path], in: scratch.path
    ).with { $0.timeoutSeconds = 120 }.run()
    #expect(made.out == "1.0\n", "\(made.summary)")
  }
}
