"""Replacing a piece of text: exactly, tolerantly, and an error that shows the nearest place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import WorkspaceError
from nanobot.tools.workspace.text import EditableText
from nanobot.tools.workspace.writing import EditFileArguments, edited

CODE = "def f(x):\n    if x:\n        return \"one\"\n    return 'two'\n\n\ndef g(x):\n    return x\n"


def edit(text: str, old: str, new: str, *, every: bool = False) -> str:
    return edited(text, EditFileArguments("a.py", old, new, every))[0]


def test_what_stands_there_exactly_is_replaced() -> None:
    assert edit("a b c", "b", "x") == "a x c"
    assert edit(CODE, "    return 'two'\n", "") == CODE.replace("    return 'two'\n", "")


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("if x:\n    return “one”", "if x:\n    return 1", "    if x:\n        return 1\n"),
        ('  if x:  \n\treturn "one"', "  if not x:", "    if not x:\n"),
        ("return ’two’", "return 2", "    return 2\n"),
        ("def  g( x ):", "def h(x):", None),
    ],
)
def test_white_space_and_quotes_may_differ(old: str, new: str, shown: str | None) -> None:
    if shown is None:
        with pytest.raises(WorkspaceError):
            edit(CODE, old, new)
        return
    assert shown in edit(CODE, old, new)


def test_a_piece_that_stands_in_several_places_must_be_told_apart_or_meant_everywhere() -> None:
    with pytest.raises(WorkspaceError, match=r"2 places \(lines 1, 3\)"):
        edit("a\nb\na\n", "a", "x")
    assert edit("a\nb\na\n", "a", "x", every=True) == "x\nb\nx\n"
    assert edit("aaaa", "aa", "b", every=True) == "bb"


def test_what_stands_nowhere_is_answered_with_the_nearest_place() -> None:
    with pytest.raises(WorkspaceError, match="from line 7 on:\ndef g\\(x\\):\n    return x"):
        edit(CODE, "def g(y):\n    return x", "pass")
    with pytest.raises(WorkspaceError, match="nothing like it"):
        edit(CODE, "zebra crossing", "pass")


@pytest.mark.parametrize(("old", "new"), [("", "x"), ("  \n", "x"), ("def", "def")])
def test_what_asks_for_nothing_is_refused(old: str, new: str) -> None:
    with pytest.raises(WorkspaceError):
        edit(CODE, old, new)


@pytest.mark.parametrize("content", [b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb", b"a\nb\r\nc", b"", b"a"])
def test_line_ends_and_marks_stay_as_they_are(content: bytes) -> None:
    file = EditableText.of(content, "a")
    assert file.encoded(file.text) == content


def test_what_is_no_text_is_not_changed_in_part() -> None:
    with pytest.raises(WorkspaceError, match="UTF-8"):
        EditableText.of(b"\xff\xfe", "a")


@given(st.text(max_size=80), st.text(min_size=1, max_size=6), st.text(max_size=6), st.booleans())
def test_an_edit_of_what_is_there_is_a_replacement(text: str, old: str, new: str, every: bool) -> None:
    try:
        after = edit(text, old, new, every=every)
    except WorkspaceError:
        return
    if old in text and "\r" not in text + old + new:
        assert after == text.replace(old, new)


@given(st.text(max_size=200), st.text(max_size=60))
def test_no_text_makes_an_edit_fail_in_another_way(text: str, old: str) -> None:
    try:
        edit(text, old, "x", every=True)
    except WorkspaceError as error:
        assert error.message
