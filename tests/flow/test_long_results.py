"""A long result of a tool is kept whole, shown in part, and read on: by its own conversation only."""

import re

import msgspec

from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.harness import OpenHarness

PAGES = "".join(f"entry {number}: {'x' * 20}\n" for number in range(1, 4_001))
WINDOW = {"window_tokens": 8_192}


class Nothing(msgspec.Struct):
    """No arguments."""


async def _pages(arguments: Nothing, context: ToolContext) -> str:
    return PAGES


LOOK = Tool("look", "Look.", Nothing, _pages)


def last_result(request: ModelRequest) -> str:
    return next(result.content for message in reversed(request.messages) for result in message.tool_results)


def reader(request: ModelRequest) -> str | Say:
    """Looks, reads on where it is told how, then says what it saw last."""
    results = [result.content for message in request.messages for result in message.tool_results]
    if not results:
        return call("look")
    note = re.search(r'with result "(\w+)" and from', results[0])
    assert note is not None
    if len(results) == 1:
        arguments = msgspec.json.encode({"result": note[1], "from": "line 2000"}).decode()
        return call("read_result", arguments, id="call_2")
    return f"I saw {results[1].splitlines()[1]}"


async def test_the_model_reads_on_in_a_result_that_is_kept_whole(open_harness: OpenHarness) -> None:
    model = ScriptedModel(reader)
    harness = await open_harness(model, agent=WINDOW, tools=(LOOK,))
    reply = await harness.door.chat("a", "what is entry 2000?")
    assert "I saw entry 2000:" in reply.text
    first, second, _ = model.requests
    assert not any(tool.name == "read_result" for tool in first.tools)
    assert any(tool.name == "read_result" for tool in second.tools)
    shown = last_result(second)
    assert "entry 1:" in shown and "entry 4000:" in shown and len(shown) < len(PAGES) / 8
    kept = await harness.app.store.history("a", 1_000_000)
    assert PAGES in [result.content for message in kept.messages for result in message.tool_results]


async def test_what_came_before_a_long_result_stays_in_view(open_harness: OpenHarness) -> None:
    model = ScriptedModel(reader)
    harness = await open_harness(model, agent=WINDOW, tools=(LOOK,))
    await harness.door.chat("a", "what is entry 2000?")
    await harness.app.compactor.settled()
    await harness.door.chat("a", "thanks")
    assert model.requests[-1].messages[0].text == "what is entry 2000?"


async def test_a_name_of_another_conversations_result_brings_nothing(open_harness: OpenHarness) -> None:
    stolen: list[str] = []

    def thief(request: ModelRequest) -> str | Say:
        results = [result.content for message in request.messages for result in message.tool_results]
        if not stolen or results:
            return reader(request) if not stolen else "nothing"
        return call("read_result", msgspec.json.encode({"result": stolen[0]}).decode())

    model = ScriptedModel(thief)
    harness = await open_harness(model, agent=WINDOW, tools=(LOOK,))
    await harness.door.chat("victim", "what is entry 2000?")
    name = re.search(r'with result "(\w+)"', last_result(model.requests[1]))
    assert name is not None
    stolen.append(name[1])
    await harness.door.chat("thief", "read it")
    assert "there is no result" in last_result(model.requests[-1])
