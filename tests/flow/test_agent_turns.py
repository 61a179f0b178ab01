"""The agent in its house, from an admitted turn to what followers read and the store keeps."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count, pairwise

import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.core.errors import ModelOverloaded
from nanobot.core.event import Delta, Event, MessageAdded, TextDelta, ThinkingDelta, ToolFinished, TurnEnded
from nanobot.core.message import Message, Text, Thinking, ToolCall, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.turn import Identity, Turn, WhenBusy
from nanobot.models.openai.request import encode
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import Harness, OpenHarness

_numbers = count(1)
Line = list[tuple[int, Event]]


async def ask(harness: Harness, text: str, *, key: str = "k", when_busy: WhenBusy = "queue") -> str:
    number = next(_numbers)
    turn = Turn(f"turn_{number}", key, (user(text),), "api", when_busy=when_busy)
    return (await harness.app.store.admit(turn, Identity(number.to_bytes(32, "big")))).turn_id


async def followed(harness: Harness, turn_id: str, after: int = 0) -> Line:
    """Return the turn's line from past `after` to its end."""
    events: Line = []
    async with asyncio.timeout(BOUND_S):
        async for batch in harness.app.store.follow(turn_id, after):
            events.extend(batch)
    return events


def body(request: ModelRequest) -> bytes:
    return encode(
        request,
        model="m",
        limit_field="max_tokens",
        includes_usage=True,
        includes_openai_fields=False,
        extra={},
    )


class Stream(ScriptedModel):
    """Yields exactly these items at its first question, and answers further ones with a word."""

    def __init__(self, *items: Delta | Message) -> None:
        super().__init__()
        self._items = items

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.requests.append(request)
        self.asked.set()
        if len(self.requests) > 1:
            yield TextDelta("Here.")
            yield Message("assistant", (Text("Here."),), "stop")
            return
        for item in self._items:
            yield item
        if not self._items or not isinstance(self._items[-1], Message):
            await asyncio.Event().wait()


def text_of(events: Sequence[tuple[int, Event]]) -> str:
    return "".join(event.text for _, event in events if isinstance(event, TextDelta))


STEP = Message(
    "assistant",
    (Text("Let me see."), ToolCall("c1", "calculate", '{"expression": "6*7"}')),
    "tool_calls",
    Usage(1, 1),
)
MODELS: dict[str, Callable[[], ScriptedModel]] = {
    "an answer": lambda: ScriptedModel("It is here, I think."),
    "an answer after a tool": lambda: ScriptedModel(Say(("Let me ", "see."), STEP), "42, of course."),
    "thoughts": lambda: Stream(
        ThinkingDelta("Hm."),
        TextDelta("It is "),
        TextDelta("here."),
        Message("assistant", (Thinking("Hm."), Text("It is here.")), "stop"),
    ),
    "a silent answer asked for again": lambda: Stream(
        ThinkingDelta("Hm. Well."), Message("assistant", (Thinking("Hm. Well."),), "stop")
    ),
    "an answer that was cut and went on": lambda: ScriptedModel(
        Say(("one, tw",), Message("assistant", (Text("one, tw"),), "length")), "o, three"
    ),
    "a failure after some words": lambda: ScriptedModel(Say(("It ", "is"), error=ModelOverloaded("busy"))),
}


@pytest.mark.parametrize("name", MODELS)
async def test_a_cursor_of_the_live_line_fits_on_the_stored_one(open_harness: OpenHarness, name: str) -> None:
    """Whoever comes back after the end reads on exactly where he was."""
    harness = await open_harness(MODELS[name]())
    turn_id = await ask(harness, "Where?")
    live = await followed(harness, turn_id)
    for cursor, event in live:
        rest = await followed(harness, turn_id, cursor)
        assert isinstance(rest[-1][1], TurnEnded)
        if (
            isinstance(live[-1][1], TurnEnded)
            and live[-1][1].outcome == "done"
            and not isinstance(event, TurnEnded)
        ):
            assert text_of(rest) == text_of([other for other in live if other[0] > cursor])
            assert rest[-1] == live[-1]


async def test_a_cursor_of_a_cancelled_turn_fits_on_its_stored_line(open_harness: OpenHarness) -> None:
    harness = await open_harness(Stream(ThinkingDelta("Hm. Well."), TextDelta("It is "), TextDelta("he")))
    turn_id = await ask(harness, "Where?")
    live: Line = []
    async with asyncio.timeout(BOUND_S):
        async for batch in harness.app.store.follow(turn_id):
            live.extend(batch)
            if text_of(live) == "It is he":
                await harness.app.store.cancel(turn_id, "enough")
    assert await followed(harness, turn_id) == _joined(live)
    assert await followed(harness, turn_id, live[-1][0] - 1) == [live[-1]]


def _joined(live: Line) -> Line:
    """Return the line with neighbouring deltas of a kind made one, as the stored messages give it."""
    joined: Line = []
    for cursor, event in live:
        before = joined[-1][1] if joined else None
        if isinstance(event, TextDelta) and isinstance(before, TextDelta):
            joined[-1] = (cursor, TextDelta(before.text + event.text))
        elif isinstance(event, ThinkingDelta) and isinstance(before, ThinkingDelta):
            joined[-1] = (cursor, ThinkingDelta(before.text + event.text))
        else:
            joined.append((cursor, event))
    return joined


