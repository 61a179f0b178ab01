"""Events of a response: the same, with the same numbers, however the text came and whenever they are asked
for.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from nanobot.api.wire.items import ItemRef, items
from nanobot.api.wire.response_answer import Echo, WireReasoning
from nanobot.api.wire.response_events import ResponseEvents
from nanobot.core.errors import ShuttingDown
from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    TurnEnded,
    TurnError,
    events_of,
)
from nanobot.core.message import Message, Part, Text, Thinking, ToolCall, ToolResult, Usage

TURN = "turn_01m87hk3rez16m7sqd8a0jeeec"
KNOWN: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
DONE = TurnEnded("done", Usage(1, 2, 0, 1))


async def events(
    found: Iterable[Event],
    *,
    after: int = -1,
    summary: str | None = None,
    background: bool = False,
    shown: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """Return the events as clients get them, each of them valid for the SDK."""
    echo = Echo(
        model="nanobot", reasoning=WireReasoning(summary=summary), background=background, events=shown
    )

    async def ended_at() -> float:
        return 2.0

    rendering = ResponseEvents(TURN, echo, inputs=1, ended_at=ended_at, after=after)
    await rendering.prepare_end()
    raw = b"".join(rendering.render([(0, event)]) for event in found).decode()
    told: list[dict[str, Any]] = []
    for block in raw.split("\n\n")[:-1]:
        if block == "data: [DONE]":
            assert raw.endswith("data: [DONE]\n\n")
            continue
        name, content = block.split("\n")
        event: dict[str, Any] = json.loads(content.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        KNOWN.validate_python(event)
        told.append(event)
    return told


def kinds(shown: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in shown]


def cut(message: Message, sizes: Sequence[int]) -> list[Event]:
    """Return the events of the message, its texts cut into deltas of these sizes, over and over."""
    found: list[Event] = []
    turn = 0
    for event in events_of((message,)):
        if not isinstance(event, TextDelta | ThinkingDelta):
            found.append(event)
            continue
        at = 0
        while at < len(event.text):
            size = sizes[turn % len(sizes)]
            found.append(type(event)(event.text[at : at + size]))
            at += size
            turn += 1
    return found


TEXTS = st.text(st.sampled_from("ab .,\n\tü好🙂-x"), min_size=1, max_size=60)
PARTS: st.SearchStrategy[Part] = st.one_of(TEXTS.map(Text), TEXTS.map(Thinking))


@given(
    st.lists(PARTS, min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(-1, 80),
)
async def test_how_the_text_came_does_not_matter(parts: list[Part], sizes: list[int], after: int) -> None:
    message = Message(
        "assistant", (*parts, ToolCall("call_1", "get_weather", '{"a": 1}', for_client=True)), "tool_calls"
    )
    stored = await events([*events_of((message,)), DONE])
    assert await events([*cut(message, sizes), DONE]) == stored
    assert [event["sequence_number"] for event in stored] == list(range(len(stored)))
    rest = await events([*cut(message, sizes), DONE], after=after)
    assert rest[:-1] == stored[after + 1 : -1]
    assert rest[-1]["type"] == "response.completed"
    assert rest[-1]["sequence_number"] == max(len(stored) - 1, after + 1)


@given(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from([None, "auto"]))
async def test_the_items_told_are_those_of_the_response(parts: list[Part], summary: str | None) -> None:
    message = Message("assistant", tuple(parts), "stop")
    shown = await events([*events_of((message,)), DONE], summary=summary)
    done = [event["item"] for event in shown if event["type"] == "response.output_item.done"]
    assert done == shown[-1]["response"]["output"]
    assert [item["id"] for item in done] == [item.id for item in items(message, ItemRef(TURN, 1))]
    said = "".join(event["delta"] for event in shown if event["type"] == "response.output_text.delta")
    thought = "".join(
        event["delta"]
        for event in shown
        if event["type"].endswith(("reasoning_text.delta", "reasoning_summary_text.delta"))
    )
    assert said == "".join(part.text for part in parts if isinstance(part, Text))
    assert thought == "".join(part.text for part in parts if isinstance(part, Thinking))


async def test_thinking_and_text_have_their_events() -> None:
    message = Message("assistant", (Thinking("hm"), Text("Yes")), "stop")
    head = ["created", "in_progress"]
    text = [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    thought = [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert kinds(await events([*events_of((message,)), DONE])) == [*head, *thought, *text, "completed"]
    summed = [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
    ]
    assert kinds(await events([*events_of((message,)), DONE], summary="auto")) == [
        *head,
        *summed,
        *text,
        "completed",
    ]


async def test_a_response_in_the_background_is_queued_first() -> None:
    assert kinds(await events([DONE], background=True)) == ["created", "queued", "in_progress", "completed"]


async def test_a_word_goes_out_when_the_next_has_begun() -> None:
    shown = await events([TextDelta("Hello wor"), TextDelta("ld, my friend")])
    assert [event["delta"] for event in shown if event["type"] == "response.output_text.delta"] == [
        "Hello",
        " world,",
        " my",
    ]


async def test_what_the_servers_own_tools_do_is_not_shown() -> None:
    asked = Message("assistant", (Text("Let me see."), ToolCall("call_1", "calculate", "{}")), "tool_calls")
    result = ToolFinished(Message("tool", (ToolResult("call_1", "SECRET-42"),)))
    said = Message("assistant", (Text("42"),), "stop")
    shown = await events([*events_of((asked,)), result, *events_of((said,)), DONE])
    assert "SECRET-42" not in json.dumps(shown)
    assert "calculate" not in json.dumps(shown)
    assert [item["content"][0]["text"] for item in shown[-1]["response"]["output"]] == ["Let me see.", "42"]
    assert len({item["id"] for item in shown[-1]["response"]["output"]}) == 2


async def test_how_a_turn_ends_is_told() -> None:
    cut_off = MessageAdded(Message("assistant", (Text("Once"),), "length"))
    shown = await events([TextDelta("Once"), cut_off, DONE])
    assert (shown[-1]["type"], shown[-1]["response"]["incomplete_details"]) == (
        "response.incomplete",
        {"reason": "max_output_tokens"},
    )
    failed = await events([TurnEnded("failed", error=TurnError("model_rate_limited", "too many", 429))])
    assert (failed[-1]["type"], failed[-1]["response"]["error"]) == (
        "response.failed",
        {"code": "rate_limit_exceeded", "message": "too many"},
    )
    stopped = MessageAdded(Message("assistant", (Text("Once"),), "incomplete"))
    cancelled = await events(
        [
            TextDelta("Once"),
            stopped,
            TurnEnded("cancelled", error=TurnError("turn_cancelled", "by request", 409)),
        ]
    )
    assert (cancelled[-1]["type"], cancelled[-1]["response"]["status"]) == ("response.failed", "cancelled")
    assert cancelled[-1]["response"]["output"][0]["status"] == "incomplete"


async def test_a_server_that_stops_says_that_the_response_goes_on() -> None:
    shown = await events(
        [
            TextDelta("Once "),
            TurnEnded("failed", error=TurnError(ShuttingDown.code, "stopping", 503, retryable=True)),
        ]
    )
    assert (shown[-1]["type"], shown[-1]["code"]) == ("error", "shutting_down")


CALLS = st.lists(st.sampled_from(["done", "failed", "open", "client", "withheld"]), max_size=4)


def step(number: int, parts: list[Part], fates: list[str]) -> tuple[Message, ...]:
    """Return a message with calls, and their results but for those that are open."""
    calls = [
        ToolCall(
            f"call_{number}_{at}",
            "look",
            "{}" if at % 2 else "",
            for_client=fate == "client",
            is_withheld=fate == "withheld",
        )
        for at, fate in enumerate(fates)
    ]
    results = [
        Message("tool", (ToolResult(call.id, "seen", fate == "failed"),))
        for call, fate in zip(calls, fates, strict=True)
        if fate in ("done", "failed")
    ]
    return Message("assistant", (*parts, *calls), "tool_calls"), *reversed(results)


@given(
    st.lists(st.tuples(st.lists(PARTS, max_size=2), CALLS), min_size=1, max_size=3),
    st.integers(-1, 60),
)
async def test_calls_of_the_servers_tools_are_the_items_of_the_response(
    steps: list[tuple[list[Part], list[str]]], after: int
) -> None:
    messages = [
        message for number, (parts, fates) in enumerate(steps) for message in step(number, parts, fates)
    ]
    found = [*events_of(tuple(messages)), DONE]
    shown = await events(found, shown=("tools",))
    assert [event["sequence_number"] for event in shown] == list(range(len(shown)))
    output = shown[-1]["response"]["output"]
    done = {
        event["output_index"]: event["item"] for event in shown if event["type"].endswith("output_item.done")
    }
    assert [done[at] for at in sorted(done)] == output
    assert len({item["id"] for item in output}) == len(output)
    fates = [fate for _, each in steps for fate in each if fate in ("done", "failed", "open")]
    statuses = {"done": "completed", "failed": "failed", "open": "incomplete"}
    assert [item["status"] for item in output if item["type"] == "mcp_call"] == [
        statuses[fate] for fate in fates
    ]
    # What else is shown has the ids that it has without them.
    plain = (await events(found))[-1]["response"]["output"]
    assert [item for item in output if item["type"] != "mcp_call"] == plain
    rest = await events(found, after=after, shown=("tools",))
    assert rest[:-1] == shown[after + 1 : -1]


async def test_a_call_goes_on_after_a_stop_of_the_server() -> None:
    message, *_ = step(0, [], ["open"])
    stops = TurnEnded("failed", error=TurnError(ShuttingDown.code, "stops", 503))
    shown = await events([*events_of((message,)), stops], shown=("tools",))
    assert kinds(shown)[-2:] == ["mcp_call_arguments.done", "error"]
