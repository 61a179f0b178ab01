"""Libraries for Python that need an environment of their own: `litellm` and `instructor`, as released.

The scenarios stand in python/*_scenarios.py; each is a test here by its name.
"""

import os
import re
import subprocess
from collections.abc import Callable

import msgspec
import pytest

from tests.clients.python_packages import PYTHON, programs
from tests.clients.serving import Provider

_BOUND_S = 100
LIBRARIES = ("litellm", "instructor")


class Outcome(msgspec.Struct, frozen=True):
    name: str
    passed: bool
    why: str


Run = Callable[[str], dict[str, Outcome]]


def scenarios() -> list[tuple[str, str]]:
    return [
        (library, name)
        for library in LIBRARIES
        for name in re.findall(
            r"^def (test_\w+)",
            (PYTHON / f"{library}_scenarios.py").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]


@pytest.fixture(scope="module")
def run(served: tuple[str, Provider], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the scenarios of a library, once; returns the outcomes by name."""
    python = str(programs("libraries") / "python")
    kept: dict[str, dict[str, Outcome]] = {}

    def run_once(library: str) -> dict[str, Outcome]:
        if library not in kept:
            home = tmp_path_factory.mktemp(library)
            done = subprocess.run(
                [python, str(PYTHON / "run.py"), str(PYTHON / f"{library}_scenarios.py"), served[0]],
                cwd=home,
                env={"PATH": os.environ["PATH"], "HOME": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                capture_output=True,
                text=True,
                timeout=_BOUND_S,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith('{"name"')]
            assert lines, done.stdout + done.stderr
            outcomes = [msgspec.json.decode(line, type=Outcome) for line in lines]
            kept[library] = {outcome.name: outcome for outcome in outcomes}
        return kept[library]

    return run_once


@pytest.mark.parametrize(("library", "name"), scenarios())
def test_a_library(run: Run, library: str, name: str) -> None:
    outcome = run(library).get(name)
    assert outcome is not None, f"{library} did not get to {name}"
    assert outcome.passed, outcome.why
