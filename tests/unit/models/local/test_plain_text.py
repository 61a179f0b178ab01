"""A small model is shown a conversation of two who talk, and is held to what was really said."""

from nanobot.core.message import Audio, File, Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.models.local.plain_text import FIRST_MESSAGE, plain


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def looked_up(content: str = "12", id: str = "1") -> tuple[Message, Message]:  # noqa: A002
    call = Message("assistant", (ToolCall(id, "calculate", '{"expression":"80 * 15 / 100"}'),))
    return call, Message("tool", (ToolResult(id, content),))


def test_what_tools_found_stands_below_the_question() -> None:
    asked = plain(ModelRequest("be kind", (user("15% of 80?"), *looked_up()), notes="Today is Monday."), None)
    assert asked.request.messages == (
        user("15% of 80?\n\n(You looked it up: calculate(80 * 15 / 100) = 12. Answer with it.)"),
    )
    assert asked.request.notes == ""
    assert asked.request.tools == ()


def test_an_earlier_turn_is_shown_the_same_way_later_so_that_it_stays_in_the_cache() -> None:
    turn = (user("15% of 80?"), *looked_up())
    before = plain(ModelRequest("", turn), None).request.messages
    after = plain(ModelRequest("", (*turn, assistant("12"), user("Thanks"))), None).request.messages
    assert after[: len(before)] == before


def test_a_result_without_its_call_and_broken_arguments_are_told_as_well_as_can_be() -> None:
    orphan = Message("tool", (ToolResult("9", "found"),))
    broken = (
        Message("assistant", (ToolCall("1", "calculate", "{"),)),
        Message("tool", (ToolResult("1", "Error: no"),)),
    )
    shown = plain(ModelRequest("", (user("a"), orphan, *broken)), None).request.messages
    assert shown == (
        user(
            "a\n\n(You looked it up: found. Answer with it.)\n\n(You looked it up: calculate() = Error: no."
            " Answer with it.)"
        ),
    )


def test_notes_stand_before_a_short_message_and_below_a_long_one() -> None:
    assert plain(ModelRequest("", (user("hi"),), notes="Monday."), None).request.messages == (
        user("(Monday.)\n\nhi"),
    )
    long = plain(ModelRequest("", (user("x" * 5_000),), notes="Monday."), None).request
    assert (long.messages, long.notes) == ((user("x" * 5_000),), "Monday.")


def test_an_image_is_said_to_be_there_and_unseen() -> None:
    message = Message("user", (Text("What is this?"), Image("data:image/png;base64,AA==")))
    (shown,) = plain(ModelRequest("", (message,)), None).request.messages
    assert "cannot see images" in shown.text
    assert all(isinstance(part, Text) for part in shown.parts)


def test_a_file_is_read_below_the_words_and_a_recording_is_said_to_be_unheard() -> None:
    message = Message("user", (Text("What is this?"), File("a.txt", "kumquat"), Audio("UklG", "wav")))
    (shown,) = plain(ModelRequest("", (message,)), None).request.messages
    assert shown.text.startswith("What is this?\n\n" + File("a.txt", "kumquat").shown)
    assert "cannot listen" in shown.text
    assert all(isinstance(part, Text) for part in shown.parts)


def test_recall_of_the_last_message_may_only_quote_it() -> None:
    history = (
        user("Hello"),
        assistant("Hi!"),
        user('Say "x"\nnow'),
        assistant("x"),
        user("What did I just ask?"),
    )
    asked = plain(ModelRequest("", history, notes="Monday."), "last")
    assert asked.grammar == 'root ::= ("You asked: " | "You said: ") "\\"Say \'x\'\\nnow\\""'
    assert asked.request.messages == history
    assert plain(ModelRequest("", history), "first").grammar.endswith('"\\"Hello\\""')


def test_recall_of_everything_lists_what_the_user_said() -> None:
    history = (
        user("Hello"),
        assistant("Hi!"),
        user("15% of 80?"),
        *looked_up(),
        assistant("12"),
        user("Sum up."),
    )
    asked = plain(ModelRequest("", history), "all")
    assert asked.request.messages[-1] == user(
        'My messages to you so far, in order:\n1. "Hello"\n2. "15% of 80?"\n\nSum up.'
    )


def test_of_a_long_conversation_the_first_and_the_newest_messages_are_listed() -> None:
    history = tuple(
        message for number in range(40) for message in (user(f"question {number}"), assistant("yes"))
    )
    listed = plain(ModelRequest("", (*history, user("Sum up."))), "all").request.messages[-1].text
    assert '"question 0"' in listed
    assert '"question 39"' in listed
    assert '"question 20"' not in listed


def test_recall_in_a_first_message_is_told_that_there_is_nothing_yet() -> None:
    for recall in ("last", "first", "all"):
        asked = plain(ModelRequest("", (user("Summarize our discussion"),), notes="Monday."), recall)
        assert (asked.request.notes, asked.grammar) == (FIRST_MESSAGE, "")
