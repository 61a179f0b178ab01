"""Memory of large blocks is given back."""

import subprocess
import sys

import pytest

_GIVEN_BACK = """
from pathlib import Path
from nanobot.cli.allocator import give_large_blocks_back

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

give_large_blocks_back()
kept = []
for size in range(2, 30):
    block = bytearray(b"x" * (size * 1024 * 1024))
    kept.append(bytearray(b"x" * 10_000))
    del block
before = resident()
large = [bytearray(b"x" * (2 * 1024 * 1024)) for _ in range(20)]
kept.append(bytearray(b"x" * 10_000))
del large
assert resident() - before < 4 * 1024 * 1024, resident() - before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told anything")
def test_large_blocks_go_back_to_the_system_once_they_are_free() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _GIVEN_BACK], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
