"""Patches, as models write them: found by their lines, whatever the numbers say."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import WorkspaceError
from nanobot.tools.workspace.patch import parse_patch, patched

TEXT = "one\ntwo\nthree\nfour\nfive\nsix\n"


def apply(text: str, patch: str) -> str:
    (file,) = parse_patch(patch)
    return patched(text, file)


def update(body: str) -> str:
    return f"*** Begin Patch\n*** Update File: a\n{body}\n*** End Patch"


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("@@\n two\n-three\n+3\n four", TEXT.replace("three", "3")),
        ("@@ four\n five\n-six\n+6", TEXT.replace("six", "6")),
        ("@@\n-one\n+1\n@@\n-six\n+6", TEXT.replace("one", "1").replace("six", "6")),
        ("@@ -90,2 +90,2 @@\n-two\n+2", TEXT.replace("two", "2")),
        ("-two\n+2\n+2b", TEXT.replace("two", "2\n2b")),
        ("@@\n+seven", TEXT + "seven\n"),
        ("@@ two\n+two and a half", TEXT.replace("two\n", "two\ntwo and a half\n")),
        ("@@\n   two\n-three  \n+3", TEXT.replace("three", "3")),
        ("@@\n-one\n-two\n-three\n-four\n-five\n-six", ""),
    ],
)
def test_hunks_are_applied_where_their_lines_are(body: str, after: str) -> None:
    assert apply(TEXT, update(body)) == after


def test_lines_around_a_change_stay_as_the_file_has_them() -> None:
    text = "\tif x:\n\t\ty = ‘a’\n\t\tz = 1\n"
    assert apply(text, update("@@\n     y = 'a'\n-    z = 1\n+\t\tz = 2")) == text.replace("z = 1", "z = 2")


def test_a_hunk_that_fits_nowhere_is_told_with_the_nearest_place() -> None:
    with pytest.raises(WorkspaceError, match="hunk 2 of 'a' fits nowhere; nothing was changed"):
        apply(TEXT, update("@@\n-one\n+1\n@@\n-forty two\n+42"))


def test_lines_that_nearly_fit_everywhere_are_searched_once() -> None:
    # Line by line this is 10 ** 10 comparisons, which the timeout of the tests would end.
    text = "a\n" * 300_000
    with pytest.raises(WorkspaceError, match="fits nowhere"):
        apply(text, update("@@\n" + " a\n" * 30_000 + "-b"))
    assert apply(text + "b\n", update("@@\n" + " a\n" * 30_000 + "-b\n+c")) == text + "c\n"


def test_a_patch_of_too_many_changes_is_refused_with_the_number_that_fits() -> None:
    hunks = "@@\n-one\n+1\n"
    with pytest.raises(WorkspaceError, match="501 changes: at most 500"):
        parse_patch(update(hunks * 501))
    with pytest.raises(WorkspaceError, match=r"100 changes to 'a', which has 200,001 lines: at most 49 fit"):
        apply("one\n" * 200_000, update(hunks * 100))


def test_a_file_that_is_named_twice_is_refused_before_anything_is_searched() -> None:
    with pytest.raises(WorkspaceError, match="'a' is changed twice"):
        parse_patch("*** Begin Patch\n*** Update File: a\n-b\n+c\n*** Update File: a\n-c\n+d\n*** End Patch")


@pytest.mark.parametrize(
    "patch", ["", "hello", "*** Begin Patch\n*** End Patch", "--- a\nno head", "@@\n-a\n+b"]
)
def test_what_is_no_patch_is_refused_with_the_form_to_write(patch: str) -> None:
    with pytest.raises(WorkspaceError, match=r"\*\*\* Begin Patch"):
        parse_patch(patch)


def test_all_kinds_of_changes_are_read() -> None:
    files = parse_patch(
        "*** Begin Patch\n*** Add File: new/a.txt\n+x\n+y\n*** Delete File: b\n*** Update File: c\n"
        "*** Move to: d\n@@\n-1\n+2\n*** End Patch\n"
    )
    assert [(file.action, file.path, file.moved_to) for file in files] == [
        ("add", "new/a.txt", None),
        ("delete", "b", None),
        ("update", "c", "d"),
    ]
    assert files[0].hunks[0].new == ("x", "y")
    unified = parse_patch(
        "diff --git a/b b/b\n"
        "--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+y\n"
        "--- a/c\n+++ b/c\n@@ -1 +1 @@\n-1\n+2\n\\ No newline at end of file\n"
    )
    assert [(file.action, file.path) for file in unified] == [("delete", "b"), ("add", "n"), ("update", "c")]


LINES = st.lists(st.sampled_from(["a", "b", "", "  c", "d d", "-e", "+f", "@@", "--- x"]), max_size=12)


@given(LINES, LINES)
def test_a_unified_diff_of_any_change_is_applied_whole(before: list[str], after: list[str]) -> None:
    old, new = ["start", *before, "end"], ["start", *after, "end"]
    diff = list(difflib.unified_diff(old, new, "a/x", "b/x", lineterm="", n=100))
    if not diff:
        return
    assert apply("\n".join(old), "\n".join(diff)) == "\n".join(new)


@given(st.text(alphabet="*@+- \nabAddFile:Update/BegnPtch", max_size=200))
def test_no_text_makes_a_patch_fail_in_another_way(patch: str) -> None:
    try:
        for file in parse_patch(patch):
            patched(TEXT, file)
    except WorkspaceError as error:
        assert error.message
