"""The model that says back what it was told."""

import pytest

from nanobot.core.event import TextDelta
from nanobot.core.message import Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.models.echo import EchoModel


async def answered(*messages: Message, notes: str = "") -> tuple[list[str], Message]:
    items = [item async for item in EchoModel().stream(ModelRequest("Be brief.", messages, notes=notes))]
    deltas = [item.text for item in items[:-1] if isinstance(item, TextDelta)]
    assert len(deltas) == len(items) - 1
    assert isinstance(items[-1], Message)
    return deltas, items[-1]


async def test_it_says_back_the_newest_question_word_by_word() -> None:
    deltas, message = await answered(
        user("old"), Message("assistant", (Text("x"),)), user("one two"), notes="Today is Monday."
    )
    assert deltas == ["You ", "said: ", "one ", "two"]
    assert message.text == "You said: one two"
    assert (message.stop_reason, message.model) == ("stop", "echo")


@pytest.mark.parametrize(
    "text", ["", " ", "  a  b ", "a\nb\n", "é ☃", "x" * 5_000, "line of words\n" * 500, "w " * 3_000]
)
async def test_the_deltas_are_the_message(text: str) -> None:
    deltas, message = await answered(user(text))
    assert "".join(deltas) == message.text == f"You said: {text}"
    assert all(deltas)


async def test_what_tools_and_it_itself_said_is_no_question() -> None:
    step = Message("assistant", (ToolCall("1", "look", "{}"),))
    _, message = await answered(user("where?"), step, Message("tool", (ToolResult("1", "there"),)))
    assert message.text == "You said: where?"


async def test_an_image_has_nothing_to_say() -> None:
    _, message = await answered(Message("user", (Text("see"), Image("data:image/png;base64,AA=="))))
    assert message.text == "You said: see"


async def test_it_counts_what_it_was_sent_and_what_it_said() -> None:
    _, message = await answered(user("x" * 400))
    assert message.usage is not None
    assert message.usage.prompt_tokens == 104
    assert message.usage.completion_tokens > 100
