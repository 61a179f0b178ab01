"""How the calls of tools look in the chat."""

import io

import msgspec
import pytest

from nanobot.agent.question import ASKED_BACK, WAITING, question
from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.cli.chat_screen import Screen
from nanobot.cli.chat_tools import MOST_CHANGED_LINES, changes, title
from nanobot.cli.chat_view import PlainView, RichView
from nanobot.core.event import MessageAdded, TextDelta, ToolFinished, ToolProgress, ToolStarted
from nanobot.core.message import AskedCall, Message, ToolCall, ToolResult
from nanobot.core.plan import PlanStep, TaskPlan
from nanobot.tools.web.untrusted import MEANING
from tests.unit.cli.emulator import Emulator
from tests.unit.cli.test_chat_view import Watch

EDIT = {"path": "src/a.py", "old": "one\ntwo\nthree\nfour\n", "new": "one\n2\nthree\nfour\n"}


def make(columns: int = 60, rows: int = 24) -> tuple[Emulator, RichView, Watch]:
    emulator, watch = Emulator(columns, rows), Watch()
    return emulator, RichView(emulator, Screen(emulator, emulator.size), now=watch), watch


def call(name: str, id_: str = "c1", **arguments: object) -> ToolCall:
    return ToolCall(id_, name, msgspec.json.encode(arguments).decode())


def finished(content: str, id_: str = "c1", **more: object) -> ToolFinished:
    result = msgspec.convert({"type": "tool_result", "call_id": id_, "content": content, **more}, ToolResult)
    return ToolFinished(Message("tool", (result,)))


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (call("run_command", command="ls\n -l"), "run_command ls -l"),
        (call("run_command", command="make", timeout_s=9, background=False), "run_command make"),
        (call("run_command", command="make serve", background=True), "run_command make serve &"),
        (call("grep", pattern="x", limit=3), "grep pattern=x limit=3"),
        (call("current_time"), "current_time"),
        (call("edit_file", **EDIT), "edit_file src/a.py"),
        (
            call("apply_patch", patch="*** Begin Patch\n*** Add File: a\n+1\n*** Update File: b\n"),
            "apply_patch a, b",
        ),
        (call("apply_patch", patch="--- a/x.py\n+++ b/x.py\n@@\n-1\n+2\n"), "apply_patch x.py"),
        (call("update_plan", steps=["[ ] a"]), "update_plan"),
        (ToolCall("c1", "grep", '{"pattern": '), 'grep {"pattern":'),
        (ToolCall("c1", "grep", "[1]"), "grep [1]"),
        (call("say", text="a\u202eb\x1b[2J"), "say a\\u202eb␛[2J"),
    ],
)
def test_a_call_is_named_with_the_gist_of_its_arguments(made: ToolCall, shown: str) -> None:
    assert title(made) == shown


def test_while_tools_run_it_says_which_and_for_how_long() -> None:
    emulator, view, watch = make()
    view.begin()
    view.show(ToolStarted(call("web_fetch", url="https://a")))
    view.show(ToolStarted(call("run_command", "c2", command="make test")))
    assert emulator.text == "· web_fetch https://a\n· run_command make test"
    watch.time = 4.2
    view.paint()
    assert emulator.text == "· web_fetch https://a 4 s\n· run_command make test 4 s"
    view.show(finished("a page", "c1"))
    assert emulator.text == "· web_fetch https://a (4.2 s)\n  a page\n· run_command make test 4 s"
    watch.time = 5.0
    view.show(finished("no\nsuch", "c2", is_error=True))
    view.show(TextDelta("Done."))
    view.end()
    assert emulator.text == (
        "· web_fetch https://a (4.2 s)\n  a page\n✗ run_command make test (5.0 s)\n  no\n  such\n\nDone."
    )


def test_the_last_lines_that_a_call_tells_stand_below_it_until_it_ends() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("run_command", command="make")))
    view.show(ToolProgress("c1", "1\n2\n3\n4\u202e\x1b[2J"))
    view.show(ToolProgress("other", "not seen"))
    view.paint()
    assert emulator.text == "· run_command make\n  2\n  3\n  4\\u202e␛[2J"
    view.show(ToolProgress("c1", "5"))
    view.paint()
    assert emulator.text == "· run_command make\n  5"
    view.show(finished("all"))
    view.end()
    assert emulator.text == "· run_command make\n  all"


def test_of_many_calls_at_once_the_first_are_named() -> None:
    emulator, view, _ = make()
    view.begin()
    for number in range(9):
        view.show(ToolStarted(call("look", f"c{number}", at=number)))
    assert emulator.text.splitlines()[-2:] == ["· look 4", "  and 4 more"]


