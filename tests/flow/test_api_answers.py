"""What comes back: one JSON object, or a stream of chunks, that OpenAI's clients understand."""

import asyncio
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelOverloaded
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, StopReason, Text, Thinking, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import BOUND_S, Door, Exchange
from tests.harness import OpenHarness

ASSISTANT = {"role": "assistant", "content": "", "refusal": None}


class Thinker:
    """A model that thinks aloud before it speaks."""

    name = "thinker"
    context_tokens = 128_000
    abilities: frozenset[Ability] = frozenset()

    def __init__(self, *answers: tuple[str, str]) -> None:
        self._answers = list(answers)

    async def stream(self, request: ModelRequest) -> Any:
        thought, text = self._answers.pop(0)
        items: list[Delta] = [
            *(ThinkingDelta(word) for word in _halves(thought)),
            *(TextDelta(word) for word in _halves(text)),
        ]
        for item in items:
            yield item
        parts = (*((Thinking(thought),) if thought else ()), *((Text(text),) if text else ()))
        yield Message("assistant", parts, "stop", Usage(10, 5, 3, 2), self.name)

    async def warm(self) -> None:
        """Nothing to load."""

    async def check(self) -> None:
        """Ready."""

    async def close(self) -> None:
        """Nothing to release."""


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


def stopped(text: str, reason: StopReason) -> Say:
    return Say((text,), Message("assistant", (Text(text),), reason, Usage(10, 5)))


# One JSON object ----------------------------------------------------------------------------------


async def test_the_answer_has_the_shape_that_openai_documents(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(ScriptedModel("Hello there"), clock=clock)
    reply = await harness.door.chat("a", "hello")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(reply.raw))
    body = reply.json
    assert body.pop("id") == reply.turn_id.replace("turn_", "chatcmpl-")
    assert body == {
        "object": "chat.completion",
        "created": int(clock.now()),
        "model": "nanobot",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello there",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 11,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
    }


async def test_every_answer_has_a_request_id_of_its_own_and_a_turn_its_turn_id(door: Door) -> None:
    replies = [
        await door.chat("a", "hello"),
        await door.chat("a", "hello", stream=True),
        await door.get("/health"),
        await door.get("/x"),
    ]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 4
    assert replies[0].turn_id != replies[1].turn_id
    assert "x-turn-id" not in replies[2].headers


async def test_usage_sums_all_steps_of_the_turn(open_harness: OpenHarness) -> None:
    last = Say(("It is 42.",), Message("assistant", (Text("It is 42."),), "stop", Usage(30, 7, 20, 4)))
    harness = await open_harness(ScriptedModel(call("calculate", '{"expression": "6*7"}'), last))
    usage = (await harness.door.chat("a", "6*7?")).json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (40, 12, 52)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 20
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("reason", "shown", "fields"),
    [("stop", "stop", {}), ("length", "length", {"max_tokens": 5}), ("content_filter", "content_filter", {})],
)
async def test_the_finish_reason_is_the_models(
    open_harness: OpenHarness, reason: StopReason, shown: str, fields: dict[str, Any]
) -> None:
    harness = await open_harness(ScriptedModel(stopped("half an ans", reason)))
    assert (await harness.door.chat("a", "hello", **fields)).json["choices"][0]["finish_reason"] == shown
    streamed = await harness.door.chat("b", "hello", stream=True, **fields)
    assert streamed.chunks[-1]["choices"][0]["finish_reason"] == shown


async def test_steps_with_tools_are_one_answer_with_a_blank_line_between_texts(
    open_harness: OpenHarness,
) -> None:
    script = (call("calculate", '{"expression": "6*7"}', text="Let me see."), "It is 42.")
    harness = await open_harness(ScriptedModel(*script, *script))
    assert (await harness.door.chat("a", "6*7?")).said == "Let me see.\n\nIt is 42."
    reply = await harness.door.chat("b", "6*7?", stream=True)
    assert reply.said == "Let me see.\n\nIt is 42."
    assert "tool_calls" not in reply.text
    assert reply.chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_thoughts_are_beside_the_answer_not_in_it(open_harness: OpenHarness) -> None:
    harness = await open_harness(Thinker(("hm, well", "Yes."), ("hm, well", "Yes.")))
    message = (await harness.door.chat("a", "hello")).json["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Yes.", "hm, well")
    reply = await harness.door.chat("b", "hello", stream=True)
    assert reply.said == "Yes."
    assert (
        "".join(chunk["choices"][0]["delta"].get("reasoning_content", "") for chunk in reply.chunks)
        == "hm, well"
    )


