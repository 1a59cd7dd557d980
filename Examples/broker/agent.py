"""An agent that reads, writes, fetches and asks for an approval, each by its broker and as policy.yaml says.

    cp ../../Clients/python/agt.py .; echo 'milk, bread' > notes.txt
    agt-run --ring 2 --policy policy.yaml --tools ../../Profiles/tools -- python3 agent.py https://example.org/
    agt approve --watch                # at another terminal: publishing waits for a person
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import agt


@agt.govern
def write_report(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


@agt.govern(approval=True)
def publish(path: str) -> None:
    os.rename(path, "published-" + path)


def main(url: str) -> int:
    # Each tool is a process of its own: read_file in ring 3, http_get in ring 2.
    notes = agt.tool("read_file", path="notes.txt").stdout.strip()
    page = agt.tool("http_get", url=url)
    print(f"read {len(notes)} characters, fetched {len(page.output)} bytes: {page.outcome} {page.status}")
    write_report("report.txt", f"notes: {notes}\npage: {len(page.output)} bytes\n")
    for path in ("../outside.sh", "/etc/passwd"):
        try:
            write_report(path, "planted")
        except agt.GovernanceDenied as error:
            print(f"write {path}: {error}")
    try:
        publish("report.txt")
        print("published")
    except agt.GovernanceDenied as error:
        print(f"not published: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