def test_of_a_long_result_the_first_lines_are_shown() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("recall", about="ls")))
    view.show(finished("a\n\nb\nc\nd\ne" + "x" * 500))
    view.end()
    assert emulator.text == "· recall ls\n  a\n  b\n  c\n  … 2 more lines"


def test_an_edit_is_shown_as_a_diff_in_colours() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("edit_file", **EDIT)))
    view.show(finished("edited", files=["src/a.py"]))
    view.end()
    assert emulator.text == "· edit_file src/a.py\n   one\n  -two\n  +2\n   three\n   four"


def test_the_colours_of_a_diff_are_those_of_its_signs() -> None:
    assert [(line.text, line.tone) for line in changes("edit_file", msgspec.json.encode(EDIT).decode())] == [
        ("   one", "dim"),
        ("  -two", "removed"),
        ("  +2", "added"),
        ("   three", "dim"),
        ("   four", "dim"),
    ]


def test_a_failed_edit_has_changed_nothing() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("edit_file", **EDIT)))
    view.show(finished("two is not there", is_error=True))
    view.end()
    assert emulator.text == "✗ edit_file src/a.py\n  two is not there"


def test_a_long_diff_is_cut_and_says_so() -> None:
    content = "".join(f"line {n}\n" for n in range(1000))
    told = changes("write_file", msgspec.json.encode({"path": "a", "content": content}).decode())
    assert len(told) == MOST_CHANGED_LINES + 1
    assert told[-1].text == f"  … {1000 - MOST_CHANGED_LINES} more lines"
    rewritten = msgspec.json.encode({"path": "a", "old": content, "new": content.upper()}).decode()
    assert changes("edit_file", rewritten)[-1].text == f"  … {2000 - MOST_CHANGED_LINES} more lines"


def test_of_a_plan_the_steps_are_shown_that_have_changed() -> None:
    emulator, view, _ = make()
    view.begin()
    first = TaskPlan("Move", (PlanStep("copy", "doing"), PlanStep("compare"), PlanStep("zip", "dropped")))
    then = TaskPlan("Move", (PlanStep("copy", "done"), PlanStep("compare"), PlanStep("zip", "dropped")))
    for number, plan in enumerate((first, then, TaskPlan())):
        view.show(ToolStarted(call("update_plan", f"c{number}", steps=[])))
        view.show(finished("noted", f"c{number}", plan=msgspec.to_builtins(plan)))
    view.end()
    assert [line for line in emulator.text.splitlines() if not line.startswith("·")] == [
        "  Move: 1 of 3 steps done",
        "  [>] copy",
        "  [ ] compare",
        "  [-] zip",
        "  Move: 2 of 3 steps done",
        "  [x] copy",
        "  the plan is dropped",
    ]


def test_what_a_call_would_change_stands_below_the_question_about_it() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(TextDelta("May I?"))
    asked = AskedCall("appr_1", "c1", "edit_file", msgspec.json.encode(EDIT).decode(), 0.0)
    view.show(MessageAdded(Message("assistant", (), asks=(asked,))))
    view.end()
    assert emulator.text.splitlines() == ["May I?", "   one", "  -two", "  +2", "   three", "   four"]


def test_how_a_question_is_answered_is_left_to_the_keys_of_the_chat() -> None:
    emulator, view, _ = make(columns=40)
    view.begin()
    asked = AskedCall("appr_1", "c1", "run_command", '{"command": "ls"}', 1_800_000_000.0)
    asking = question((asked,))
    view.show(TextDelta(f"I will look.\n\n{asking.text}"))
    view.paint()
    view.show(MessageAdded(asking))
    view.end()
    assert emulator.text == (
        'I will look.\n\nMay I make this call?\n\nrun_command\n\n {\n   "command": "ls"\n }'
    )


def test_calls_that_an_end_has_cut_off_are_told() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("run_command", command="sleep 99")))
    view.end()
    assert emulator.text == "✗ run_command sleep 99 (not finished)"
    view.begin()
    view.end()
    assert emulator.text == "✗ run_command sleep 99 (not finished)"


def test_of_a_call_that_was_not_run_nothing_is_shown() -> None:
    """It waits for an answer, or was refused one, as the question and the answer say."""
    emulator, view, _ = make()
    view.begin()
    view.show(finished("Not run yet: the user has been asked."))
    view.end()
    assert emulator.text == ""


@pytest.mark.parametrize("text", [WAITING, ASKED_BACK])
def test_what_the_model_is_told_while_somebody_is_asked_is_not_shown(text: str) -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(finished(text))
    view.end()
    assert emulator.text == ""


