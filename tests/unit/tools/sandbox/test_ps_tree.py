"""The processes of a command as `ps` shows them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nanobot.tools.sandbox.ps_tree import PsTree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ps")


@pytest.fixture
def group() -> Iterator[int]:
    """A process group whose leader has ended, and left something behind."""
    leader = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & exit"], start_new_session=True)
    leader.wait()
    yield leader.pid
    os.killpg(leader.pid, signal.SIGKILL)


def test_what_was_never_seen_below_is_found_by_the_group_that_is_followed(group: int) -> None:
    tree = PsTree()
    assert not [pid for pid in tree.below() if os.getpgid(pid) == group]
    tree.follow(group)
    (left,) = [pid for pid in tree.below() if os.getpgid(pid) == group]
    assert left != group
