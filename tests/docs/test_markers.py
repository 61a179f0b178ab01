"""No text of the tree has the marks of an unfinished merge."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MARK = re.compile(r"^(<{7} (?!SEARCH)|\|{7} |>{7} (?!REPLACE))", re.MULTILINE)
"""Those of aider's own blocks, which a test plays back, are none."""


def test_no_merge_was_left_half_done() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if _MARK.search(text):
            found.append(name)
    assert found == []
