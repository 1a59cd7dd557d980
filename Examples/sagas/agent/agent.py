"""An agent that takes somebody on: an account, a page, and a look at both; all of it or nothing.

    cp ../../../Clients/python/agt.py .
    agt-run --ring 2 --policy policy.yaml --tools tools -- python3 agent.py ada
    agt-run --ring 2 --policy policy.yaml --tools tools -- python3 agent.py bob broken   # undone; so it is when killed
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import agt


def main(name: str, how: str = "well") -> int:
    try:
        with agt.saga("take-on") as saga:
            # What undoes it is in the tool's declaration.
            saga.tool("add_account", name=name)
            # An action of our own: first what undoes it is put down, then it is done.
            saga.step("page", undo=("remove_page", {"name": name}))
            os.makedirs("pages", exist_ok=True)
            with open(f"pages/{name}.html", "w") as page:
                page.write("" if how == "broken" else f"<h1>{name}</h1>\n")
            if how == "dies":
                os._exit(9)
            saga.tool("check_page", name=name)
    except agt.StepFailed as error:
        print(f"{error}; {saga.state}")
        return 1
    print(f"{name} is taken on; {saga.state}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
