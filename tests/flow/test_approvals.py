"""Calls that a person is asked about: the question is the answer of the turn, and the next message goes on."""

import json
from collections import Counter
from typing import Any

import msgspec

from nanobot.agent import question
from nanobot.core.message import ToolResult
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.harness import Harness, OpenHarness

ASK = {"role": "user", "content": "Please send it."}
POLICY: list[dict[str, Any]] = [{"tools": {"send": "ask"}}]
TO_ANN = '{"to": "ann"}'


class Send(msgspec.Struct, frozen=True):
    to: str = ""


class Post:
    """A tool that sends something, which must not be done twice. `sent` counts the addressees."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.tool = Tool("send", "Send a letter.", Send, self._run)

    async def _run(self, arguments: Send, context: ToolContext) -> str:
        self.sent[arguments.to] += 1
        return f"sent to {arguments.to}"


def user(text: str, name: str | None = None) -> dict[str, Any]:
    return {"role": "user", "content": text} | ({"name": name} if name else {})


def results(request: ModelRequest) -> list[ToolResult]:
    return [result for message in request.messages for result in message.tool_results]


def send(to: str = "ann", text: str = "") -> Say:
    return call("send", json.dumps({"to": to}), text=text)


async def asked(
    open_harness: OpenHarness, *script: Any, policy: list[dict[str, Any]] = POLICY, **more: Any
) -> tuple[Harness, Post, ScriptedModel]:
    """Return a server whose model calls `send`, and then goes through the script."""
    post, model = Post(), ScriptedModel(send(text="I will."), *script)
    harness = await open_harness(model, tools=[post.tool], policy=policy, **more)
    return harness, post, model


async def approvals(harness: Harness, **filters: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return list((await harness.door.call("GET", f"/v1/approvals?{query}")).json["data"])


async def test_the_question_is_the_answer_with_the_arguments_and_nothing_is_run(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Done.")
    answer = await harness.door.chat("k", [ASK])
    choice = answer.json["choices"][0]
    assert choice["finish_reason"] == "stop" and "tool_calls" not in choice["message"]
    assert answer.said.startswith("I will.\n\nMay I make this call?")
    assert "**send**" in answer.said and '"to": "ann"' in answer.said
    assert not post.sent


async def test_a_yes_runs_the_call_once_and_the_turn_goes_on(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "Sent it.")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("yes, do it")])).said == "Sent it."
    assert post.sent == {"ann": 1}
    first, second = results(model.requests[1])
    assert first.content == question.WAITING
    assert second.content == "sent to ann" and not second.is_error


async def test_clients_that_send_their_whole_history_are_understood(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Sent it.", "Anything else?")
    said = (await harness.door.chat("k", [ASK])).said
    history = [ASK, {"role": "assistant", "content": said}, user("ja")]
    answer = await harness.door.chat("k", history)
    assert answer.said == "Sent it." and "x-history" not in answer.headers
    history += [{"role": "assistant", "content": "Sent it."}, user("thanks")]
    assert (await harness.door.chat("k", history)).said == "Anything else?"
    assert post.sent == {"ann": 1}


async def test_a_no_refuses_the_call_and_the_model_is_told(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "As you like.")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("nein")])).said == "As you like."
    assert not post.sent
    assert results(model.requests[1])[-1].content == question.REFUSED


async def test_what_is_not_clearly_a_yes_runs_nothing(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "To Ann, as you said.", "What do you mean?")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("yes? to whom?")])).said == "To Ann, as you said."
    # A yes to something else than the question is none.
    await harness.door.chat("k", [user("yes")])
    assert not post.sent
    assert [result.content for result in results(model.requests[2])] == [question.WAITING]


async def test_a_yes_in_another_session_is_none(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Yes to what?")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("other", [user("yes")])
    assert not post.sent


async def test_always_lets_the_tool_run_without_a_question_in_this_session_only(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Sent.", send("bob"), "Again.", send("eve"), "x")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [user("yes, always")])
    assert (await harness.door.chat("k", [user("and to bob")])).said == "Again."
    assert (await harness.door.chat("other", [user("and to eve")])).said.startswith("May I")
    assert post.sent == {"ann": 1, "bob": 1}


async def test_an_answer_that_comes_too_late_runs_nothing(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness, post, model = await asked(open_harness, "Too late.", clock=clock)
    await harness.door.chat("k", [ASK])
    clock.advance(3_601)
    assert (await harness.door.chat("k", [user("yes")])).said == "Too late."
    assert not post.sent
    assert results(model.requests[1])[-1].content == question.EXPIRED
    assert [each["state"] for each in await approvals(harness)] == ["expired"]
