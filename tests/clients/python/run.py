"""Runs the scenarios of a file: `python run.py FILE ADDRESS`; prints a line of JSON for the outcome of each.

A scenario is a function `test_…` with the server's address and a session key of its own as parameters. It
runs in the environment of the library that it tries, which has no pytest.
"""

import importlib.util
import json
import sys
import traceback
from pathlib import Path


def main(file: str, address: str) -> None:
    found = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert found is not None
    assert found.loader is not None
    scenarios = importlib.util.module_from_spec(found)
    found.loader.exec_module(scenarios)
    for name, scenario in vars(scenarios).items():
        if name.startswith("test_"):
            why = ""
            try:
                scenario(address, f"{Path(file).stem}:dm:{name}")
            except Exception:  # noqa: BLE001 - an outcome, whatever it is
                why = traceback.format_exc()
            print(json.dumps({"name": name, "passed": not why, "why": why}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
