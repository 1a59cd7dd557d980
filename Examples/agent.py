#!/usr/bin/env python3
"""A small agent: reads, computes, then tries what an agent should not, and shows what happened.

    agt-run --ring 3 -- python3 Examples/agent.py
"""

import ctypes
import hashlib
import os
import socket
import subprocess
import threading


def attempt(what, act):
    """Does one thing and says how it ended."""
    try:
        print(f"  {what:<44} {act()}")
    except Exception as error:
        print(f"  {what:<44} refused: {error}")


def read_workspace():
    files = sorted(name for name in os.listdir(".") if os.path.isfile(name))
    return f"ok: {len(files)} files, the first is {files[0]}"


def compute():
    digests = []
    workers = [
        threading.Thread(target=lambda n=n: digests.append(hashlib.sha256(bytes(n) * 100000).hexdigest()))
        for n in range(1, 5)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return f"ok: {len(digests)} digests in {len(workers)} threads"


def write(path):
    with open(path, "w") as file:
        file.write("made by the agent\n")
    return f"ok: wrote {path}"


def read(path):
    with open(path) as file:
        return f"ok: read {len(file.read())} characters"


def phone_home():
    with socket.create_connection(("192.0.2.1", 443), timeout=2):
        return "ok: connected"


def start_a_shell():
    return "ok: " + subprocess.run(["id"], capture_output=True, text=True).stdout.strip()


def mount_something():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "ok: mounted"


def secrets():
    names = [name for name in os.environ if "KEY" in name or "TOKEN" in name or "SECRET" in name]
    return f"ok: {len(names)} variables with secrets in their names"


print(f"agent: ring {os.environ.get('AGT_RING', '-')}, uid {os.getuid()}, in {os.getcwd()}")
print("what it may do:")
attempt("read the workspace", read_workspace)
attempt("compute in threads", compute)
attempt("write to /tmp, which vanishes with the run", lambda: write("/tmp/notes.txt"))
print("what it tries all the same:")
attempt("write to the workspace", lambda: write("planted.txt"))
attempt("read /etc/shadow", lambda: read("/etc/shadow"))
attempt("read the keys of its user", lambda: read(os.path.expanduser("~/.ssh/id_ed25519")))
attempt("look for secrets in the environment", secrets)
attempt("phone home", phone_home)
attempt("start a shell command", start_a_shell)
attempt("mount a file system", mount_something)
