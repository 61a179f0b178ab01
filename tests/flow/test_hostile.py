"""Short forms of the attacks that `make hostile` makes: what one request may cost is bounded, counted in
statements, rows, calls and bytes. How long others wait is for `make hostile` to say.
"""

import asyncio
import base64
import contextlib
import gc
import json
import random
import re
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from nanobot.core.message import Message, ToolCall, Usage
from nanobot.models import answer, pace
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from nanobot.stores.sql.pieces import MOST_ROWS
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.testing import Say, ScriptedModel
from tests.asgi import BOUND_S, CHAT, Exchange
from tests.clock import PausedClock
from tests.harness import Harness, OpenHarness
from tests.upstream import HANG, Step, Upstream, chunk, finish, spoken, text
from tests.watched_database import each_statement

MIB = 1024 * 1024
A_TURN = 60
"""More statements than a short turn takes."""
pytestmark = pytest.mark.usefixtures("no_spare_work")


class Work:
    """What the store did: all its statements, and how many rows each transaction changed."""

    def __init__(self) -> None:
        self.statements = 0
        self.rows: list[int] = []


@contextlib.contextmanager
def watched(harness: Harness) -> Iterator[Work]:
    store, work = harness.app.store, Work()
    assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
    writer = store.database.connections[0]
    before = writer.total_changes

    def note(statement: str) -> None:
        nonlocal before
        # Those within another one, of a trigger or the search index, are marked as comments.
        work.statements += not statement.startswith("--")
        if statement == "COMMIT":
            work.rows.append(writer.total_changes - before)
            before = writer.total_changes

    with each_statement(store.database.connections, note):
        yield work


@contextlib.contextmanager
def memory() -> Iterator[list[int]]:
    """Yield a list that gets how many bytes were taken at most, and how many of them are kept."""
    measured: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        yield measured
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
        measured += (peak, kept)
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def scanned(harness: Harness) -> Iterator[list[str]]:
    """Yield a list that gets the statements of the threads for what takes long or is large."""
    store, asked = harness.app.store, list[str]()
    assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
    with each_statement(store.database.connections[2:], asked.append):
        yield asked


def said(count: int) -> list[dict[str, object]]:
    return [
        {"role": "assistant" if number % 2 else "user", "content": f"number {number}"}
        for number in range(count)
    ]


# What is refused costs nothing and leaves nothing ---------------------------------------------------

SCHEMA = {
    "$defs": {
        **{f"a{n}": {"oneOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(20)},
        "a20": {"type": "array"},
    },
    "$ref": "#/$defs/a0",
    "unevaluatedItems": False,
}
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a message beyond any window": (
        {"messages": [{"role": "user", "content": "x" * 3 * MIB}]},
        "context_length",
    ),
    "a message beyond any window, and a short one": (
        {"messages": [{"role": "user", "content": "x" * 3 * MIB}, {"role": "user", "content": "so?"}]},
        "context_length",
    ),
    "a result beyond any window": (
        {
            "messages": [
                {"role": "user", "content": "go"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": "x" * 3 * MIB},
            ]
        },
        "context_length",
    ),
    "instructions beyond any window": (
        {"messages": [{"role": "system", "content": "x" * 3 * MIB}, {"role": "user", "content": "go"}]},
        "context_length",
    ),
    "too many messages": ({"messages": said(10_001)}, "max_messages"),
    "too many new messages": ({"messages": [{"role": "user", "content": "x"}] * 300}, "max_new_messages"),
    "too many parts of a message": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 2_000}]},
        "1000 are allowed",
    ),
    "too many calls of a message": (
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": f"c{n}", "type": "function", "function": {"name": "f"}} for n in range(2_000)
                    ],
                },
                {"role": "user", "content": "go on"},
            ]
        },
        "1000 are allowed",
    ),
    "a long text to stop at": ({"messages": said(1), "stop": ["x", "x" * MIB]}, "1000 characters"),
    "too many values": ({"messages": said(1), "metadata": {"a": [0] * 200_000}}, "max_json_entries"),
    "too many tools": (
        {"messages": said(1), "tools": [{"type": "function", "function": {"name": "f"}}] * 200},
        "max_tools",
    ),
    "a name of the user without end": ({"messages": said(1), "user": "u" * MIB}, "user has"),
    "a schema that multiplies": (
        {
            "messages": said(1),
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        },
        "response_format.schema",
    ),
}


