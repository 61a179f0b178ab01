"""`make fuzz-api`: a server of its own, and schemathesis against it by the server's own document, until
enough cases were sent.

Each round has another seed; the summary sums what schemathesis counted. Exit status 1 where a check failed,
or too few cases were sent.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "a-key-that-was-chosen-for-this-run-only"
_START_S = 30


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve the echo model on a free port, with an API key; yield the address."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "NANOBOT_API_KEY": KEY,
    }
    # wrong keys are sent on purpose, and all of them from here
    environment["NANOBOT_API_MAX_BAD_KEYS"] = "0"
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nanobot",
                "serve",
                "--model",
                "echo",
                "--port",
                "0",
                "--data",
                str(directory / "data"),
                "--verbose",
            ],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    guard = threading.Timer(_START_S, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        found = next(
            (found[1] for line in process.stdout if (found := re.search(r"listens on\s+(\S+)", line))), None
        )
        guard.cancel()
        if found is None:
            raise SystemExit("the server did not start:\n" + (directory / "server.log").read_text())
        yield found
    finally:
        guard.cancel()
        process.terminate()
        process.wait(_START_S)


class Round:
    """One run of schemathesis: how many cases it sent, and what failed."""

    def __init__(self, url: str, directory: Path, *, seed: int, examples: int, only: str | None) -> None:
        report = directory / f"report-{seed}.json"
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(Path(__file__).with_name("schemathesis.toml")),
        ]
        command += [
            "run",
            f"{url}/openapi.json",
            "--header",
            f"Authorization: Bearer {KEY}",
            "--checks",
            "all",
            "--seed",
            str(seed),
        ]
        command += ["--max-examples", str(examples), "--report-json-path", str(report), "--no-color"]
        command += ["--include-path-regex", only] if only else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.api.hooks"}
        began = time.monotonic()
        ran = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        self.seconds = time.monotonic() - began
        self.output = ran.stdout + ran.stderr
        told = json.loads(report.read_text()) if report.exists() else {}
        self.is_good = ran.returncode == 0 and bool(told.get("complete")) and not told["errors"]
        self.cases = int(told["test_cases"]["generated"]) if told else 0
        self.operations = int(told["operations"]["tested"]) if told else 0
        self.failures = Counter({failure["title"]: failure["count"] for failure in told.get("failures", ())})
        self.rates = told.get("valid_rates", {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="how many cases to send at least")
    parser.add_argument(
        "--examples", type=int, default=150, help="how many a round generates for each operation"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round")
    parser.add_argument("--only", help="a regular expression: only paths that match")
    options = parser.parse_args()
    sent = 0
    failures: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    good = True
    with tempfile.TemporaryDirectory(prefix="nanobot-fuzz-") as name, serving(Path(name)) as url:
        directory = Path(name)
        for seed in itertools.count(options.seed):
            found = Round(url, directory, seed=seed, examples=options.examples, only=options.only)
            sent += found.cases
            failures += found.failures
            good = good and found.is_good
            for operation, phases in found.rates.items():
                accepted[operation] += sum(phase["accepted"] for phase in phases.values())
            print(
                f"seed {seed}: {found.cases} cases on {found.operations} operations in {found.seconds:.0f} s",
                flush=True,
            )
            if not found.is_good:
                print(found.output, flush=True)
            if not found.cases or sent >= options.cases:
                break
        bugs = [
            line
            for line in (directory / "server.log").read_text().splitlines()
            if re.search(r"\bERROR\b|Traceback", line)
        ]
    print(f"\n{sent} cases, {sum(failures.values())} failures, {len(bugs)} errors in the server's log")
    for operation, count in sorted(accepted.items()):
        print(f"  {count:6} accepted  {operation}")
    for title, count in failures.most_common():
        print(f"  {count:6} failures  {title}")
    for line in bugs[:20]:
        print(f"  log: {line}")
    return 0 if good and not bugs and sent >= options.cases else 1


if __name__ == "__main__":
    sys.exit(main())
