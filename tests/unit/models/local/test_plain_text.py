"""A small model is shown a conversation of two who talk, and is held to what was really said."""

from nanobot.core.message import Audio, File, Image, Message, Text, ToolCall, ToolResult, user
from nanobot.models.local.plain_text import plain
from nanobot.models.local.recall import marked


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def looked_up(content: str = "12", id: str = "1") -> tuple[Message, Message]:  # noqa: A002
    call = Message("assistant", (ToolCall(id, "calculate", '{"expression":"80 * 15 / 100"}'),))
    return call, Message("tool", (ToolResult(id, content),))


def shown(*messages: Message) -> tuple[Message, ...]:
    return plain(messages, is_recall=False)[0]


def test_what_tools_found_stands_below_the_question() -> None:
    assert shown(user("15% of 80?"), *looked_up()) == (
        user("15% of 80?\n\n(You looked it up: calculate(80 * 15 / 100) = 12. Answer with it.)"),
    )


def test_an_earlier_turn_is_shown_the_same_way_later_so_that_it_stays_in_the_cache() -> None:
    turn = (user("15% of 80?"), *looked_up())
    before = shown(*turn)
    after = shown(*turn, assistant("12"), user("Thanks"))
    assert after[: len(before)] == before


def test_a_result_without_its_call_and_broken_arguments_are_told_as_well_as_can_be() -> None:
    orphan = Message("tool", (ToolResult("9", "found"),))
    broken = (
        Message("assistant", (ToolCall("1", "calculate", "{"),)),
        Message("tool", (ToolResult("1", "Error: no"),)),
    )
    assert shown(user("a"), orphan, *broken) == (
        user(
            "a\n\n(You looked it up: found. Answer with it.)\n\n(You looked it up: calculate() = Error: no."
            " Answer with it.)"
        ),
    )


def test_an_image_is_said_to_be_there_and_unseen() -> None:
    (message,) = shown(Message("user", (Text("What is this?"), Image("data:image/png;base64,AA=="))))
    assert "cannot see images" in message.text
    assert all(isinstance(part, Text) for part in message.parts)


def test_a_file_is_read_below_the_words_and_a_recording_is_said_to_be_unheard() -> None:
    (message,) = shown(
        Message("user", (Text("What is this?"), File("a.txt", "kumquat"), Audio("UklG", "wav")))
    )
    assert message.text.startswith("What is this?\n\n" + File("a.txt", "kumquat").shown)
    assert "cannot listen" in message.text
    assert all(isinstance(part, Text) for part in message.parts)


def test_for_recall_what_the_user_said_is_listed_below_the_question_and_alone_may_be_quoted() -> None:
    history = (user("Hello"), assistant("Hi!"), user("15% of 80?"), *looked_up(), assistant("12"))
    messages, grammar = plain((*history, user("What did I ask?")), is_recall=True)
    assert messages[-1] == user('What did I ask?\n\n(The user\'s messages: 1. "Hello" 2. "15% of 80?")')
    assert r'quote ::= "\"Hello\"" | "\"15% of 80?\""' in grammar


def test_an_answer_from_the_list_is_shown_the_same_way_later() -> None:
    asked = (user("Hello"), assistant("Hi!"), user("What did I ask?"))
    before, _ = plain(asked, is_recall=True)
    after = shown(*asked, marked(assistant('You said "Hello".')), user("Thanks"))
    assert after[: len(before)] == before