# A stream -----------------------------------------------------------------------------------------


async def test_a_stream_begins_with_the_role_and_ends_with_the_reason_and_done(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel("Hello there"))
    reply = await harness.door.chat("a", "hello", stream=True)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    choices = [chunk["choices"][0] for chunk in reply.chunks]
    assert [choice["delta"] for choice in choices] == [
        ASSISTANT,
        {"content": "Hello"},
        {"content": " there"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert reply.text.endswith("\n\ndata: [DONE]\n\n")
    assert reply.text.count("[DONE]") == 1


async def test_all_chunks_carry_the_same_head(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(ScriptedModel("Hello there"), clock=clock)
    reply = await harness.door.chat("a", "hello", stream=True)
    for chunk in reply.chunks:
        assert chunk["id"] == reply.turn_id.replace("turn_", "chatcmpl-")
        assert (chunk["object"], chunk["created"], chunk["model"]) == (
            "chat.completion.chunk",
            int(clock.now()),
            "nanobot",
        )
        assert "usage" not in chunk


async def test_usage_comes_as_a_chunk_of_its_own_where_it_is_asked_for(door: Door) -> None:
    reply = await door.chat("a", "hello", stream=True, stream_options={"include_usage": True})
    *others, last = reply.chunks
    assert last["choices"] == []
    assert (
        last["usage"]["total_tokens"]
        == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
        > 0
    )
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in others)
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_the_answer_is_the_same_streamed_and_not(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel('Grüße 🦜\n\nund "Zitate" \\ und \u2028 mehr'))
    whole = await harness.door.chat("a", "hello")
    streamed = await harness.door.chat("b", "hello", stream=True, stream_options={"include_usage": True})
    assert streamed.said == whole.said
    assert streamed.chunks[-1]["usage"] == whole.json["usage"]


async def test_text_is_sent_as_it_comes(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("Hello", " there"), between=gate)))
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until('"Hello"')
    assert " there" not in exchange.text
    assert exchange.status == 200
    gate.set()
    assert (await exchange.done()).said == "Hello there"


async def test_each_event_has_an_id_that_grows_by_its_units(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("Hello there"))
    reply = await harness.door.chat("a", "hello", stream=True, stream_options={"include_usage": True})
    *events, done = reply.events
    assert [event.id for event in events] == [f"{reply.turn_id}:{cursor}" for cursor in (0, 5, 11, 13, 13)]
    assert (done.content, done.id) == ("[DONE]", None)


async def test_comments_keep_a_quiet_stream_awake(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("hi",), before=gate)), api={"ping_s": 0.01})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until(": ping\n: ping\n")
    gate.set()
    reply = await exchange.done()
    assert reply.said == "hi"
    assert reply.chunks[0]["choices"][0]["delta"] == ASSISTANT
    assert sum("role" in chunk["choices"][0]["delta"] for chunk in reply.chunks) == 1


async def test_a_turn_that_waits_in_the_queue_is_kept_awake_too(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("hi",), before=gate)), api={"ping_s": 0.01})
    first = harness.door.chatting("a", "hello")
    second = harness.door.chatting("a", "hello again", stream=True)
    await second.until(": ping")
    gate.set()
    assert [reply.said for reply in await harness.door.each([first, second])] == ["hi", "hi"]


async def test_tool_progress_is_sent_as_named_events_to_those_who_ask(open_harness: OpenHarness) -> None:
    script = (call("calculate", '{"expression": "6*7"}', id="c1"), "It is 42.")
    harness = await open_harness(ScriptedModel(*script, *script))
    plain = await harness.door.chat("a", "6*7?", stream=True)
    assert [event.name for event in plain.events if event.name] == []
    asked = await harness.door.chat("b", "6*7?", {"x-events": "tools"}, stream=True)
    named = [(event.name, msgspec.json.decode(event.content)) for event in asked.events if event.name]
    assert named == [
        ("tool_started", {"id": "c1", "name": "calculate", "arguments": '{"expression": "6*7"}'}),
        ("tool_finished", {"id": "c1", "is_error": False, "content": "42"}),
    ]
    assert asked.said == plain.said == "It is 42."


# Failures and streams -----------------------------------------------------------------------------


