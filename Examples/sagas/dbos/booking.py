"""A durable workflow of DBOS (pip install dbos; SQLite holds its state) whose steps are agt-run.

    python booking.py TRIP [fail]      # AGT_RUN names agt-run; TRIP makes the workflow's identity

DBOS schedules, retries and recovers; agt-run confines each step, ends its whole tree, and says how it ended. The
contract between the two is the exit status, `--result-json`, and a key that is the same for every attempt.
"""
import json
import os
import subprocess
import sys
import tempfile

from dbos import DBOS, SetWorkflowID

AGT_RUN = os.environ.get("AGT_RUN", "agt-run")
WORKSPACE = os.getcwd()


class StepFailed(Exception):
    pass


def confined(step, key, *command):
    """Runs a command in ring 2; an exception unless it succeeded."""
    with tempfile.TemporaryDirectory() as place:
        record = os.path.join(place, "result.json")
        subprocess.run(
            [AGT_RUN, "--quiet", "--ring", "2", "--workspace", f"{WORKSPACE}:rw", "--timeout", "30s",
             "--on-violation", "kill", "--result-json", record, "--env", f"AGT_IDEMPOTENCY_KEY={key}",
             "--", *command], check=False, stdin=subprocess.DEVNULL)
        try:
            with open(record) as file:
                result = json.load(file)
        except FileNotFoundError:
            raise StepFailed(f"{step}: did not start") from None
    if result["state"] != "exited" or result["status"] != 0:
        raise StepFailed(f"{step}: {result['message'] or result['status']}")


@DBOS.step()
def reserve(trip, what, fail):
    # The key makes a repetition after a crash harmless.
    confined(f"reserve {what}", f"{trip}/{what}", "/bin/sh", "-c",
             '[ "$2" != yes ] || exit 9; echo "$AGT_IDEMPOTENCY_KEY" >"$1.booked"', "sh", what, fail)


@DBOS.step()
def release(trip, what):
    confined(f"release {what}", f"{trip}/{what}/undo", "/bin/rm", "-f", f"{what}.booked")


@DBOS.workflow()
def book(trip, fail):
    done = []
    try:
        for what in ["flight", "hotel", "car"]:
            # Before the step: it may have happened when its outcome is lost.
            done.append(what)
            reserve(trip, what, "yes" if fail and what == "car" else "no")
    except StepFailed as error:
        for what in reversed(done):
            release(trip, what)
        return f"compensated: {error}"
    return "booked"


if __name__ == "__main__":
    DBOS(config={"name": "booking", "system_database_url": "sqlite:///booking.sqlite",
                 "run_admin_server": False, "log_level": "ERROR"})
    DBOS.launch()
    with SetWorkflowID(sys.argv[1]):
        print(book(sys.argv[1], "fail" in sys.argv[2:]))
    DBOS.destroy()
