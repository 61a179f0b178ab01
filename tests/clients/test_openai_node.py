"""The `openai` package for Node, as released (the newest, and the last that says it runs on older Nodes), and
plain `fetch`.

The scenarios stand in node/*.mjs, as tests for node's own runner; each is a test here by its name.
"""

import os
import re
import subprocess
from collections.abc import Callable

import msgspec
import pytest

from tests.clients.node_packages import NODE, node
from tests.clients.serving import Provider

_BOUND_S = 120
FILES = ("chat", "tools", "files", "responses", "fetch")
PACKAGES = ("openai", "openai-6")


class Outcome(msgspec.Struct, frozen=True):
    name: str
    passed: bool
    why: str


Run = Callable[[str, str], dict[str, Outcome]]


def scenarios() -> list[tuple[str, str, str]]:
    found = []
    for file in FILES:
        source = (NODE / f"{file}.mjs").read_text(encoding="utf-8")
        names = re.findall(r'^test\("(.+?)", ', source, re.MULTILINE)
        if failures := re.search(r"^const failures = \{(.*?)^\};", source, re.MULTILINE | re.DOTALL):
            kinds = re.findall(r"^  (\w+): ", failures[1], re.MULTILINE)
            names += [f"failures are the package's own: {kind}" for kind in kinds]
        packages = PACKAGES[:1] if file == "fetch" else PACKAGES
        found += [(package, file, name) for package in packages for name in names]
    return found


@pytest.fixture(scope="module")
def run(served: tuple[str, Provider]) -> Run:
    """Runs a file of scenarios with a package, once; returns the outcomes by name."""
    executable = node()
    kept: dict[tuple[str, str], dict[str, Outcome]] = {}

    def run_once(package: str, file: str) -> dict[str, Outcome]:
        if (package, file) not in kept:
            done = subprocess.run(
                [executable, "--test-reporter=./lines.mjs", f"{file}.mjs"],
                cwd=NODE,
                env={"PATH": os.environ["PATH"], "NANOBOT_ADDRESS": served[0], "OPENAI_PACKAGE": package},
                capture_output=True,
                text=True,
                timeout=_BOUND_S,
                check=False,
            )
            outcomes = [
                msgspec.json.decode(line, type=Outcome)
                for line in done.stdout.splitlines()
                if line.startswith("{")
            ]
            assert outcomes, done.stdout + done.stderr
            unknown = {outcome.name for outcome in outcomes} - {
                name for _, known, name in scenarios() if known == file
            }
            assert not unknown, f"{file}.mjs has tests that are not seen here: {unknown}"
            kept[package, file] = {outcome.name: outcome for outcome in outcomes}
        return kept[package, file]

    return run_once


@pytest.mark.parametrize(("package", "file", "name"), scenarios(), ids=lambda part: str(part))
def test_node(run: Run, package: str, file: str, name: str) -> None:
    outcome = run(package, file).get(name)
    assert outcome is not None, f"{file}.mjs did not get to {name!r}"
    assert outcome.passed, outcome.why
