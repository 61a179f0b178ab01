"""Long conversations: their beginning is summarised in the background, and no turn loses its task."""

import asyncio
from itertools import pairwise
from typing import Any

from nanobot.core.model import ModelRequest
from nanobot.engine.step_summaries import MOST_WAITED_S
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import Exchange
from tests.harness import Harness, OpenHarness

WINDOW = {"window_tokens": 4_096}
FILLER = "Tell me a little about the weather in the mountains, and then some more. " * 8


class Remembering:
    """A script that answers each question with a long text, and each wish for a summary with `summary`."""

    def __init__(self, summary: str = "", answer: str = "The weather is fine. " * 40) -> None:
        self.summary = summary
        self.answer = answer
        self.asked_to_summarise: list[ModelRequest] = []

    def __call__(self, request: ModelRequest) -> str | Say:
        if is_for_summary(request):
            self.asked_to_summarise.append(request)
            return self.summary
        return self.answer


def is_for_summary(request: ModelRequest) -> bool:
    return request.system.startswith("Below is the beginning of a conversation")


def answered(model: ScriptedModel) -> list[ModelRequest]:
    """Return the requests of turns: those for summaries come between them at any time."""
    return [request for request in model.requests if not is_for_summary(request)]


async def talk(harness: Harness, key: str, *texts: str, **fields: Any) -> list[Exchange]:
    replies = []
    for text in texts:
        replies.append(await harness.door.chat(key, text, **fields))
        assert replies[-1].status == 200, replies[-1].text
        await harness.app.compactor.settled()
    return replies


def fillers(count: int) -> list[str]:
    return [f"{number}. {FILLER}" for number in range(count)]


async def test_the_summary_stands_before_the_newest_messages_from_the_next_turn_on(
    open_harness: OpenHarness,
) -> None:
    script = Remembering("Carol lives in Rome; her booking is AB-12X.")
    model = ScriptedModel(script)
    harness = await open_harness(model, agent=WINDOW)
    said = "My name is Carol, I live in Rome and my booking is AB-12X."
    await talk(harness, "a", said, *fillers(9), "And now?")
    assert script.asked_to_summarise, "the conversation was never summarised"
    assert said in script.asked_to_summarise[0].messages[0].text
    answered = [request for request in model.requests if request not in script.asked_to_summarise]
    shown = answered[-1].messages
    assert "Carol lives in Rome" in shown[0].text
    assert shown[-1].text == "And now?"
    assert not any(said in message.text for message in shown[1:])
    transcript = await harness.door.get("/v1/sessions/a/messages?limit=100")
    assert transcript.json["data"][0]["content"] == said, "the transcript was rewritten"
    assert len(transcript.json["data"]) == 22


async def test_what_is_out_of_sight_is_said(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Remembering("All was fine.")), agent=WINDOW)
    first, *_, last = await talk(harness, "a", "hi", *fillers(9))
    assert "x-context" not in first.headers
    seen = dict(each.split("=") for each in last.headers["x-context"].split(", "))
    assert int(seen["summarised"]) > 0
    assert int(seen["left-out"]) == 0
    assert sum(map(int, seen.values())) == 19
    details = last.json["usage"]["context_details"]
    assert details == {
        "messages_in_view": int(seen["in-view"]),
        "messages_summarised": int(seen["summarised"]),
        "messages_left_out": 0,
    }


async def test_without_summaries_the_oldest_messages_are_left_out_and_that_is_said(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel(Remembering()), agent=WINDOW, compaction={"enabled": False})
    last = (await talk(harness, "a", *fillers(14)))[-1]
    seen = dict(each.split("=") for each in last.headers["x-context"].split(", "))
    assert int(seen["left-out"]) > 0
    assert int(seen["summarised"]) == 0


async def test_a_summary_that_lacks_facts_is_asked_for_again_and_then_completed_with_the_users_words(
    open_harness: OpenHarness,
) -> None:
    script = Remembering("They talked about the weather.")
    model = ScriptedModel(script)
    harness = await open_harness(model, agent=WINDOW)
    await talk(harness, "a", "My locker has the number 4711 and the code is XK-99.", *fillers(9), "And now?")
    assert "4711" in script.asked_to_summarise[1].messages[0].text.rpartition("left out:")[2]
    assert "4711 and the code is XK-99" in answered(model)[-1].messages[0].text


async def test_facts_survive_one_summary_after_another(open_harness: OpenHarness) -> None:
    script = Remembering("They talked about the weather.")
    model = ScriptedModel(script)
    harness = await open_harness(model, agent=WINDOW)
    await talk(harness, "a", "My sister is called Zora Quill, born on 1988-04-02.", *fillers(40), "Who?")
    assert len(script.asked_to_summarise) >= 6
    assert "Zora Quill" in answered(model)[-1].messages[0].text


async def test_the_next_turn_does_not_wait_for_a_summary(open_harness: OpenHarness) -> None:
    release = asyncio.Event()

    def script(request: ModelRequest) -> str | Say:
        if request.system.startswith("Below is the beginning"):
            return Say(("All was fine.",), before=release)
        return "The weather is fine. " * 40

    harness = await open_harness(ScriptedModel(script), agent=WINDOW)
    for text in fillers(4):
        assert (await harness.door.chat("a", text)).status == 200
    assert harness.app.compactor.is_writing("a")
    release.set()
    await harness.app.compactor.settled()


