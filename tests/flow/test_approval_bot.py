"""The chat bot of `docs/approvals.md`: what its buttons decide is done, once, and the bot says so."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.testing import FakeClock, Say, ScriptedModel
from tests.flow.mcp_tools import WIDE, ask, connected, table
from tests.flow.test_approvals import POLICY, Post, decide, results, send
from tests.harness import Harness, OpenHarness, listening

PAGE = Path(__file__).parents[2] / "docs" / "approvals.md"
CHAT = "wx:dm:ann"


class Bot:
    """The code of the page, in front of a server at `address`; each call in a thread, as it blocks."""

    def __init__(self, address: str) -> None:
        (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
        self._names: dict[str, Any] = {}
        exec(code.replace("http://localhost:8900", address), self._names)

    async def say(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        said: tuple[str, list[dict[str, Any]]] = await asyncio.to_thread(self._names["say"], CHAT, text)
        return said

    async def press(self, approval: dict[str, Any], decision: str, content: Any = None) -> str | None:
        pressed = await asyncio.to_thread(self._names["press"], CHAT, approval, decision, content)
        said: str | None = pressed[0]
        return said

    @property
    def closed(self) -> str:
        return str(self._names["CLOSED"])


@asynccontextmanager
async def a_bot(harness: Harness) -> AsyncIterator[Bot]:
    async with listening(harness.app.asgi) as server:
        yield Bot(server.url)


def told(model: ScriptedModel) -> ToolResult:
    return results(model.requests[-1])[-1]


async def test_a_button_runs_the_call_once_however_often_it_is_pressed(open_harness: OpenHarness) -> None:
    post, model = Post(), ScriptedModel(send(text="I will."), "Sent it.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    async with a_bot(harness) as bot:
        said, (approval,) = await bot.say("Please send it.")
        assert "May I make this call?" in said
        assert (approval["tool"], approval["arguments"]) == ("send", '{"to": "ann"}')
        pressed = await asyncio.gather(*(bot.press(approval, "once") for _ in range(3)))
        assert set(pressed) <= {"Sent it.", bot.closed} and "Sent it." in pressed
        assert post.sent == {"ann": 1}
        assert await bot.press(approval, "once") == bot.closed
        assert await bot.press(approval, "deny") == bot.closed
    assert len(model.requests) == 2


async def test_no_is_told_to_the_model_and_always_is_not_asked_again(open_harness: OpenHarness) -> None:
    post = Post()
    script: list[Any] = [send(), "Not sent.", send("bob"), "Sent it.", send("bob"), "Sent again."]
    model = ScriptedModel(*script)
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    async with a_bot(harness) as bot:
        _, (approval,) = await bot.say("Please send it.")
        assert await bot.press(approval, "deny") == "Not sent."
        assert not post.sent and told(model).is_error
        _, (approval,) = await bot.say("To Bob, then.")
        assert await bot.press(approval, "session") == "Sent it."
        assert await bot.say("And again.") == ("Sent again.", [])
    assert post.sent == {"bob": 2}


async def test_of_several_calls_each_has_its_buttons_and_the_conversation_goes_on_after_the_last(
    open_harness: OpenHarness,
) -> None:
    post = Post()
    calls = tuple(ToolCall(to, "send", json.dumps({"to": to})) for to in ("ann", "bob"))
    model = ScriptedModel(Say(message=Message("assistant", calls, "tool_calls")), "Done.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    async with a_bot(harness) as bot:
        _, shown = await bot.say("Please send both.")
        by_target = {each["arguments"]: each for each in shown}
        assert len(by_target) == 2
        assert await bot.press(by_target['{"to": "ann"}'], "once") is None
        assert not post.sent
        assert await bot.press(by_target['{"to": "bob"}'], "deny") == "Done."
    assert post.sent == {"ann": 1}


async def test_a_button_that_is_pressed_too_late_says_so(open_harness: OpenHarness) -> None:
    post, clock = Post(), FakeClock()
    model = ScriptedModel(send(), "x")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY, clock=clock)
    async with a_bot(harness) as bot:
        _, (approval,) = await bot.say("Please send it.")
        clock.advance(3_601)
        assert await bot.press(approval, "once") == bot.closed
    assert not post.sent and len(model.requests) == 1


async def test_a_button_works_after_the_user_has_said_something_else(open_harness: OpenHarness) -> None:
    post, model = Post(), ScriptedModel(send(), "Hm.", send(), "Sent it.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    async with a_bot(harness) as bot:
        _, (approval,) = await bot.say("Please send it.")
        assert await bot.say("What is the time?") == ("Hm.", [])
        assert await bot.press(approval, "once") == "Sent it."
    assert post.sent == {"ann": 1}


async def test_what_an_operator_decides_elsewhere_goes_on_with_the_bots_next_word(
    open_harness: OpenHarness,
) -> None:
    post, model = Post(), ScriptedModel(send(), "Sent it.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    async with a_bot(harness) as bot:
        _, (approval,) = await bot.say("Please send it.")
        assert (await decide(harness, approval["id"], decision="once")).status == 200
        assert not post.sent
        assert await bot.press(approval, "once") == "Sent it."
    assert post.sent == {"ann": 1}


async def test_what_an_mcp_server_asks_is_answered_by_a_form(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("ask_back"), "Done.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table("new"), policy=policy))
    async with a_bot(harness) as bot:
        _, (approval,) = await bot.say("Do it.")
        assert "city" in str(approval["question"]["fields"])
        assert await bot.press(approval, "once", {"city": "Ulm"}) == "Done."
    assert '{"city": "Ulm"}' in told(model).content
