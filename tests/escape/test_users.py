"""Runs of the attempts at once, on one machine, leave each other alone."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.escape.run import can_run
from tests.escape.users import end_all, processes, users

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, who can start programs as any user")
OTHER_RUN = """
import subprocess, sys
from tests.escape.users import end_all, users
uid = users().uid
child = subprocess.Popen(["sleep", "300"], user=uid, group=uid, extra_groups=[])
print(uid, flush=True)
sys.stdin.readline()
print(child.poll(), flush=True)
end_all()
print(child.wait(), flush=True)
"""


@pytest.fixture
def other_run() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def said(run: "subprocess.Popen[str]") -> str:
    assert run.stdout is not None
    return run.stdout.readline().strip()


def test_a_run_ends_its_own_processes_and_none_of_another_run(other_run: "subprocess.Popen[str]") -> None:
    assert other_run.stdin is not None
    assert int(said(other_run)) != users().uid
    assert processes() == []
    end_all()
    other_run.stdin.write("\n")
    other_run.stdin.flush()
    assert said(other_run) == "None", "it was ended by this run"
    assert said(other_run) == "-9"
