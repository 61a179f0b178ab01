import io

import pytest

from nanobot.cli.chat_screen import Screen
from nanobot.cli.chat_view import AnswerCollector, PlainView, RichView
from nanobot.core.event import TextDelta, ToolFinished, ToolStarted
from nanobot.core.message import Message, ToolCall, ToolResult
from tests.unit.cli.emulator import Emulator

LONG = (
    "# Title\n\nSome *text* of a paragraph.\n\n```python\n"
    + "".join(f"line_{n} = {n}\n" for n in range(120))
    + "```\n\n- a\n- b\n\nEnd.\n"
)


class Watch:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def make(columns: int = 80, rows: int = 24) -> tuple[Emulator, RichView, Watch]:
    emulator, watch = Emulator(columns, rows), Watch()
    return emulator, RichView(emulator, Screen(emulator, emulator.size), now=watch), watch


@pytest.mark.parametrize("piece", [3, 17, 200])
def test_a_streamed_answer_leaves_the_same_text_as_one_that_came_at_once(piece: int) -> None:
    """Nothing is lost, doubled or left over, though the answer is longer than the screen."""
    emulator, view, _ = make(rows=12)
    view.begin()
    for start in range(0, len(LONG), piece):
        view.show(TextDelta(LONG[start : start + piece]))
        if start % (4 * piece) == 0:
            view.paint()
    view.end()
    shown = emulator.text.splitlines()
    assert shown[:4] == ["Title", "", "Some text of a paragraph.", ""]
    assert [line.strip() for line in shown if "line_" in line] == [f"line_{n} = {n}" for n in range(120)]
    assert shown[-4:] == [" • a", " • b", "", "End."]


def test_the_part_that_grows_is_on_the_screen_before_it_is_complete() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(TextDelta("Hello **wor"))
    view.paint()
    assert emulator.text == "Hello **wor"
    view.show(TextDelta("ld**"))
    view.paint()
    assert emulator.text == "Hello world"


def test_while_nothing_has_come_it_says_that_the_model_thinks_and_for_how_long() -> None:
    emulator, view, watch = make()
    view.begin()
    view.paint()
    assert emulator.text == "thinking…"
    watch.time = 3.4
    view.paint()
    assert emulator.text == "thinking… 3 s"
    view.end()
    assert emulator.text == ""


def test_where_an_answer_stops_in_the_middle_it_says_for_how_long_nothing_has_come() -> None:
    emulator, view, watch = make()
    view.begin()
    view.show(TextDelta("Half an"))
    view.paint()
    watch.time = 2.9
    view.paint()
    assert emulator.text == "Half an"
    for watch.time, told in ((3.4, "3 s"), (40.0, "40 s")):
        view.paint()
        assert emulator.text == f"Half an\n… waiting {told}"
    view.show(TextDelta(" answer."))
    view.paint()
    assert emulator.text == "Half an answer."
    watch.time = 50.0
    view.paint()
    view.end()
    watch.time = 60.0
    view.paint()
    assert emulator.text == "Half an answer."


def test_while_there_is_no_connection_it_says_so_whatever_is_under_way() -> None:
    emulator, view, _ = make()
    view.begin()
    view.paint("no connection")
    assert emulator.text == "thinking…\nno connection"
    view.show(TextDelta("Half an"))
    for trouble, told in (("", ""), ("no connection", "\nno connection"), ("", "")):
        view.paint(trouble)
        assert emulator.text == f"Half an{told}"
    view.show(ToolStarted(ToolCall("c1", "wait", "{}")))
    view.paint("no connection")
    assert emulator.text == "Half an\n· wait\nno connection"
    view.end()
    assert emulator.text == "Half an\n✗ wait (not finished)"


def test_without_colours_a_trouble_is_told_when_it_begins() -> None:
    stream = io.StringIO()
    view = PlainView(stream, is_terminal=True, now=Watch())
    view.begin()
    view.show(TextDelta("Half an"))
    for trouble in ("", "no connection", "no connection", "", "no connection"):
        view.paint(trouble)
    view.show(TextDelta(" answer."))
    view.end()
    told = "error: no connection\n"
    assert stream.getvalue() == f"Half an\n{told}{told} answer.\n"


def test_a_tool_is_named_in_one_line_between_the_texts_and_a_failure_says_why() -> None:
    emulator, view, _ = make(columns=60)
    view.begin()
    view.show(TextDelta("Let me see."))
    view.show(ToolStarted(ToolCall("c1", "calculate", '{"expression":\n "6*7"}' + "x" * 200)))
    view.show(ToolFinished(Message("tool", (ToolResult("c1", "no\nsuch \x1b thing", is_error=True),))))
    view.show(TextDelta("\n\nSorry."))
    view.end()
    said, called, *failed, blank, answer = emulator.text.splitlines()
    assert (said, failed, blank, answer) == ("Let me see.", ["  no", "  such ␛ thing"], "", "Sorry.")
    assert (
        called.startswith('✗ calculate {"expression": "6*7"}xxx')
        and called.endswith("…")
        and len(called) < 60
    )


def test_a_model_cannot_drive_the_terminal() -> None:
    """The emulator refuses any escape sequence that the view does not use itself."""
    emulator, view, _ = make()
    view.begin()
    for piece in ("bad \x1b", "]0;title\x07 ", "\x9b2J", "\r", "`\x1b[2J`", "\x08"):
        view.show(TextDelta(piece))
        view.paint()
    view.end()
    view.note("\x1b[2J")
    view.problem("\x1b[2J\nsecond")
    assert "␛]0;title␇" in emulator.text and emulator.text.endswith("␛[2J second")


def test_without_colours_the_text_is_written_as_it_comes() -> None:
    stream = io.StringIO()
    view = PlainView(stream, is_terminal=True, now=Watch())
    view.begin()
    view.show(TextDelta("**bo"))
    assert stream.getvalue() == "**bo"
    view.show(ToolStarted(ToolCall("c1", "current_time", "{}")))
    view.show(ToolFinished(Message("tool", (ToolResult("c1", ""),))))
    view.show(TextDelta("ld** \x1b[2J"))
    view.end()
    view.end()
    assert stream.getvalue() == "**bo\n[current_time]\n· current_time\nld** ␛[2J\n"


def test_a_script_gets_the_answer_and_nothing_else() -> None:
    emulator, view, _ = make()
    answer = AnswerCollector(view)
    answer.begin()
    answer.show(TextDelta("Let me see."))
    answer.show(ToolStarted(ToolCall("c1", "calculate", "{}")))
    answer.show(TextDelta("\n\n**42**"))
    answer.note("a note")
    answer.problem("a problem")
    answer.end()
    assert answer.text == "Let me see.\n\n**42**"
    assert emulator.text == "Let me see.\n\n42"


def test_notes_and_problems_are_broken_between_words() -> None:
    emulator, view, _ = make(columns=31)
    view.note("/new    begin\n\nEnter sends. 日本語 日本語 日本語")
    view.problem("no answer from the server: is it running there?")
    assert emulator.text.splitlines() == [
        "/new    begin",
        "",
        "Enter sends. 日本語 日本語",
        "日本語",
        "no answer from the server: is",
        "it running there?",
    ]
