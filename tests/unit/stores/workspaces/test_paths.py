"""Paths as models and clients write them: what is none is refused, and what is one stays below the top."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import BadPath
from nanobot.stores.workspaces.paths import folded, parse_path


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a.txt", ("a.txt",)),
        ("./notes//a.txt/", ("notes", "a.txt")),
        ("", ()),
        (" a b.txt ", ("a b.txt",)),
        ("Zoe\u0308.md", ("Zo\u00eb.md",)),
        ("...", ("...",)),
        ("報告/结果.md", ("報告", "结果.md")),
    ],
)
def test_a_relative_path_is_taken_apart(path: str, parts: tuple[str, ...]) -> None:
    assert parse_path(path) == parts


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "..",
        "a/../../b",
        "a/..",
        "a\0b",
        "a\nb",
        "a\\b",
        "C:/x",
        "a.txt:stream",
        "x\u202etxt.exe",
        "a/ b",
        "a" * 300,
        "é" * 130,
        "/".join("a" * 17),
        "a/" * 600,
        "\ud800",
    ],
)
def test_what_leads_elsewhere_or_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        parse_path(path)


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "a", "", " ", "/", "\\", "~"])).map("/".join)
)
def test_no_text_leads_out_of_the_workspace(path: str) -> None:
    try:
        parts = parse_path(path)
    except BadPath:
        return
    for part in parts:
        assert part not in ("", ".", "..")
        assert not set(part) & set("/\\\0:")
        assert part == unicodedata.normalize("NFC", part) == part.strip()
        assert len(part.encode()) < 255
    assert parse_path("/".join(parts)) == parts


def test_names_that_a_system_takes_for_one_are_one() -> None:
    assert folded("README.md") == folded("readme.MD")
    assert folded("Zo\u00eb") == folded("zoe\u0308")
    assert folded("a_b") != folded("a-b")