def test_a_call_that_people_did_not_agree_to_is_told_to_be_not_run() -> None:
    calls = (
        ToolCall("c1", "run_command", '{"command": "rm a"}', is_withheld=True, approval="appr_1"),
        ToolCall("c2", "run_command", '{"command": "rm b"}', approval="appr_2"),
        ToolCall("c3", "run_command", '{"command": "rm c"}', is_withheld=True),
    )
    emulator, view, _ = make()
    view.begin()
    view.show(MessageAdded(Message("assistant", calls, "tool_calls")))
    view.show(TextDelta("Both are gone."))
    view.end()
    assert emulator.text == "✗ run_command rm a (not run)\n\nBoth are gone."


def test_of_what_a_command_writes_the_end_is_shown_which_tells_how_it_went() -> None:
    emulator, view, _ = make()
    view.begin()
    for tool in ("run_command", "python", "read_output"):
        view.show(ToolStarted(call(tool)))
        view.show(finished("a\nb\n\nc\nd\nFAILED\n[exit status 1]"))
    view.show(ToolStarted(call("run_command", command="true")))
    view.show(finished("fine\n[exit status 0]"))
    view.end()
    shown = "\n  … 3 lines above\n  d\n  FAILED\n  [exit status 1]\n"
    assert emulator.text == (
        f"· run_command{shown}· python{shown}· read_output{shown}· run_command true\n  fine"
    )


def test_marks_that_are_for_the_model_are_not_shown() -> None:
    emulator, view, _ = make()
    view.begin()
    view.show(ToolStarted(call("web_fetch", url="https://a")))
    view.show(finished(f"{MEANING}\n<untrusted 99066b71a8f3799f>\nPrices\n</untrusted 99066b71a8f3799f>"))
    view.show(ToolStarted(call("read_file", file="b")))
    view.show(finished('(b, from line 1)\n<file-e29f21f9 name="b">\nred\n</file-e29f21f9>'))
    view.show(ToolStarted(call("apply_patch", patch="*** Begin Patch\n*** Add File: a\n+1\n*** End Patch\n")))
    view.show(finished("patched", files=["a"]))
    view.end()
    assert emulator.text.splitlines() == [
        *("· web_fetch https://a", "  Prices"),
        *("· read_file b", "  (b, from line 1)", "  red"),
        *("· apply_patch a", "  *** Add File: a", "  +1"),
    ]


def test_a_call_that_was_stopped_is_told_so_in_words_for_people() -> None:
    emulator, view, watch = make()
    view.begin()
    view.show(ToolStarted(call("run_command", command="sleep 99")))
    watch.time = 3.71
    view.show(finished(OUTCOME_UNKNOWN, is_error=True))
    view.end()
    assert emulator.text == "✗ run_command sleep 99 (cut off after 3.7 s)"


@pytest.mark.parametrize("columns", [30, 50])
def test_how_long_a_call_takes_is_seen_however_long_its_arguments_are(columns: int) -> None:
    emulator, view, watch = make(columns=columns)
    view.begin()
    view.show(ToolStarted(call("run_command", command="好" * 300)))
    watch.time = 12.3
    view.paint()
    assert emulator.text.endswith("… 12 s")
    view.show(finished("done"))
    assert emulator.text.splitlines()[0].endswith("… (12.3 s)")
    view.end()


def test_nothing_is_wider_than_the_screen() -> None:
    emulator, view, _ = make(columns=40)
    view.begin()
    view.show(ToolStarted(call("run_command", command="好" * 300)))
    view.show(finished("字" * 300 + "\n\t" + "y" * 300))
    view.end()
    # The emulator has not wrapped anything.
    assert len(emulator.text.splitlines()) == 3


def test_without_colours_they_are_plain_lines() -> None:
    stream, watch = io.StringIO(), Watch()
    view = PlainView(stream, is_terminal=True, now=watch)
    view.begin()
    view.show(TextDelta("Let me see."))
    view.show(ToolStarted(call("edit_file", **EDIT)))
    watch.time = 1.5
    view.show(finished("edited", files=["src/a.py"]))
    view.show(ToolStarted(call("run_command", "c2", command="make \x1b[2J")))
    view.end()
    assert stream.getvalue().splitlines() == [
        "Let me see.",
        "[edit_file src/a.py]",
        "· edit_file src/a.py (1.5 s)",
        "   one",
        "  -two",
        "  +2",
        "   three",
        "   four",
        "[run_command make ␛[2J]",
        "✗ run_command make ␛[2J (not finished)",
    ]