async def test_a_failure_after_the_first_byte_is_an_error_event_and_no_done(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(
        ScriptedModel(Say(("Hello", " th"), error=ModelOverloaded("the model is overloaded")))
    )
    reply = await harness.door.chat("a", "hello", stream=True)
    assert reply.status == 200
    assert reply.chunks[-1] == {
        "error": {
            "message": "the model is overloaded",
            "type": "server_error",
            "param": None,
            "code": "model_overloaded",
        }
    }
    assert "[DONE]" not in reply.text
    assert reply.is_complete


async def test_a_failure_before_the_first_byte_has_its_true_status(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(ModelOverloaded("the model is overloaded", retry_after_s=3)))
    reply = await harness.door.chat("a", "hello", stream=True)
    assert reply.status == 503
    assert reply.error["code"] == "model_overloaded"
    assert reply.headers["retry-after"] == "3"
    assert reply.turn_id


async def test_a_refusal_at_admission_has_its_true_status_in_streaming_too(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("hi",), before=gate))
    harness = await open_harness(model)
    first = harness.door.chatting("a", "hello", stream=True)
    await asyncio.wait_for(model.asked.wait(), BOUND_S)
    assert (await harness.door.chat("a", "x", {"x-when-busy": "reject"}, stream=True)).status == 409
    gate.set()
    await first.done()


# History that clients send along ------------------------------------------------------------------


def resent(*texts: str) -> list[dict[str, Any]]:
    return [
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)
    ]


async def transcript(harness: Any, key: str) -> list[str]:
    return [row.message.text for row in await harness.app.store.messages(key, limit=100)]


async def test_a_history_that_fits_nowhere_is_taken_in_and_the_answer_says_so(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel("one", "two", "three"))
    await harness.door.chat("a", "1")
    for stream in (False, True):
        reply: Exchange = await harness.door.chat(
            "a", resent("x", f"never said {stream}", "2"), stream=stream
        )
        assert reply.headers["x-history"] == "replaced"
    assert await transcript(harness, "a") == ["x", "never said True", "2", "three"]
    assert len(await harness.app.store.branches("a")) == 3


async def test_a_client_that_resends_everything_and_one_that_does_not_see_the_same_conversation(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel("one", "two", "three", "one", "two", "three"))
    for number in range(3):
        await harness.door.chat("short", f"{number}")
    messages: list[str] = []
    for number in range(3):
        messages.append(f"{number}")
        reply = await harness.door.chat("long", resent(*messages))
        assert "x-history" not in reply.headers
        messages.append(reply.said)
    assert await transcript(harness, "short") == await transcript(harness, "long") == messages


async def test_an_imported_history_is_what_the_model_is_asked_about(open_harness: OpenHarness) -> None:
    model = ScriptedModel("Ann")
    harness = await open_harness(model)
    reply = await harness.door.chat("a", resent("my name is Ann", "hello Ann", "who am I?"))
    assert reply.headers["x-history"] == "imported"
    assert [message.text for message in model.requests[0].messages] == [
        "my name is Ann",
        "hello Ann",
        "who am I?",
    ]


async def test_an_edited_message_leaves_the_old_branch(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "two", "edited two")
    harness = await open_harness(model)
    await harness.door.chat("a", "1")
    await harness.door.chat("a", resent("1", "one", "2"))
    reply = await harness.door.chat("a", resent("1", "one", "2, edited"))
    assert reply.headers["x-history"] == "rewound"
    assert [message.text for message in model.requests[-1].messages] == ["1", "one", "2, edited"]


async def test_a_multi_step_answer_that_is_resent_is_known(open_harness: OpenHarness) -> None:
    harness = await open_harness(
        ScriptedModel(call("calculate", '{"expression": "6*7"}', text="Let me see."), "It is 42.", "yes")
    )
    answer = await harness.door.chat("a", "6*7?", stream=True)
    reply = await harness.door.chat("a", resent("6*7?", answer.said, "sure?"))
    assert "x-history" not in reply.headers
    assert (await harness.app.store.messages("a", limit=10))[-2].message.text == "sure?"


async def test_a_turn_that_is_not_to_be_stored_leaves_no_trace(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "A title", "two")
    harness = await open_harness(model)
    await harness.door.chat("a", "1")
    assert (await harness.door.chat("a", "make a title", store=False)).said == "A title"
    assert [message.text for message in model.requests[1].messages] == ["1", "one", "make a title"]
    await harness.door.chat("a", "2")
    assert await transcript(harness, "a") == ["1", "one", "2", "two"]
    assert "title" not in "".join(message.text for message in model.requests[2].messages)
