import io

import pytest
from rich.console import Console

from nanobot.cli.chat_markdown import finished, lines

DOCUMENT = """# Title

A paragraph with **bold** and `code`,
on two lines.

1. one
2. two

   still two
   - nested

| a | b |
|---|---|
| 1 | 2 |

```python
def f():

    return 1
```

> quoted

The end.
"""


def console(width: int = 79) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False
    )


def test_what_is_called_finished_is_never_changed_by_what_comes_after() -> None:
    """The document is cut after each character, as it could come; the finished parts together give the same
    lines as the whole.
    """
    whole: list[list[str]] = []
    pending = ""
    for character in DOCUMENT:
        pending += character
        if done := finished(pending):
            whole.append(lines(pending[:done], console()))
            pending = pending[done:]
    whole.append(lines(pending, console()))
    assert [line for block in whole for line in block if line] == [
        line for line in lines(DOCUMENT, console()) if line
    ]
    assert len(whole) == 7


def test_the_last_block_is_not_finished_as_long_as_it_may_go_on() -> None:
    assert finished("one paragraph\n\n") == 0
    assert finished("```\ncode\n\nmore code\n") == 0
    assert finished("- a\n\n- b\n") == 0


def test_lines_have_no_trailing_blanks_and_no_blank_line_around_them() -> None:
    for line in (shown := lines(DOCUMENT, console())):
        assert line == line.rstrip()
    assert shown[0] == "Title" and shown[-1] == "The end."


def test_what_looks_like_html_is_shown_as_it_was_written() -> None:
    assert lines("List<String> and <div>", console()) == ["List<String> and <div>"]
    assert lines("<script>alert(1)</script>", console()) == ["<script>alert(1)</script>"]


def test_a_link_shows_where_it_leads() -> None:
    assert lines("[here](https://example.com/x)", console()) == ["here (https://example.com/x)"]


@pytest.mark.parametrize("width", [20, 33, 79])
def test_no_line_is_wider_than_the_console(width: int) -> None:
    text = "你好世界" * 30 + " word " * 30 + "x" * 200
    assert max(len(line.encode("utf-16-le")) for line in lines("y" * 500, console(width))) <= 2 * width
    assert all(console(width).measure(line).maximum <= width for line in lines(text, console(width)))


@pytest.mark.parametrize("text", ["", "\n\n", "```", "|", "[", "**", "# ", "\\", "- ", "1.", "\t"])
def test_a_text_that_has_hardly_begun_can_be_shown(text: str) -> None:
    assert lines(text, console()) is not None
    assert finished(text) == 0


def test_a_link_to_a_file_of_the_agent_says_what_is_typed_to_have_it() -> None:
    text = (
        "[one](nanobot:workspace/docs/a.md), [two](<nanobot:workspace/my%20b%1b[2J.md>), [three](https://a)"
    )
    assert lines(text, console(200)) == [
        "one (/save docs/a.md), two (/save 'my b␛[2J.md'), three (https://a)"
    ]


def test_code_has_one_blank_line_above_and_below() -> None:
    assert lines("a\n\n```\nb\n\nc\n```\n\nd", console()) == ["a", "", " b", "", " c", "", "d"]


def test_the_lines_of_a_poem_stay_lines() -> None:
    """Models write them with single line ends."""
    assert lines("Rain, it comes,\nwith every drop.", console()) == ["Rain, it comes,", "with every drop."]
