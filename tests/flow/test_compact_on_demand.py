"""Summaries on demand: of a session, and of a conversation that the client keeps."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest
from openai.types.responses import CompactedResponse

from nanobot.core.message import Message, Text, Usage
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel
from tests.flow.test_compaction import FILLER, Remembering, fillers, talk
from tests.flow.test_responses_sdk import connected, no_proxy
from tests.harness import OpenHarness

__all__ = ["no_proxy"]
SECRET = "My name is Carol Quill and my locker is AB-12X."
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": SECRET},
    {"role": "assistant", "content": "Noted."},
    {"role": "user", "content": FILLER},
    {"role": "assistant", "content": "Fine. " * 200},
]


def summarises(request: ModelRequest) -> bool:
    return request.system.startswith("Below is the beginning of a conversation")


class Paid:
    """Answers, and counts what summaries were asked for."""

    def __init__(self) -> None:
        self.summaries = 0

    def __call__(self, request: ModelRequest) -> str | Say:
        if not summarises(request):
            return "ok"
        self.summaries += 1
        text = "Carol Quill has the locker AB-12X."
        return Say((), Message("assistant", (Text(text),), "stop", Usage(300, 20)))


# Sessions -----------------------------------------------------------------------------------------


async def test_a_session_is_summarised_but_for_its_newest_turn_and_its_transcript_stays(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(Remembering("Carol Quill has the locker AB-12X."))
    harness = await open_harness(model)
    await talk(harness, "a", SECRET, *fillers(5))
    before = (await harness.door.get("/v1/sessions/a/messages?limit=100")).json["data"]
    reply = await harness.door.call("POST", "/v1/sessions/a/compact")
    assert reply.status == 200, reply.text
    assert reply.json["messages_summarised"] == reply.json["messages_added"] == 10
    assert "Carol Quill" in reply.json["summary"]
    assert reply.json["facts_kept"] == reply.json["facts"] > 0
    assert (await harness.door.get("/v1/sessions/a/messages?limit=100")).json["data"] == before
    await talk(harness, "a", "And now?")
    shown = model.requests[-1].messages
    assert "Carol Quill" in shown[0].text and len(shown) == 4
    again = await harness.door.call("POST", "/v1/sessions/a/compact")
    assert again.status == 200 and again.json["messages_added"] == 0


async def test_a_short_session_needs_no_summary(open_harness: OpenHarness) -> None:
    paid = Paid()
    harness = await open_harness(ScriptedModel(paid))
    await talk(harness, "a", "hi", "hi again")
    reply = await harness.door.call("POST", "/v1/sessions/a/compact")
    assert (reply.json["messages_added"], reply.json["summary"], paid.summaries) == (0, None, 0)


async def test_what_cannot_be_summarised_is_an_error(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Remembering("")))
    assert (await harness.door.call("POST", "/v1/sessions/none/compact")).status == 404
    many = f"My codes are {', '.join(f'XK-{number}' for number in range(100, 700))}."
    await talk(harness, "a", many, *fillers(2))
    reply = await harness.door.call("POST", "/v1/sessions/a/compact")
    assert (reply.status, reply.error["code"]) == (502, "model_bad_answer")
    assert "no summary came" in reply.error["message"]


# Conversations of clients -------------------------------------------------------------------------


@pytest.fixture
async def paid(open_harness: OpenHarness) -> AsyncIterator[tuple[Any, ScriptedModel, Paid]]:
    paid = Paid()
    model = ScriptedModel(paid)
    harness = await open_harness(model)
    async with connected(harness) as client:
        yield client, model, paid


async def test_the_sdk_compacts_a_conversation_and_goes_on_from_it(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, model, counts = paid
    compacted = await client.responses.compact(model="nanobot", input=TALK)
    assert isinstance(compacted, CompactedResponse) and compacted.object == "response.compaction"
    *said, item = compacted.output
    assert [each.type for each in said] == ["message", "message"]
    assert item.type == "compaction"
    assert (compacted.usage.input_tokens, counts.summaries) == (300, 1)
    kept = [each.model_dump(exclude_none=True, warnings=False) for each in compacted.output]
    question = {"role": "user", "content": "Which locker?"}
    await client.responses.create(model="nanobot", input=[*kept, question], store=False)
    shown = model.requests[-1].messages
    assert [message.role for message in shown] == ["user", "user", "assistant", "user"]
    assert "AB-12X" in shown[2].text and shown[-1].text == "Which locker?"


async def test_a_compacted_conversation_is_compacted_again(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, model, _ = paid
    first = await client.responses.compact(model="nanobot", input=TALK)
    kept = [each.model_dump(exclude_none=True, warnings=False) for each in first.output]
    more = [{"role": "user", "content": "NEW words"}, {"role": "assistant", "content": "yes"}]
    second = await client.responses.compact(model="nanobot", input=[*kept, *more])
    asked = model.requests[-1].messages[0].text
    assert "has the locker AB-12X" in asked and "NEW words" in asked
    assert SECRET not in asked
    assert [each.type for each in second.output].count("compaction") == 1


async def test_what_the_server_keeps_is_compacted_up_to_a_response(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, model, _ = paid
    one = await client.responses.create(model="nanobot", input=SECRET)
    await client.responses.create(model="nanobot", input="LATER words", previous_response_id=one.id)
    compacted = await client.responses.compact(model="nanobot", previous_response_id=one.id)
    asked = model.requests[-1].messages[0].text
    assert SECRET in asked and "LATER words" not in asked
    kept = [each.model_dump(exclude_none=True, warnings=False) for each in compacted.output]
    reply = await client.responses.create(model="nanobot", input=[*kept, {"role": "user", "content": "?"}])
    assert reply.status == "completed"


async def test_a_request_that_is_sent_again_is_paid_once(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, _, counts = paid
    headers = {"Idempotency-Key": "once"}
    first = await client.responses.compact(model="nanobot", input=TALK, extra_headers=headers)
    second = await client.responses.compact(model="nanobot", input=TALK, extra_headers=headers)
    assert (first.id, counts.summaries) == (second.id, 1)
    await client.responses.compact(model="nanobot", input=TALK)
    assert counts.summaries == 2


async def test_a_key_that_comes_with_another_body_is_refused(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, _, counts = paid
    headers = {"Idempotency-Key": "once"}
    await client.responses.compact(model="nanobot", input=TALK, extra_headers=headers)
    with pytest.raises(openai.UnprocessableEntityError, match="'once' was used with another body") as refused:
        await client.responses.compact(model="nanobot", input=TALK[:3], extra_headers=headers)
    assert (refused.value.code, counts.summaries) == ("idempotency_mismatch", 1)
    # As with turns, the key is one of its conversation.
    elsewhere = {**headers, "x-session-key": "alice"}
    await client.responses.compact(model="nanobot", input=TALK[:3], extra_headers=elsewhere)
    assert counts.summaries == 2


async def test_what_it_cost_is_counted(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Paid()))
    async with connected(harness) as client:
        await client.responses.compact(model="nanobot", input=TALK)
    assert (await harness.door.get("/v1/usage")).json["totals"]["prompt_tokens"] == 300


async def sealed(client: Any, **headers: str) -> dict[str, Any]:
    compacted = await client.responses.compact(model="nanobot", input=TALK, extra_headers=headers)
    item: dict[str, Any] = compacted.output[-1].model_dump(exclude_none=True)
    return item


async def test_a_compaction_goes_into_no_other_conversation(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, model, _ = paid
    alice, bob = {"x-session-key": "alice"}, {"x-session-key": "bob"}
    asked = {"role": "user", "content": "go on"}
    for made_for, used_in in ((alice, bob), (alice, {}), ({}, bob)):
        item = await sealed(client, **made_for)
        count = len(model.requests)
        for call in (client.responses.create, client.responses.compact):
            with pytest.raises(openai.BadRequestError, match="of another conversation"):
                await call(model="nanobot", input=[item, asked], extra_headers=used_in)
        assert len(model.requests) == count
    item = await sealed(client, **alice)
    await client.responses.create(model="nanobot", input=[item, asked], extra_headers=alice)
    assert "AB-12X" in model.requests[-1].messages[0].text


async def test_a_compaction_that_was_changed_is_refused(
    paid: tuple[Any, ScriptedModel, Paid],
) -> None:
    client, _, _ = paid
    item = await sealed(client)
    content = item["encrypted_content"]
    raw = bytearray(base64.urlsafe_b64decode(content.removeprefix("nanobot1.")))
    for place in (0, 19, 20, len(raw) - 1):
        changed = raw.copy()
        changed[place] ^= 1
        item["encrypted_content"] = "nanobot1." + base64.urlsafe_b64encode(changed).decode()
        with pytest.raises(openai.BadRequestError, match="compact the conversation anew"):
            await client.responses.create(model="nanobot", input=[item, {"role": "user", "content": "?"}])
    for broken in ("nanobot1.", "nanobot1.é", "nanobot1.AAAA", content[:-4], content + "AAAA"):
        item["encrypted_content"] = broken
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="nanobot", input=[item, {"role": "user", "content": "?"}])
        assert refused.value.param == "input[0].encrypted_content"


async def test_items_of_other_servers_are_left_out(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    body = {"type": "compaction", "encrypted_content": "gAAAAAB-of-openai"}
    asked = {"model": "nanobot", "input": [body, {"role": "user", "content": "hi"}]}
    reply = await harness.door.call("POST", "/v1/responses", body=msgspec.json.encode(asked))
    assert reply.status == 200 and reply.headers["x-items-left-out"] == "compaction"


async def test_nothing_to_compact_is_said(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for body, status in (
        ({"model": "nanobot"}, 400),
        ({"input": "hi"}, 400),
        ({"model": "other", "input": "hi"}, 404),
        ({"model": "nanobot", "previous_response_id": "resp_01m8j396mn6x93bm4j5bttf8z2"}, 404),
    ):
        reply = await harness.door.call("POST", "/v1/responses/compact", body=msgspec.json.encode(body))
        assert reply.status == status, body
