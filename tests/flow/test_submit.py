"""Turns that do not come over HTTP: the same quotas, the same audit log, the same admission."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from nanobot.access.caller import EVERYBODY, Caller
from nanobot.cli.chat_link import InProcess
from nanobot.core.errors import IdempotencyMismatch, QuotaExceeded, RateLimited
from nanobot.core.event import Event, TextDelta, TurnEnded
from nanobot.core.message import user
from nanobot.core.turn import Identity
from nanobot.stores.audit_log import FILE
from nanobot.submit.request import TurnRequest
from nanobot.testing import FakeClock, ScriptedModel
from tests.harness import Harness, OpenHarness


async def chat(harness: Harness, key: str, text: str) -> Sequence[Event]:
    return [event async for event in InProcess(harness.app).ask(key, text)]


def request(key: str, text: str, identity: Identity, **fields: Any) -> TurnRequest:
    return TurnRequest(session_key=key, input=(user(text),), origin="cli", identity=identity, **fields)


async def test_the_chat_of_the_command_line_is_held_to_the_quotas_of_its_session(
    open_harness: OpenHarness,
) -> None:
    rule = {"pattern": "cli:*", "requests_per_minute": 1}
    harness = await open_harness(ScriptedModel("hi", "there"), clock=FakeClock(), quotas=[rule])
    assert isinstance((await chat(harness, "cli:ann", "hello"))[-1], TurnEnded)
    with pytest.raises(RateLimited, match="1 requests a minute"):
        await chat(harness, "cli:ann", "hello again")
    assert isinstance((await chat(harness, "other", "hello"))[-1], TurnEnded)


async def test_what_was_used_over_http_counts_on_the_command_line(open_harness: OpenHarness) -> None:
    rule = {"pattern": "*", "tokens_per_day": 1}
    harness = await open_harness(ScriptedModel("hi"), clock=FakeClock(), quotas=[rule])
    assert (await harness.door.chat("a", "hello")).status == 200
    with pytest.raises(QuotaExceeded, match="tokens a day"):
        await chat(harness, "a", "hello")


async def test_a_turn_of_the_command_line_is_in_the_audit_log(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("CANARY"))
    await chat(harness, "cli:ann", "CANARY")
    turn_id = (await harness.app.store.messages("cli:ann", limit=1))[0].turn_id
    await harness.close()
    text = (harness.data / FILE).read_text()
    (line,) = (json.loads(each) for each in text.splitlines())
    shown = {name: line[name] for name in ("operation", "key_id", "session_key", "target")}
    assert shown == {
        "operation": "submit (cli)",
        "key_id": None,
        "session_key": "cli:ann",
        "target": turn_id,
    }
    assert "CANARY" not in text


async def test_a_request_that_is_submitted_again_gets_the_turn_of_the_first(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("one", "two")
    submitter = (await open_harness(model)).app.submitter
    first = await submitter.submit(request("a", "hello", Identity(b"1" * 32, "message 7")), EVERYBODY)
    with submitter.follow(first.admission) as follower:
        assert (await follower.end()).messages[-1].text == "one"
    again = await submitter.submit(request("a", "hello", Identity(b"1" * 32, "message 7")), EVERYBODY)
    assert (again.turn_id, again.admission.joined) == (first.turn_id, True)
    with pytest.raises(IdempotencyMismatch):
        await submitter.submit(request("a", "bye", Identity(b"2" * 32, "message 7")), EVERYBODY)
    assert len(model.requests) == 1


async def test_a_turn_is_paid_by_the_key_of_its_caller(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("hi"))
    submitter = harness.app.submitter
    admitted = await submitter.submit(request("a", "hello", Identity(b"1" * 32)), Caller("key_ann"))
    with submitter.follow(admitted.admission) as follower:
        said = [
            event async for batch in follower.events() for _, event in batch if isinstance(event, TextDelta)
        ]
        await follower.end()
    assert "".join(delta.text for delta in said) == "hi"
    rows = await harness.app.store.usage(
        first_day="2000-01-01", last_day="2100-01-01", group=("key",), key_id="key_ann", only_key=True
    )
    assert [(row.key_id, row.turns) for row in rows] == [("key_ann", 1)]


async def test_a_message_that_could_never_be_answered_leaves_nothing(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    size = sum(path.stat().st_size for path in harness.data.iterdir() if path.is_file())
    for _ in range(3):
        reply = await harness.door.chat("a", "x" * 3_000_000)
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
        assert "has about 750004 tokens" in reply.error["message"]
    assert (await harness.door.get("/v1/sessions/a")).status == 404
    assert sum(path.stat().st_size for path in harness.data.iterdir() if path.is_file()) < size + 100_000
