"""A small Internet in a network namespace of its own: names, addresses and servers.

    unshare --net --mount python3 world.py DIRECTORY -- COMMAND [ARGUMENT...]

Runs COMMAND on a host beside it, in one more network namespace, and exits with its status. DIRECTORY is where servers keep their files. agt-run, started
by COMMAND, finds this world by the machine's own /etc/resolv.conf and /etc/hosts, which are replaced here.
"""
import ctypes, fcntl, http.server, os, socket, ssl, struct, subprocess, sys, threading, time

DIRECTORY = sys.argv[1]
PUBLIC, PUBLIC6, OTHER, PRIVATE = "93.184.216.34", "2606:2800:220:1::34", "93.184.216.35", "10.1.2.3"
# Of the host on which COMMAND runs.
OWN, OWN6 = "93.184.217.2", "2606:2800:221::2"
GATEWAY, GATEWAY6 = "93.184.217.1", "2606:2800:221::1"
NAMES = {
    "example.org": [("A", PUBLIC, 60), ("AAAA", PUBLIC6, 60)],
    "other.example.org": [("A", OTHER, 60)],
    "www.example.org": [("CNAME", "example.org", 60)],
    "far.example.org": [("CNAME", "elsewhere.example.net", 60)],
    "elsewhere.example.net": [("A", PUBLIC, 60)],
    "private.example.org": [("CNAME", "internal.example.net", 60)],
    "internal.example.net": [("A", PRIVATE, 60)],
    "metadata.example.org": [("A", "169.254.169.254", 60)],
    "mapped.example.org": [("AAAA", "::ffff:10.1.2.3", 60)],
    "nat64.example.org": [("AAAA", "64:ff9b::a01:203", 60)],
    "local.example.org": [("A", "127.0.0.1", 60), ("AAAA", "::1", 60)],
    "mixed.example.org": [("A", PRIVATE, 60), ("A", PUBLIC, 60)],
    "six.example.org": [("AAAA", PUBLIC6, 60)],
    "text.example.org": [],
    "loop.example.org": [("CNAME", "loop.example.org", 60)],
    "closed.example.org": [("A", "93.184.216.36", 60)],
    "own.example.org": [("A", OWN, 60)],
}
rebound = 0
queries = []


def run(*words):
    subprocess.run(words, check=True)


def encode(name):
    return b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"


def answers(name, kind):
    """Records of a name, along its aliases."""
    global rebound
    if name == "rebind.example.org":
        if kind == "A":
            rebound += 1
        return [(name, "A", PUBLIC if rebound <= 1 else PRIVATE, 0)] if kind == "A" else []
    if name == "big.example.org":
        return [(name, "A", PUBLIC, 60)] * 60 if kind == "A" else []
    if name == "late.example.org":
        # Asked twice for an answer (A and AAAA); without an address the first time.
        asked = queries.count(name)
        return [(name, "A", PUBLIC, 60)] if kind == "A" and asked > 2 else []
    if name.endswith(".wild.example.org"):
        return [(name, "A", PUBLIC, 60)] if kind == "A" else []
    if name not in NAMES:
        return None
    found = []
    for record, value, ttl in NAMES[name]:
        if record == "CNAME":
            found.append((name, "CNAME", value, ttl))
            # An authoritative server does not know other zones: the resolver has to ask again.
            if value != name and value.endswith(".org"):
                found += answers(value, kind) or []
        elif record == kind:
            found.append((name, record, value, ttl))
    return found


def reply(query, over_tcp):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, kind = ".".join(labels).lower(), struct.unpack("!H", query[at + 1:at + 3])[0]
    question = query[12:at + 5]
    kind = {1: "A", 28: "AAAA"}.get(kind, str(kind))
    queries.append(name)
    open(DIRECTORY + "/queries", "a").write(name + "\n")
    records = answers(name, kind)
    code = 3 if records is None else 0
    body = b""
    for owner, record, value, ttl in records or []:
        data = (encode(value) if record == "CNAME" else
                socket.inet_pton(socket.AF_INET if record == "A" else socket.AF_INET6, value))
        number = {"A": 1, "AAAA": 28, "CNAME": 5}[record]
        body += encode(owner) + struct.pack("!HHIH", number, 1, ttl, len(data)) + data
    count, flags = len(records or []), 0x8180 | code
    if not over_tcp and len(body) > 1000:
        body, count, flags = b"", 0, flags | 0x200
    return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + question + body


def names_udp():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("192.0.2.53", 53))
    while True:
        query, client = server.recvfrom(4096)
        try:
            server.sendto(reply(query, False), client)
        except Exception as error:
            print("world:", error, file=sys.stderr)


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def listen(address, port, serve):
    """Serves each connection in a thread."""
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(2048)

    def one(connection):
        try:
            serve(connection)
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def loop():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def names_tcp(connection):
    while True:
        query = exactly(connection, struct.unpack("!H", exactly(connection, 2))[0])
        data = reply(query, True)
        connection.sendall(struct.pack("!H", len(data)) + data)


