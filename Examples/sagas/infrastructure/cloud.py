"""cloud.py create NAME FAIL [NEEDS…] | delete NAME | exists NAME

A provider in a directory. What is created needs what it is built on; what others are built on cannot be
deleted. The same key twice is one request. FAIL=NAME refuses; FAIL=lost-NAME does it and dies before it answers.
"""
import json
import os
import signal
import sys
from pathlib import Path

verb, name, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
cloud = Path("cloud")
cloud.mkdir(exist_ok=True)
place = cloud / f"{name}.json"


def there():
    return {file.stem: json.loads(file.read_text()) for file in cloud.glob("*.json")}


if verb == "exists":
    sys.exit(0 if place.exists() else 1)
if verb == "create":
    fail, needs = rest[0], rest[1:]
    missing = [need for need in needs if need not in there()]
    if fail == name or missing:
        sys.exit(f"cannot create {name}: {missing or 'no quota'}")
    part = cloud / f".{name}.part"
    part.write_text(json.dumps({"needs": needs, "key": os.environ["AGT_IDEMPOTENCY_KEY"]}))
    part.rename(place)
    if fail == f"lost-{name}" and os.environ["AGT_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
if verb == "delete" and place.exists():
    users = [other for other, settings in there().items() if name in settings["needs"]]
    if users:
        sys.exit(f"cannot delete {name}: {users} use it")
    place.unlink()