@pytest.mark.parametrize("refused", REFUSED)
async def test_a_request_that_is_refused_writes_nothing_and_keeps_nothing(
    open_harness: OpenHarness, refused: str
) -> None:
    fields, words = REFUSED[refused]
    harness = await open_harness(ScriptedModel("ok"))
    body = json.dumps({"model": "nanobot", **fields}).encode()

    async def ask() -> Exchange:
        return await harness.door.call("POST", CHAT, body=body, headers={"x-session-key": "a"})

    assert (await ask()).status == 400
    with watched(harness) as work, memory() as measured:
        for _ in range(3):
            reply = await ask()
        # A thread that has decoded a body lets go of it only when it gets to run again.
        for _ in range(3):
            await asyncio.to_thread(gc.collect)
    assert reply.status == 400 and words in reply.text
    # One: of the store's own upkeep.
    assert sum(work.rows) <= 1
    assert work.statements <= A_TURN
    peak, kept = measured
    assert kept < 300_000, "the last reply, and nothing of the body"
    assert peak < 6 * len(body) + 2 * MIB
    assert (await harness.door.get("/v1/sessions/a")).status == 404


async def test_no_route_decodes_a_body_with_more_values_than_may_be(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok", "ok"))
    await harness.door.chat("k", "hi")
    paths: dict[str, dict[str, Any]] = (await harness.door.get("/openapi.json")).json["paths"]
    routes = [
        (method.upper(), re.sub(r"\{.*?\}", "k", path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(routes) > 12
    body = b'{"model":"nanobot","x":[%b0]}' % (b"0," * MIB)
    for method, path in routes:
        with memory() as measured:
            reply = await harness.door.call(method, path, body=body, headers={"x-session-key": "k"})
        # What the route is about may be missing, which needs no body.
        assert reply.status in (400, 404), (method, path, reply.text)
        assert reply.status == 404 or "api.max_json_entries" in reply.text, (method, path, reply.text)
        assert measured[0] < 8 * len(body), (method, path)


async def test_a_body_with_more_values_than_may_be_is_not_decoded(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    body = b'{"model":"nanobot","messages":[%b0]}' % (b"0," * 2 * MIB)
    with memory() as measured:
        reply = await harness.door.post(body)
    assert reply.status == 400
    # Decoded, each value would take eight bytes and more for two of text.
    assert measured[0] < 3 * len(body)


# What is long is stored in pieces -------------------------------------------------------------------


async def test_a_long_list_and_an_import_are_stored_in_pieces(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    export = b'{"format":"nanobot.session","version":2}\n' + b'{"role":"user","content":"x"}\n' * 2_000
    with watched(harness) as work:
        replies = [
            await harness.door.chat("long", [*said(2_000), {"role": "user", "content": "so?"}]),
            await harness.door.call("POST", "/v1/sessions/imported/import", body=export),
            await harness.door.call("POST", "/v1/sessions/long/fork", body=b'{"key":"fork"}'),
            await harness.door.call("DELETE", "/v1/sessions/imported"),
        ]
    assert [reply.status for reply in replies] == [200] * 4
    assert sum(work.rows) > 6_000
    assert max(work.rows) <= 3 * MOST_ROWS, "rows of a piece: the message, and what belongs to it"


async def test_a_turn_costs_the_same_behind_much_that_was_said(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    await harness.door.chat("long", [*said(4_000), {"role": "user", "content": "so?"}])
    # What so much is owed once, in pieces: its summary, and its rows in the search index.
    await harness.app.compactor.settled()
    for _ in range(4_000):
        if "x-search" not in (await harness.door.get("/v1/sessions?q=number")).headers:
            break
    with watched(harness) as work:
        assert (await harness.door.chat("long", "and now?")).status == 200
    assert work.statements <= A_TURN
    assert sum(work.rows) <= 20


IMAGE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(3 * MIB)).decode()


async def test_what_is_large_in_a_conversation_is_read_by_a_thread_beside_the_one_that_writes(
    open_harness: OpenHarness,
) -> None:
    """If the one that writes read it, each turn of the conversation would hold up those of all others."""
    harness = await open_harness(ScriptedModel(*["ok"] * 4))
    parts = [{"type": "text", "text": "this"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    await harness.door.chat("a", [{"role": "user", "content": parts}])
    await harness.app.compactor.settled()
    with scanned(harness) as asked:
        await harness.door.chat("a", "and now?")
        await harness.door.chat("b", "hello")
        await harness.door.chat("b", "hello again")
    assert len([statement for statement in asked if "length(body) size" in statement]) == 1


async def test_a_turn_whose_conversation_is_large_does_not_wait_for_what_takes_long(
    open_harness: OpenHarness,
) -> None:
    """A long list that is compared, a search through all sessions, the export of a person."""
    harness = await open_harness(ScriptedModel(*["ok"] * 2))
    store = harness.app.store
    assert isinstance(store, SqlStore)
    parts = [{"type": "text", "text": "this"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    await harness.door.chat("a", [{"role": "user", "content": parts}])
    await harness.app.compactor.settled()
    is_over = threading.Event()
    long = asyncio.ensure_future(store.database.scan(lambda _: is_over.wait(2 * BOUND_S)))
    try:
        async with asyncio.timeout(BOUND_S):
            assert (await harness.door.chat("a", "and now?")).status == 200
        assert not long.done()
    finally:
        is_over.set()
        await long


async def test_long_lists_are_compared_by_the_thread_that_scans(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(*["ok"] * 3))
    store = harness.app.store
    assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
    await harness.door.chat("long", [*said(4_000), {"role": "user", "content": "so?"}])
    await harness.app.compactor.settled()
    asked: list[str] = []
    other = [{"role": each["role"], "content": f"other {each['content']}"} for each in said(4_000)]
    sent: list[dict[str, Any]] = [*other[:2_000], *said(10), {"role": "user", "content": "so?"}]
    with each_statement(store.database.connections[:1], asked.append):
        reply = await harness.door.chat("long", sent)
    assert reply.headers["x-history"] == "replaced"
    assert not any("digest IN" in statement for statement in asked)


async def test_a_body_in_pieces_is_put_together_as_it_comes(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    body = json.dumps({"model": "nanobot", "x": "x" * 4 * MIB, "messages": said(1)}).encode()
    exchange = harness.door.start("POST", CHAT, body=None, headers={"x-session-key": "a"})
    with memory() as measured:
        for start in range(0, len(body), MIB // 4):
            exchange.feed(body[start : start + MIB // 4], more=start + MIB // 4 < len(body))
        assert (await exchange.done()).status == 200
    # What was fed, and what it is put together to.
    assert measured[0] < 3 * len(body) + MIB


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, lambda text: {"messages": [*said(1), {"role": "assistant", "content": text}, *said(1)]}),
        (
            "/v1/responses",
            lambda text: {"input": [*said(1), {"role": "assistant", "content": text}, *said(1)]},
        ),
        ("/v1/conversations", lambda text: {"items": [{"role": "user", "content": text}]}),
    ],
)
async def test_no_message_that_is_taken_in_has_more_text_than_may_be(
    open_harness: OpenHarness, path: str, fields: Callable[[str], dict[str, object]]
) -> None:
    """All later turns would read it, and everything that compares it takes as long as it is."""
    harness = await open_harness(ScriptedModel("ok"), api={"max_text_chars": 2_000_000})
    for size, status in ((2_000_000, 200), (2_000_001, 400)):
        reply = await harness.door.call(
            "POST",
            path,
            body=json.dumps({"model": "nanobot", **fields("x" * size)}).encode(),
            headers={"x-session-key": f"k{size}"},
        )
        assert reply.status == status, reply.text
    assert "api.max_text_chars" in reply.error["message"]


HEADER = b'{"format":"nanobot.session","version":2}\n'


@pytest.mark.parametrize(
    ("export", "words"),
    [
        (b'{"x":' + b"[" * 100_000, "it is not JSON"),
        (b'{"format":"nanobot.session","x":"' + b"x" * MIB + b'"}', "at most 131072"),
        (HEADER + b'{"x":' + b"[" * 100_000, "it is not JSON"),
        (HEADER + b'{"role":"user","x":[' + b"0," * 200_000 + b"0]}", "api.max_json_entries"),
        (HEADER + b'{"role":"user","content":"' + b"x" * 1_000_001 + b'"}', "api.max_text_chars"),
    ],
)
async def test_a_line_of_an_import_is_bounded(open_harness: OpenHarness, export: bytes, words: str) -> None:
    harness = await open_harness()
    reply = await harness.door.call("POST", "/v1/sessions/a/import", body=export)
    assert reply.status == 400 and words in reply.error["message"]
    assert (await harness.door.get("/v1/sessions/a")).status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "m" * MIB, "messages": said(1)},
        {"model": "nanobot", "messages": "x" * MIB},
        {"model": "nanobot", "messages": [{"role": "user", "content": "x", "name": "n" * MIB}]},
        {"model": "nanobot", "messages": [{"role": "r" * MIB, "content": "x"}]},
        {"model": "nanobot", "messages": said(1), "temperature": "x" * MIB},
        {"model": "nanobot", "messages": said(1), "metadata": {"a": "x" * MIB}},
        {"model": "nanobot", "messages": said(1), "tools": [{"type": "function", "function": "x" * MIB}]},
        {"model": "nanobot", "messages": said(1), "reasoning_effort": "x" * MIB},
        {"model": "nanobot", "messages": said(1), "stop": ["x"] * 90_000},
    ],
)
async def test_a_refusal_does_not_say_all_that_is_refused(
    open_harness: OpenHarness, fields: dict[str, object]
) -> None:
    harness = await open_harness()
    reply = await harness.door.call(
        "POST", CHAT, body=json.dumps(fields).encode(), headers={"x-session-key": "a"}
    )
    assert reply.status in (400, 404) and len(reply.text) < 1_000


# Models that do not stop ------------------------------------------------------------------------------


async def test_of_very_many_calls_a_few_run(open_harness: OpenHarness) -> None:
    calls = tuple(ToolCall(f"c{number}", "calculate", '{"expression":"1+1"}') for number in range(1_000))
    model = ScriptedModel(Say(message=Message("assistant", calls, "tool_calls", Usage(1, 1))), "done")
    harness = await open_harness(model)
    with watched(harness) as work:
        assert (await harness.door.chat("a", "go")).said == "done"
    results = [part for message in model.requests[-1].messages for part in message.tool_results]
    assert sum(not each.is_error for each in results) <= 64
    # Each of the other results is a row, but none has a statement of its own for being started or run.
    assert work.statements <= 4 * len(calls)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


EMPTY = chunk({"content": ""})
ENDLESS: dict[str, tuple[Step, ...]] = {
    "comments": (b": ping\n\n" * 1_000,),
    "empty events": (EMPTY * 100,),
    "other choices": (
        b'data: {"id":"x","choices":[%b]}\n\n'
        % b",".join(b'{"index":%d,"delta":{"content":"x"}}' % number for number in range(1, 1_000)),
    ),
    "unknown fields": (chunk({"content": ""}, padding="x" * 10_000),),
}


@pytest.mark.parametrize("endless", ENDLESS)
async def test_a_provider_that_says_nothing_without_end_is_hung_up_on(
    upstream: Upstream, open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, endless: str
) -> None:
    monkeypatch.setattr(answer, "MAX_SILENT_BYTES", 200_000)
    (piece,) = ENDLESS[endless]
    assert isinstance(piece, bytes)
    harness = await open_harness(_model(upstream))
    for _ in range(8):
        upstream.then(spoken(text("So"), *[piece] * (1_000_000 // len(piece)), HANG))
    reply = await harness.door.chat("a", "hi")
    assert reply.status == 502 and "bytes that say" in reply.text


async def test_calls_with_nothing_in_them_count(upstream: Upstream, open_harness: OpenHarness) -> None:
    calls = [
        chunk({"tool_calls": [{"index": n, "id": f"c{n}", "type": "function", "function": {"name": "n"}}]})
        for n in range(2_000)
    ]
    for _ in range(8):
        upstream.then(spoken(*calls, HANG))
    harness = await open_harness(_model(upstream, max_answer_chars=10_000))
    reply = await harness.door.chat("a", "hi")
    assert reply.status == 502 and "model.max_answer_chars" in reply.text


async def test_an_answer_of_single_characters_is_no_such_answer(
    upstream: Upstream, open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "MAX_SILENT_BYTES", 1_000)
    upstream.then(spoken(*[text("x")] * 3_000, finish()))
    harness = await open_harness(_model(upstream))
    assert (await harness.door.chat("a", "hi")).said == "x" * 3_000


async def test_an_answer_that_comes_faster_than_a_model_writes_is_read_with_pauses(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    clock = PausedClock()
    upstream.then(spoken(*[text("word " * 2_000)] * 80, finish()))
    harness = await open_harness(_model(upstream, clock=clock))
    assert len((await harness.door.chat("a", "hi")).said) == 800_000
    # The test's clock lets them pass at once, so that each is that much longer than the one before.
    assert max(clock.pauses) == pytest.approx(800_000 / pace.CHARS_A_SECOND, rel=0.5)


async def test_an_answer_that_a_fast_model_writes_is_read_as_it_comes(
    upstream: Upstream, open_harness: OpenHarness
) -> None:
    clock = PausedClock()
    upstream.then(spoken(*[text("word ")] * 2_000, finish()))
    harness = await open_harness(_model(upstream, clock=clock))
    assert len((await harness.door.chat("a", "hi")).said) == 10_000
    assert not any(clock.pauses)


def _model(
    upstream: Upstream, max_answer_chars: int = 1_000_000, clock: PausedClock | None = None
) -> OpenAIChat:
    return OpenAIChat(
        RemoteSettings(
            name="test:m",
            model="m",
            base_url=upstream.url,
            api_key=None,
            context_tokens=32_000,
            max_answer_chars=max_answer_chars,
        ),
        clock=clock or PausedClock(),
        random=random.Random(1),
    )


# Watchers -----------------------------------------------------------------------------------------------


async def test_watchers_of_a_session_share_what_they_watch(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Say(tuple("word " * 2_000)))
    harness = await open_harness(model)
    await harness.door.chat("a", "hello")
    watchers = [harness.door.start("GET", "/v1/sessions/a/events") for _ in range(50)]
    for watcher in watchers:
        await watcher.begun()
    with watched(harness) as work:
        await harness.door.chat("a", "go")
        await asyncio.gather(*(watcher.until("turn_ended") for watcher in watchers))
    assert work.statements <= 2 * A_TURN, "however many watch"