async def test_followers_see_the_answer_grow_and_the_tools_work(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Say(("Let me ", "see."), STEP), "42."))
    events = [event for _, event in await followed(harness, await ask(harness, "What is six times seven?"))]
    assert [type(event).__name__ for event in events] == [
        "TextDelta",
        "TextDelta",
        "MessageAdded",
        "ToolStarted",
        "ToolFinished",
        "TextDelta",
        "TextDelta",
        "MessageAdded",
        "TurnEnded",
    ]
    results = [event.message.tool_results[0].content for event in events if isinstance(event, ToolFinished)]
    assert results == ["42"]


async def test_over_twenty_turns_the_prefix_of_the_requests_is_byte_stable(open_harness: OpenHarness) -> None:
    """Through the whole house, with tools used in every third turn, while the days go by."""

    def answer(request: ModelRequest) -> Say | str:
        asked = request.messages[-1].text if request.messages[-1].role == "user" else ""
        number = sum(message.role == "user" for message in request.messages)
        return (
            call("calculate", f'{{"expression": "{number} * 2"}}', id="call_0")
            if asked and number % 3 == 0
            else f"Answer {number}."
        )

    clock, model = FakeClock(), ScriptedModel(answer)
    harness = await open_harness(model, clock=clock)
    firsts: list[bytes] = []
    for number in range(20):
        before = len(model.requests)
        end = (await followed(harness, await ask(harness, f"Question {number}, «é» and {number} more")))[-1][
            1
        ]
        assert isinstance(end, TurnEnded)
        assert end.outcome == "done"
        firsts.append(body(model.requests[before]))
        for earlier, later in pairwise(map(body, model.requests[before:])):
            assert later.startswith(earlier.removesuffix(b"]}"))
        clock.advance(86_400)
    assert len(model.requests) == 26
    for earlier, later in pairwise(firsts):
        assert later.startswith(earlier[: earlier.rindex(b'{"role":"user"')])


async def test_hello_on_a_fresh_session_stays_under_1500_tokens(open_harness: OpenHarness) -> None:
    """With all the tools that are on by default; tokenizers take more than 3.4 bytes of such JSON a token."""
    model = ScriptedModel("Hello!")
    harness = await open_harness(model)
    await followed(harness, await ask(harness, "hello"))
    assert len(body(model.requests[0])) / 3.4 <= 1_500


async def test_nothing_of_another_session_reaches_the_model(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    for key in ("wx:dm:a_b", "wx:dm:a:b", "WX:dm:a_b", ".."):
        await followed(harness, await ask(harness, f"canary of {key}", key=key))
    for request, key in zip(model.requests, ("wx:dm:a_b", "wx:dm:a:b", "WX:dm:a_b", ".."), strict=True):
        assert [message.text for message in request.messages] == [f"canary of {key}"]


async def test_a_turn_stopped_in_mid_sentence_is_remembered_as_far_as_it_came(
    open_harness: OpenHarness,
) -> None:
    model = Stream(TextDelta("It is "), TextDelta("he"))
    harness = await open_harness(model)
    turn_id = await ask(harness, "Where?")
    async with asyncio.timeout(BOUND_S):
        await model.asked.wait()
        async for batch in harness.app.store.follow(turn_id):
            if any(isinstance(event, TextDelta) and event.text == "he" for _, event in batch):
                await harness.app.store.cancel(turn_id, "enough")
    await followed(harness, await ask(harness, "Go on."))
    assert [(message.role, message.text) for message in model.requests[1].messages] == [
        ("user", "Where?"),
        ("assistant", "It is he"),
        ("user", "Go on."),
    ]


async def test_a_failed_turn_does_not_stand_in_the_way_of_the_next(open_harness: OpenHarness) -> None:
    tries = 1 + AgentSettings().max_broken
    model = ScriptedModel(*[Say(("It ",), error=ModelOverloaded("busy"))] * tries, "Here.")
    harness = await open_harness(model)
    failed = (await followed(harness, await ask(harness, "Where?")))[-1][1]
    assert isinstance(failed, TurnEnded)
    assert failed.outcome == "failed"
    events = [event for _, event in await followed(harness, await ask(harness, "Where, please?"))]
    assert [event.message.text for event in events if isinstance(event, MessageAdded)] == ["Here."]
    assert "It " not in [message.text for message in model.requests[tries].messages]


async def test_a_steering_message_joins_the_turn_between_two_steps(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("Let me see.",), STEP, before=gate), "Blue.")
    harness = await open_harness(model)
    first = await ask(harness, "Where?")
    async with asyncio.timeout(BOUND_S):
        await model.asked.wait()
    second = await ask(harness, "And its colour?", when_busy="steer")
    gate.set()
    lines = [await followed(harness, turn_id) for turn_id in (first, second)]
    assert lines[1] == [(1, TurnEnded("done"))]
    assert [message.role for message in model.requests[1].messages] == ["user", "assistant", "tool", "user"]
    assert text_of(lines[0]).endswith("Blue.")
