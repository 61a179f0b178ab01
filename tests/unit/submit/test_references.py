"""Parts that only refer to their content."""

import sys
from types import FrameType

import pytest

from nanobot.submit.references import file_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, ""),
        ("a.txt", "a.txt"),
        ("C:\\docs/b.pdf", "b.pdf"),
        ("../../etc/passwd", "passwd"),
        ("  a\nb\x00.txt ", "a b .txt"),
        ("/".join("x" * 1_000_000), "x"),
        ("y" * 1_000_000, "y" * 255),
    ],
)
def test_a_name_is_shown_without_folders_and_cut(name: str | None, shown: str) -> None:
    assert file_name(name) == shown


def test_a_long_name_costs_no_more_than_a_short_one() -> None:
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        file_name("y" * 1_000_000)
    finally:
        sys.setprofile(None)
    assert steps < 2_000
