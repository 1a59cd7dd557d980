import TestSupport
import Testing

/// The programs that people use, over the network of ring 2, against servers of the tests' own.
@Suite("Programs over the network", .aNetwork) struct ReachProgramsTests {
  private static let ok = "hello from outside\n"

  @Test(.needs("curl"), arguments: Starter.all) func curl(_ starter: Starter) {
    let world = World(starter)
    let run = world.command(
      [
        "sh", "-c",
        """
        curl -sS http://example.org/hello
        curl -6 -sS http://example.org/hello
        curl -sS http://example.org/hello http://www.example.org/hello
        curl -sS --cacert $1 https://example.org/hello
        curl -sS -m 5 http://other.example.org/hello; echo $?
        curl -sS -m 5 http://93.184.216.34/hello; s=$?; [ $s = 7 ] || [ $s = 56 ] && echo reset
        """, "sh", world.servers.path + "/cert.pem",
      ], net: ["example.org:80", "example.org:443", "www.example.org:80"],
      options: ["--read", world.servers.path]
    ).run()
    #expect(
      run.out == String(repeating: Self.ok, count: 5) + "6\nreset\n", "\(run.summary)")
  }

  @Test(.needs("git"), arguments: Starter.all) func gitClone(_ starter: Starter) {
    let world = World(starter)
    world.servers.write(
      "servers.sh",
      """
      set -e
      cd $(dirname $0)
      git init -q -b main source
      cd source
      seq 20000 > file
      git add file
      git -c user.name=x -c user.email=x@x commit -qm one
      git clone -q --bare . ../www/project.git
      git -C ../www/project.git update-server-info
      cd ..
      git daemon --base-path=www --export-all --listen=93.184.216.34 --detach --reuseaddr www
      """)
    let run = world.command(
      [
        "sh", "-c",
        """
        git clone -q http://example.org/project.git one && tail -1 one/file
        git clone -q git://example.org/project.git two && git -C two log --format=%s
        """,
      ], net: ["example.org:80", "example.org:9418"]
    ).run()
    #expect(run.prints("20000\none\n"), "\(run.summary)")
  }

  @Test(.needs("pip3"), arguments: Starter.all) func pipInstall(_ starter: Starter) {
    let world = World(starter)
    world.servers.write(
      "servers.sh",
      #"""
      set -e
      cd $(dirname $0)/www
      mkdir -p simple/greeting
      /usr/bin/python3 - <<'END'
      import zipfile, hashlib
      name = 'greeting-1.0-py3-none-any.whl'
      with zipfile.ZipFile('simple/greeting/' + name, 'w') as z:
          z.writestr('greeting.py', 'text = "from a wheel"\n')
          z.writestr('greeting-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n')
          z.writestr('greeting-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
          z.writestr('greeting-1.0.dist-info/RECORD', 'greeting.py,,\n')
      open('simple/greeting/index.html', 'w').write('<a href="%s">%s</a>' % (name, name))
      END
      """#)
    let run = world.command(
      [
        "sh", "-c",
        """
        /usr/bin/python3 -m pip install -q --disable-pip-version-check --no-cache-dir --target lib \
          --index-url https://example.org/simple --cert $1 greeting
        PYTHONPATH=lib /usr/bin/python3 -c 'import greeting; print(greeting.text)'
        """, "sh", world.servers.path + "/cert.pem",
      ], net: ["example.org:443"], options: ["--read", world.servers.path]
    ).run()
    #expect(run.status == 0 && run.out.hasSuffix("from a wheel\n"), "\(run.summary)")
  }

  @Test(.needs("ssh", "sshd"), arguments: Starter.all) func ssh(_ starter: Starter) {
    let world = World(starter)
    world.servers.write(
      "servers.sh",
      """
      set -e
      cd $(dirname $0)
      ssh-keygen -q -t ed25519 -N '' -f host
      ssh-keygen -q -t ed25519 -N '' -f user
      echo "[example.org]:2222 $(cut -d' ' -f1,2 host.pub)" > known
      cp user.pub authorized
      chmod 644 user known
      mkdir -p /run/sshd
      mount -t tmpfs -o mode=755 none /run/sshd
      /usr/sbin/sshd -f /dev/null -h $PWD/host -p 2222 -o ListenAddress=93.184.216.34 -o PidFile=none \
        -o AuthorizedKeysFile=$PWD/authorized -o StrictModes=no -o UsePAM=no -E $PWD/sshd.log
      """)
    let run = world.command(
      [
        "sh", "-c",
        """
        cp $1/user key && chmod 600 key
        ssh -F none -i key -o UserKnownHostsFile=$1/known -o IdentitiesOnly=yes -p 2222 root@example.org \
          'echo in as $(id -un); cat' < $1/known | head -1
        ssh -F none -i key -o BatchMode=yes -o ConnectTimeout=5 -p 22 root@example.org true; echo $?
        """, "sh", world.servers.path,
      ], net: ["example.org:2222"], options: ["--read", world.servers.path]
    ).run()
    #expect(run.out == "in as root\n255\n", "\(run.summary)")
    #expect(run.err.contains("port 22: Connection refused"), "\(run.summary)")
  }

  @Test(.needs("node"), arguments: Starter.all) func node(_ starter: Starter) {
    let world = World(starter)
    world.servers.write("server.js", Self.nodeServer)
    world.servers.write(
      "servers.sh",
      """
      cd $(dirname $0)
      node server.js > node.log 2>&1 &
      for i in $(seq 100); do grep -q ready node.log && exit 0; sleep 0.1; done
      exit 1
      """)
    let run = world.command(
      ["node", "-e", Self.nodeClient],
      net: ["example.org:80", "example.org:8081", "example.org:8082"]
    ).run()
    #expect(
      run.prints(
        "http 200 hello from outside\nfetch hello from outside\nhttp2 pushed through /a /b /c\n"
          + "websocket echo: one echo: two\nrefused ENOTFOUND\n"), "\(run.summary)")
  }

  /// HTTP/2 in the clear and a WebSocket server (RFC 6455) in few lines.
  private static let nodeServer = """
    const http2 = require('http2'), http = require('http'), crypto = require('crypto')
    http2.createServer().on('stream', (stream, headers) => {
      stream.respond({':status': 200})
      stream.end('through ' + headers[':path'])
    }).listen(8081, '93.184.216.34', () =>
      http.createServer().on('upgrade', (request, socket) => {
        const key = crypto.createHash('sha1')
          .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
        socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n' +
          'Sec-WebSocket-Accept: ' + key + '\\r\\n\\r\\n')
        socket.on('data', d => {
          const length = d[1] & 127, mask = d.subarray(2, 6), text = d.subarray(6, 6 + length).map((b, i) => b ^ mask[i % 4])
          const reply = Buffer.from('echo: ' + Buffer.from(text))
          socket.write(Buffer.concat([Buffer.from([0x81, reply.length]), reply]))
        })
      }).listen(8082, '93.184.216.34', () => console.log('ready')))
    """

  private static let nodeClient = """
    const http = require('http'), http2 = require('http2')
    const get = url => new Promise((done, fail) => http.get(url, r => {
      let text = ''
      r.on('data', d => text += d).on('end', () => done([r.statusCode, text.trim()]))
    }).on('error', fail))
    async function main() {
      console.log('http', ...await get('http://example.org/hello'))
      console.log('fetch', (await (await fetch('http://example.org/hello')).text()).trim())
      const session = http2.connect('http://example.org:8081')
      const ask = path => new Promise(done => {
        let text = ''
        session.request({':path': path}).on('data', d => text += d).on('end', () => done(text)).end()
      })
      const all = await Promise.all(['/a', '/b', '/c'].map(ask))
      console.log('http2 pushed through', all.map(t => t.split(' ')[1]).join(' '))
      session.close()
      await new Promise(done => http.get({host: 'example.org', port: 8082, headers: {
        Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='}}).on('upgrade', (r, socket) => {
          const send = text => socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 1, 2, 3, 4]),
            Buffer.from(text).map((b, i) => b ^ (i % 4 + 1))]))
          const got = []
          socket.on('data', d => {
            got.push(d.subarray(2).toString())
            if (got.length == 2) { console.log('websocket', ...got); socket.destroy(); done() } else send('two')
          })
          send('one')
        }))
      await get('http://evil.example/').catch(e => console.log('refused', e.code))
    }
    main()
    """

  @Test func asyncio() {
    let world = World(.native)
    let run = world.python(
      """
      import asyncio
      async def one(name, n):
          reader, writer = await asyncio.open_connection(name, 7000)
          data = bytes([n]) * 200_000
          writer.write(data)
          writer.write_eof()
          return (await reader.read(-1)) == data
      async def main():
          print(all(await asyncio.gather(*[one('example.org' if n % 2 else 'other.example.org', n) for n in range(50)])))
          try: await asyncio.open_connection('evil.example', 7000)
          except OSError as error: print(type(error).__name__)
      asyncio.run(main())
      """, net: "example.org:7000", "other.example.org:7000")
    #expect(run.prints("True\ngaierror\n"), "\(run.summary)")
  }

  private static let postgres =
    (14...18).map { "/usr/lib/postgresql/\($0)/bin" }.first { File.exists($0 + "/initdb") }

  @Test(
    .needs("psql"), .enabled("needs the PostgreSQL server") { postgres != nil },
    arguments: Starter.all)
  func postgreSQL(_ starter: Starter) {
    let world = World(starter)
    world.servers.write(
      "servers.sh",
      """
      set -e
      d=$(dirname $0)/data
      mkdir $d && chown nobody $d && cd /
      as() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }
      as \(Self.postgres!)/initdb -D $d -A trust -U tester --no-sync > $d.log 2>&1
      echo 'host all all 0.0.0.0/0 trust' >> $d/pg_hba.conf
      as \(Self.postgres!)/pg_ctl -D $d -l $d/log -w start -o "-c listen_addresses=10.1.2.3 -k $d -c fsync=off" >> $d.log 2>&1
      """)
    let query = "select sum(n) from generate_series(1, 100000) n"
    let run = world.command(
      [
        "sh", "-c",
        """
        psql -h private.example.org -U tester -d postgres -Atc "$1"
        psql -h 10.1.2.3 -U tester -d postgres -Atc "copy (select repeat('x', 1000) from generate_series(1, 5000)) to stdout" | wc -c
        """, "sh", query,
      ], net: ["private.example.org:5432", "10.0.0.0/8:5432"]
    ).run()
    #expect(run.prints("5000050000\n5005000\n"), "\(run.summary)")
  }
}
