"""What is read from the events of a streamed response."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.core.event import Delta, ThinkingDelta
from nanobot.core.message import Citation, ProviderState, Text, Thinking, ToolCall, Usage
from nanobot.models.openai_responses.answer import ResponseReader
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.refusals import ErrorSource, RequestFailed
from tests.responses_api import (
    Item,
    answered,
    begun,
    called,
    ended,
    numbered,
    open_thought,
    payloads,
    refused_to,
    response,
    said,
    streamed,
    thought,
)
from tests.unit.models.asking import heard
from tests.upstream import DONE, Reply, Upstream, event, json_reply, spoken


def kept(item: dict[str, Any]) -> ProviderState:
    return ProviderState("openai", "reasoning_item", msgspec.Raw(msgspec.json.encode(item)))


RS = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}


async def test_reasoning_text_and_calls_stay_in_their_order(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    items = (
        thought("First.", "Then.", id_="rs_1"),
        said("I", " look.", phase="commentary"),
        called("call_1", "look", '{"at"', ': "x"}'),
        thought(id_="rs_2", encrypted="gBBB"),
        called("call_2", "look", "{}", id_="fc_2"),
    )
    upstream.then(answered(*items))
    _, message = await heard(model)
    summary = [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}]
    assert message.parts == (
        Thinking("First.\n\nThen.", kept({**RS, "summary": summary})),
        Text("I look.", ProviderState("openai", "phase", msgspec.Raw(b'"commentary"'))),
        ToolCall("call_1", "look", '{"at": "x"}'),
        Thinking("", kept({**RS, "id": "rs_2", "encrypted_content": "gBBB"})),
        ToolCall("call_2", "look", "{}"),
    )
    assert message.stop_reason == "tool_calls"
    assert message.model == "openai:gpt-5"


async def test_reasoning_goes_back_with_the_fields_that_servers_add(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    item = thought()
    upstream.then(answered(Item(item.start, (), {**item.whole, "status": "completed", "signature": "s"})))
    _, message = await heard(model)
    assert message.parts == (Thinking("", kept({**RS, "signature": "s"})),)


async def test_reasoning_of_open_models_is_shown_and_kept(upstream: Upstream, model: OpenAIResponses) -> None:
    upstream.then(answered(open_thought("h", "m"), said("so")))
    _, message = await heard(model)
    thinking, text = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, text) == ("hm", Text("so"))
    assert thinking.provider_state is not None
    item = msgspec.json.decode(thinking.provider_state.value)
    assert item["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert "status" not in item


async def test_reasoning_that_nobody_can_read_is_not_kept(upstream: Upstream, model: OpenAIResponses) -> None:
    upstream.then(answered(thought("hm", encrypted=None), said("so")))
    assert (await heard(model))[1].parts == (Thinking("hm"), Text("so"))


async def test_reasoning_is_shown_once_where_it_comes_with_its_summary(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    events = [
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "short"},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "very long"},
    ]
    upstream.then(streamed([*begun(), *events, *payloads(said("so"))[1:2], ended()]))
    assert (await heard(model))[0][0] == ThinkingDelta("short")


async def test_a_refusal_is_text(upstream: Upstream, model: OpenAIResponses) -> None:
    upstream.then(answered(refused_to("I", " won't.")))
    _, message = await heard(model)
    assert (message.text, message.stop_reason) == ("I won't.", "stop")


@pytest.mark.parametrize(
    ("reason", "stop_reason", "calls"),
    [("max_output_tokens", "length", 1), ("content_filter", "content_filter", 0), (None, "length", 1)],
)
async def test_an_incomplete_response_says_why(
    upstream: Upstream, model: OpenAIResponses, reason: str | None, stop_reason: str, calls: int
) -> None:
    upstream.then(answered(said("It"), called("call_1", "look", "{"), status="incomplete", reason=reason))
    _, message = await heard(model)
    assert (message.text, message.stop_reason, len(message.tool_calls)) == ("It", stop_reason, calls)


async def test_usage_is_counted_with_the_cache_and_the_reasoning(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 12},
    }
    upstream.then(answered(said("hi"), usage=usage))
    assert (await heard(model))[1].usage == Usage(100, 20, 64, 12)


@pytest.mark.parametrize(
    "usage", [{"input_tokens": 2**63, "output_tokens": -1}, {"input_tokens": "x"}, [], "none"]
)
async def test_usage_that_makes_no_sense_costs_no_answer(
    upstream: Upstream, model: OpenAIResponses, usage: Any
) -> None:
    upstream.then(answered(said("hi"), usage=usage))
    assert (await heard(model))[1].text == "hi"


# How servers differ -------------------------------------------------------------------------------

LOOKED = (thought("hm"), said("I look."), called("call_1", "look", '{"at": "x"}'))


def doubled() -> Reply:
    return spoken(*(step for step in numbered(plain()) for _ in range(2)))


def plain() -> list[dict[str, Any]]:
    return [*begun(), *payloads(*LOOKED), ended(*LOOKED)]


def without(*kinds: str) -> list[dict[str, Any]]:
    return [each for each in plain() if not each["type"].endswith(kinds)]


def unplaced() -> list[dict[str, Any]]:
    return [
        {name: value for name, value in each.items() if name not in ("output_index", "item_id")}
        for each in plain()
    ]


def at_index_0() -> list[dict[str, Any]]:
    return [{**each, "output_index": 0} if "output_index" in each else each for each in plain()]


def with_changing_ids() -> list[dict[str, Any]]:
    events = []
    for number, each in enumerate(plain()):
        if "item" in each and each["type"].endswith("added"):
            each = {**each, "item": {**each["item"], "id": f"x{number}"}}
        elif "item_id" in each:
            each = {**each, "item_id": f"x{number}"}
        events.append(each)
    return events


UNKNOWN: list[dict[str, Any]] = [
    {"type": "response.web_search_call.searching", "output_index": 7, "item_id": "ws_1"},
    {
        "type": "response.output_item.added",
        "output_index": 7,
        "item": {"type": "web_search_call", "id": "ws_1"},
    },
    {"type": "response.audio.delta", "delta": {"not": "text"}, "item": "odd"},
    {"type": "keepalive"},
]
ODDITIES: dict[str, Reply] = {
    "as documented": streamed(plain()),
    "without deltas": streamed(without(".delta")),
    "only whole items": streamed(without(".delta", ".text.done", "_text.done", "arguments.done")),
    "only the whole response": streamed([*begun(), ended(*LOOKED)]),
    "without a beginning": streamed(plain()[2:]),
    "items that do not begin": streamed(without("item.added")),
    "items that do not end": streamed(without("item.done")),
    "a last event without items": streamed([*plain()[:-1], ended()]),
    "twice": doubled(),
    "without places": streamed(unplaced()),
    "all at one index": streamed(at_index_0()),
    "ids that change": streamed(with_changing_ids()),
    "without numbers": spoken(*map(event, plain())),
    "all of one number": spoken(*(event({**each, "sequence_number": 0}) for each in plain())),
    "an end mark of another format": spoken(*numbered(plain()[:-1]), DONE),
    "unknown events": streamed([*UNKNOWN, *plain()[:4], *UNKNOWN, *plain()[4:]]),
    "a heartbeat": spoken(event("null"), *numbered(plain())),
    "in one piece": json_reply(response(*LOOKED)),
}


@pytest.mark.parametrize("reply", ODDITIES.values(), ids=ODDITIES.keys())
async def test_an_answer_is_read_however_it_comes(
    upstream: Upstream, model: OpenAIResponses, reply: Reply
) -> None:
    upstream.then(reply)
    _, message = await heard(model)
    thinking, text, call = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, text) == ("hm", Text("I look."))
    assert call == ToolCall("call_1", "look", '{"at": "x"}')
    assert message.stop_reason == "tool_calls"


async def test_what_was_not_streamed_is_added_at_its_end(upstream: Upstream, model: OpenAIResponses) -> None:
    lost = [each for each in payloads(said("Hel", "lo", "!")) if each.get("delta") != "lo"]
    upstream.then(streamed([*lost[:3], ended(said("Hel", "lo"))]))
    deltas, _ = await heard(model)
    assert "".join(delta.text for delta in deltas) == "Hello"


async def test_an_item_that_was_not_streamed_takes_its_place(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    upstream.then(streamed([*payloads(said("so")), ended(thought("hm"), said("so"))]))
    thinking, text = (await heard(model))[1].parts
    assert isinstance(thinking, Thinking)
    assert thinking.provider_state is not None
    assert text == Text("so")


async def test_a_call_without_an_id_gets_one(upstream: Upstream, model: OpenAIResponses) -> None:
    item = called("", "look", "{}", id_="")
    upstream.then(answered(item, Item(item.start, item.events, item.whole)))
    ids = [call.id for call in (await heard(model))[1].tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)


async def test_a_character_that_is_cut_in_two_is_whole_again(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    halves = [
        rb'data: {"type":"response.output_text.delta","output_index":0,"delta":"a\ud83d"}' + b"\n\n",
        rb'data: {"type":"response.output_text.delta","output_index":0,"delta":"\ude00b"}' + b"\n\n",
    ]
    upstream.then(spoken(*halves, event(ended())))
    assert (await heard(model))[1].text == "a😀b"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"response.output_text.delta","output_index":"0","delta":"hi","sequence_number":null}',
        b'{"type":"response.output_text.delta","output_index":0,"delta":"hi","item_id":7}',
        b'{"type":"response.output_text.delta","delta":"hi","logprobs":[{"token":"\xff"}],"text":7}',
    ],
)
async def test_fields_of_another_type_cost_no_answer(
    upstream: Upstream, model: OpenAIResponses, payload: bytes
) -> None:
    upstream.then(spoken(b"data: " + payload + b"\n\n", event(ended())))
    assert (await heard(model))[1].text == "hi"


ODD_VALUES: list[Any] = [
    None,
    0,
    -1,
    2**70,
    "",
    "x",
    [],
    {},
    [1],
    {"a": 1},
    True,
    1.5,
    [None],
    {"type": "message"},
]


def spoilt(value: Any, chance: random.Random) -> Any:
    """Return `value` with parts of it left out, or replaced by something else."""
    if chance.random() < 0.05:
        return chance.choice(ODD_VALUES)
    if isinstance(value, dict):
        return {name: spoilt(each, chance) for name, each in value.items() if chance.random() > 0.03}
    return [spoilt(each, chance) for each in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=300)
@given(st.integers(), st.permutations(range(len(plain()))) | st.just(range(len(plain()))))
def test_whatever_comes_is_an_answer_that_says_what_was_shown_or_an_error(
    seed: int, order: Sequence[int]
) -> None:
    reader = ResponseReader(
        ErrorSource("openai:m", "m", "http://127.0.0.1/v1"),
        (),
        random.Random(1),
        adapts=lambda body: False,
        answered=lambda: None,
    )
    deltas: list[Delta] = []
    events = spoilt(plain(), random.Random(seed))
    try:
        for place in order:
            if isinstance(events, list) and place < len(events) and not reader.done:
                reader.take(msgspec.json.encode(events[place]), deltas)
        message = reader.message()
    except RequestFailed:
        return
    shown = [part.text for part in message.parts if isinstance(part, Text | Thinking)]
    assert "".join(shown) == "".join(delta.text for delta in deltas)


async def test_sources_of_a_text_count_from_the_beginning_of_the_message(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    first, second = said("Let me look."), said("Parrots talk.", id_="msg_2")
    annotation = {"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0}
    for item in (first, second):
        for part in item.whole["content"]:
            part["annotations"] = [{**annotation, "end_index": 7}, {"type": "file_citation", "file_id": "f"}]
    upstream.then(answered(first, second))
    _, message = await heard(model)
    assert message.citations == tuple(
        Citation("https://a.example/", "A", start, start + 7) for start in (0, len("Let me look."))
    )