def echo(connection):
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def greet(connection):
    connection.sendall(b"220 first\n")
    connection.recv(100)


def count(connection):
    """Answers only after the client has ended its half."""
    total = 0
    while data := connection.recv(65536):
        total += len(data)
    connection.sendall(b"%d\n" % total)


def reset(connection):
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deaf(connection):
    """Has said everything, and reads nothing."""
    connection.shutdown(socket.SHUT_WR)
    time.sleep(60)


def pour(connection):
    """As many bytes as the client asks for."""
    size = int(connection.recv(100))
    block = bytes(65536)
    while size > 0:
        size -= connection.send(block[:min(size, 65536)])


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=DIRECTORY + "/www")

    def log_message(self, *arguments):
        pass


def web(address, port, context=None):
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        request_queue_size = 256
        daemon_threads = True

        def handle_error(self, *arguments):
            pass

    server = Server((address, port), Files)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def certificate():
    key, cert = DIRECTORY + "/key.pem", DIRECTORY + "/cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=example.org", "-addext",
         "subjectAltName=DNS:example.org,DNS:*.example.org"], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def build():
    libc = ctypes.CDLL(None, use_errno=True)
    # MS_REC | MS_PRIVATE, so that nothing of this reaches the machine.
    assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
    run("ip", "link", "set", "lo", "up")
    for address in [PUBLIC, OTHER, PRIVATE, "93.184.216.36", "169.254.169.254", "192.0.2.53", "172.16.0.9"]:
        run("ip", "address", "add", address + "/32", "dev", "lo")
    run("ip", "-6", "address", "add", PUBLIC6 + "/128", "dev", "lo", "nodad")
    more = DIRECTORY + "/more-hosts"
    known = open(more).read() if os.path.exists(more) else ""
    for name, text in [
        ("resolv.conf", "search example.com\nnameserver 192.0.2.53\noptions timeout:1\n"),
        ("hosts", known + "127.0.0.1 localhost\n93.184.216.34 known.example.org\n10.1.2.3 myself.example.org\n"),
    ]:
        place = DIRECTORY + "/" + name
        open(place, "w").write(text)
        os.chmod(place, 0o644)
        assert libc.mount(place.encode(), os.path.realpath("/etc/" + name).encode(), None, 4096, None) == 0
    os.makedirs(DIRECTORY + "/www", exist_ok=True)
    open(DIRECTORY + "/www/hello", "w").write("hello from outside\n")
    open(DIRECTORY + "/queries", "w").close()
    threading.Thread(target=names_udp, daemon=True).start()
    listen("192.0.2.53", 53, names_tcp)
    tls = certificate()
    for address in [PUBLIC, PUBLIC6, OTHER, PRIVATE, "169.254.169.254", "172.16.0.9"]:
        web(address, 80)
        listen(address, 7000, echo)
    for address in [PUBLIC, OTHER]:
        web(address, 443, tls)
    for port, serve in [(7001, greet), (7002, count), (7003, reset), (7004, pour), (7006, deaf)]:
        listen(PUBLIC, port, serve)


def host(command):
    """The machine that COMMAND runs on, with services of its own."""
    sys.stdin.readline()
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "set", "host0", "up")
    run("ip", "address", "add", OWN + "/30", "dev", "host0")
    run("ip", "route", "add", "default", "via", GATEWAY)
    run("ip", "-6", "address", "add", OWN6 + "/64", "dev", "host0", "nodad")
    run("ip", "-6", "route", "add", "default", "via", GATEWAY6)
    for address in ["127.0.0.1", OWN]:
        listen(address, 7000, echo)
    return subprocess.run(command, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    command = sys.argv[sys.argv.index("--") + 1:]
    if sys.argv[2] == "host":
        sys.exit(host(command))
    build()
    # More servers, by the test's own script.
    if os.path.exists(DIRECTORY + "/servers.sh"):
        run("sh", DIRECTORY + "/servers.sh")
    other = subprocess.Popen(["unshare", "--net", sys.executable, __file__, DIRECTORY, "host", "--"] + command,
                             stdin=subprocess.PIPE)
    mine = os.stat("/proc/self/ns/net").st_ino
    while os.stat("/proc/%d/ns/net" % other.pid).st_ino == mine:
        time.sleep(0.001)
    run("ip", "link", "add", "world0", "type", "veth", "peer", "name", "host0", "netns", str(other.pid))
    run("ip", "link", "set", "world0", "up")
    run("ip", "address", "add", GATEWAY + "/30", "dev", "world0")
    run("ip", "-6", "address", "add", GATEWAY6 + "/64", "dev", "world0", "nodad")
    other.communicate(b"go\n")
    sys.exit(other.returncode)