async def test_a_summary_that_hangs_holds_up_no_turn_for_long(open_harness: OpenHarness) -> None:
    release = asyncio.Event()

    def script(request: ModelRequest) -> str | Say:
        if is_for_summary(request):
            return Say(("All was fine.",), before=release)
        return "The weather is fine. " * 40

    clock = FakeClock()
    harness = await open_harness(ScriptedModel(script), agent=WINDOW, clock=clock)
    for text in fillers(4):
        assert (await harness.door.chat("a", text)).status == 200
    waiting = asyncio.ensure_future(harness.door.chat("a", f"5. {FILLER * 3}"))
    while MOST_WAITED_S not in clock.slept:
        await asyncio.sleep(0)
    clock.advance(MOST_WAITED_S)
    assert "summarised=0" in (await waiting).headers["x-context"]
    late = await harness.door.chat("a", f"6. {FILLER * 3}")
    assert late.status == 200
    assert harness.app.compactor.is_writing("a")
    release.set()
    await harness.app.compactor.settled()


async def test_what_has_gone_out_of_view_is_in_the_index_before_the_next_turn_looks_for_it(
    open_harness: OpenHarness,
) -> None:
    script = Remembering("They talked about the weather.")
    harness = await open_harness(ScriptedModel(script), agent=WINDOW)
    store = harness.app.store
    assert isinstance(store, SqlStore)
    summaries = 0
    for text in fillers(20):
        await talk(harness, "a", text)
        if len(script.asked_to_summarise) > summaries:
            summaries = len(script.asked_to_summarise)
            last, indexed = await store.database.read(
                lambda db: db.execute(
                    "SELECT max(c.last_seq), s.indexed_seq FROM session s, compaction c"
                ).fetchone()
            )
            assert indexed >= last
    assert summaries > 1


async def test_the_provider_is_paid_for_summaries_by_the_session(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Remembering("All was fine.")), agent=WINDOW)
    await talk(harness, "a", *fillers(8))
    used = (await harness.door.get("/v1/sessions/a/usage")).json["totals"]
    assert used["turns"] == 8
    assert used["steps"] > 8


async def test_a_session_that_was_rewound_before_its_summary_has_none(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Remembering("SECRET of the dropped line."))
    harness = await open_harness(model, agent=WINDOW)
    await talk(harness, "a", *fillers(9))
    await harness.door.call("POST", "/v1/sessions/a/rewind", body=b'{"message_id": "msg_2"}')
    await talk(harness, "a", "And now?")
    assert not any("SECRET" in message.text for message in answered(model)[-1].messages)


async def test_a_summary_goes_with_its_session(open_harness: OpenHarness) -> None:
    script = Remembering("SECRET of the deleted one.")
    model = ScriptedModel(script)
    harness = await open_harness(model, agent=WINDOW)
    await talk(harness, "a", *fillers(9))
    await harness.door.call("DELETE", "/v1/sessions/a")
    # The new one may be long enough for a summary of its own.
    script.summary = "All was fine."
    await talk(harness, "a", *fillers(3), "And now?")
    assert not any("SECRET" in message.text for message in answered(model)[-1].messages)


async def test_truncation_disabled_shows_all_or_nothing(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Remembering("All was fine."))
    # Five of them just fit: tools would take the room for one.
    harness = await open_harness(model, agent={**WINDOW, "tools": []})
    await talk(harness, "a", *fillers(5))
    body = b'{"model": "nanobot", "input": "And now?", "truncation": "disabled"}'
    reply = await harness.door.call("POST", "/v1/responses", body=body, headers={"x-session-key": "a"})
    assert reply.status == 200, reply.text
    assert len(answered(model)[-1].messages) == 11


async def test_what_the_model_reads_begins_as_it_did_the_turn_before(open_harness: OpenHarness) -> None:
    """With tools and summaries, at least nine tenths of what is sent over 50 turns was sent before."""
    script = Remembering("Carol lives in Rome; her booking is AB-12X.")
    sums = 0

    def answer(request: ModelRequest) -> str | Say:
        nonlocal sums
        if request.messages[-1].role == "user" and request.messages[-1].text.startswith("sum"):
            sums += 1
            return call("calculate", f'{{"expression": "{sums} + 1"}}')
        return script(request)

    model = ScriptedModel(answer)
    harness = await open_harness(model, agent={"window_tokens": 20_000})
    for number in range(50):
        text = f"sum {number}" if number % 5 == 0 else f"{number}. {FILLER}"
        await talk(harness, "a", text)
    assert script.asked_to_summarise
    asked = [request for request in model.requests if request not in script.asked_to_summarise]
    sent = [read_in_order(request) for request in asked]
    shared = sum(shared_start(one, other) for one, other in pairwise(sent))
    assert shared >= 0.9 * sum(map(len, sent[1:]))


def shared_start(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    differing = (at for at, (mine, its) in enumerate(zip(one, other, strict=False)) if mine != its)
    return next(differing, min(len(one), len(other)))


def read_in_order(request: ModelRequest) -> str:
    """Return the request as a model reads it: what changes with each turn stands at the end."""
    tools = "".join(tool.name + tool.description + bytes(tool.parameters).decode() for tool in request.tools)
    return "".join([request.system, tools, *map(repr, request.messages), request.notes])
