"""A client reads the messages of a session and sends them back: they are the transcript, with all that they
show of how an answer came about.
"""

from typing import Any

import pytest

from nanobot.core.message import Message, Text
from nanobot.testing import Say, ScriptedModel, call
from tests.flow.test_api_tools import ASK, ONE, WEATHER, message, result, shown
from tests.flow.test_client_history import assistant, says
from tests.harness import Harness, OpenHarness

CUT = Say(("Once",), Message("assistant", (Text("Once"),), "length"))
CALLED = call("calculate", '{"expression": "6*7"}', text="Let me see.")
SCRIPTS: dict[str, tuple[str | Say, ...]] = {
    "continued": ("Once", " upon a time."),
    "cut off": (CUT, " upon a time."),
    "in steps": (CALLED, "It is 42."),
    "by the client's tools": (ONE, "It rains."),
}
WHOLE = {"x-history-mode": "whole"}


async def opened(open_harness: OpenHarness, kind: str) -> tuple[ScriptedModel, Harness]:
    """Return a server with one answer in the session `k`."""
    model = ScriptedModel(*SCRIPTS[kind], "Indeed.", "Yes.")
    harness = await open_harness(model)
    first = await harness.door.chat("k", [ASK], tools=[WEATHER])
    if kind == "continued":
        await harness.door.chat("k", [ASK, assistant("Once")])
    if kind == "by the client's tools":
        called = message(first)
        await harness.door.chat("k", [ASK, called, result(called["tool_calls"][0]["id"], "rain")])
    return model, harness


async def read(harness: Harness) -> list[dict[str, Any]]:
    """Return the messages of the session as a client sends them back."""
    names = ("role", "content", "tool_calls", "tool_call_id")
    listed = (await harness.door.get("/v1/sessions/k/messages")).json["data"]
    return [{name: each[name] for name in names if each.get(name) is not None} for each in listed]


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("mode", [{}, WHOLE])
async def test_messages_that_were_read_of_a_session_are_its_transcript(
    open_harness: OpenHarness, kind: str, mode: dict[str, str]
) -> None:
    model, harness = await opened(open_harness, kind)
    talk = await read(harness)
    branches = len(await harness.app.store.branches("k"))
    for said, answer in (("Sure?", "Indeed."), ("Really?", "Yes.")):
        talk.append(says(said))
        reply = await harness.door.chat("k", talk, mode)
        assert (reply.said, reply.headers.get("x-history")) == (answer, None)
        talk.append(assistant(answer))
    assert len(await harness.app.store.branches("k")) == branches
    if kind in ("continued", "cut off"):
        assert [text for _, text in shown(model.requests[-1])][1] == "Once upon a time."


@pytest.mark.parametrize("kind", SCRIPTS)
async def test_without_their_beginning_they_are_its_end_or_the_rest_was_deleted(
    open_harness: OpenHarness, kind: str
) -> None:
    model, harness = await opened(open_harness, kind)
    rest = [*(await read(harness))[1:], says("Sure?")]
    reply = await harness.door.chat("k", rest)
    assert (reply.said, reply.headers.get("x-history")) == ("Indeed.", None)
    assert shown(model.requests[-1])[0][1] == ASK["content"]
    reply = await harness.door.chat("k", rest, WHOLE)
    assert (reply.said, reply.headers.get("x-history")) == ("Yes.", "replaced")
    assert ASK["content"] not in [text for _, text in shown(model.requests[-1])]


@pytest.mark.parametrize("kind", SCRIPTS)
async def test_a_message_among_them_that_was_changed_counts_as_changed(
    open_harness: OpenHarness, kind: str
) -> None:
    model, harness = await opened(open_harness, kind)
    talk = await read(harness)
    talk[0] = says("Something else?")
    reply = await harness.door.chat("k", [*talk, says("Sure?")])
    assert (reply.said, reply.headers.get("x-history")) == ("Indeed.", "replaced")
    assert shown(model.requests[-1])[0][1] == "Something else?"
