"""Answers as they go over the wire, byte for byte: `golden/*.http`, with ids and times replaced.

`NANOBOT_GOLDEN=write python -m pytest tests/wire` writes the files anew; read the difference before you
commit it.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.errors import ModelOverloaded, ModelRateLimited
from nanobot.core.message import Message, Text, Thinking, ToolCall, Usage
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import ABSENT, BOUND_S, CHAT, Exchange
from tests.forms import form, send_form
from tests.harness import Harness, OpenHarness

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = {"key": None, "max_body_mb": 0.001, "max_queue": 1}
DETAILED = Usage(120, 45, 100, 30)
ALICE = "/v1/sessions/wx%3Adm%3Auser_alice"
UNTYPED: list[dict[str, Any]] = [{"role": "user", "content": "hello"}, {"role": "user", "content": 7}]


def normal(exchange: Exchange) -> str:
    """Return the answer as text: status, headers in order, body; what differs from run to run is replaced."""
    head = [
        str(exchange.status),
        *(f"{name}: {value}" for name, value in exchange.headers.items() if name != "content-length"),
    ]
    text = "\n".join(head) + "\n\n" + exchange.text
    text = re.sub(r"(turn_|req_|chatcmpl-|file-)[0-9a-z]{26}", r"\1ID", text)
    text = re.sub(r'"created":1800000000\b', '"created":NOW', text)
    text = re.sub(r'"created_at":1800000000,"expires_at":\d+', '"created_at":NOW,"expires_at":LATER', text)
    return re.sub(r'"(created_at|updated_at|started_at|ended_at)":1800000000\.0', r'"\1":NOW', text)


async def uploaded(harness: Harness) -> Exchange:
    return await send_form(
        harness.door,
        "/v1/files",
        form(("purpose", "user_data"), ("file", ("a.txt", b"hello"))),
        "wx:dm:user_alice",
    )


async def listed(harness: Harness) -> Exchange:
    await uploaded(harness)
    return await harness.door.get("/v1/files", {"x-session-key": "wx:dm:user_alice"})


async def broken_file(harness: Harness) -> Exchange:
    return await send_form(
        harness.door, CHAT, form(("message", "read"), ("files", ("a.pdf", b"%PDF-"))), "wx:dm:user_alice"
    )


Scene = Callable[[Harness], Awaitable[Exchange]]


def ask(
    text: str | list[dict[str, Any]] = "hello", headers: dict[str, str] | None = None, **fields: object
) -> Scene:
    return lambda harness: harness.door.chat("wx:dm:user_alice", text, headers, **fields)


def get(path: str) -> Scene:
    return lambda harness: harness.door.get(path)


async def turn_of(harness: Harness) -> Exchange:
    return await harness.door.get(
        f"/v1/turns/{(await harness.door.chat('wx:dm:user_alice', 'hello')).turn_id}"
    )


async def resumed(harness: Harness) -> Exchange:
    return await harness.door.get(
        f"/v1/turns/{(await harness.door.chat('wx:dm:user_alice', 'hello')).turn_id}/stream?after=5"
    )


async def cancelled(harness: Harness) -> Exchange:
    exchange = harness.door.chatting("wx:dm:user_alice", "hello", stream=True)
    await exchange.until("Once upon")
    reply = await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    await exchange.done()
    return reply


async def interrupted(harness: Harness) -> Exchange:
    exchange = harness.door.chatting("wx:dm:user_alice", "hello", stream=True)
    await exchange.until("Once upon")
    await harness.door.call("POST", f"/v1/turns/{exchange.turn_id}/cancel")
    return await exchange.done()


async def refused_for(harness: Harness, policy: str, waiting: int) -> Exchange:
    """Answer a request that finds a turn running and `waiting` others in the queue."""
    exchanges = [harness.door.chatting("wx:dm:user_alice", "hello")]
    async with asyncio.timeout(BOUND_S):
        while not harness.app.engine.running:
            await asyncio.sleep(0)
    exchanges.extend(harness.door.chatting("wx:dm:user_alice", "next") for _ in range(waiting))
    await harness.app.store.check()
    return await harness.door.chat("wx:dm:user_alice", "hello", {"x-when-busy": policy})


async def reused(harness: Harness) -> Exchange:
    await harness.door.chat("wx:dm:user_alice", "hello", {"idempotency-key": "k1"})
    return await harness.door.chat("wx:dm:user_alice", "other", {"idempotency-key": "k1"})


async def replaced(harness: Harness) -> Exchange:
    await harness.door.chat("wx:dm:user_alice", "hello")
    return await ask(
        [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "never said"},
            {"role": "user", "content": "y"},
        ]
    )(harness)


async def watched(harness: Harness) -> Exchange:
    await harness.door.chat("wx:dm:user_alice", "hello")
    exchange = harness.door.start("GET", f"{ALICE}/events")
    await exchange.begun()
    await harness.door.chat("wx:dm:user_alice", "6*7?")
    await exchange.until("event: turn_ended")
    exchange.disconnect()
    return await exchange.done()


def after_hello(method: str, rest: str, body: bytes = b"", path: str | None = None) -> Scene:
    """Say hello, then call the session."""

    async def scene(harness: Harness) -> Exchange:
        await harness.door.chat("wx:dm:user_alice", "hello")
        return await harness.door.call(method, (path or ALICE) + rest, body=body)

    return scene


def thinking() -> ScriptedModel:
    message = Message("assistant", (Thinking("Hm."), Text("Yes.")), "stop", DETAILED)
    return ScriptedModel(Say(("Yes.",), message))


def stepping() -> ScriptedModel:
    calls = Message(
        "assistant",
        (Text("Let me see."), ToolCall("c1", "calculate", '{"expression":"6*7"}')),
        "tool_calls",
        Usage(10, 5),
    )
    return ScriptedModel(Say(("Let me ", "see."), calls), "It is 42.")


def holding() -> ScriptedModel:
    return ScriptedModel(Say(("Once upon", " a time"), between=asyncio.Event()))


def calculating() -> ScriptedModel:
    return ScriptedModel("Hello there", call("calculate", '{"expression":"6*7"}'), "It is 42.")


def hello() -> ScriptedModel:
    return ScriptedModel("Hello there")


SCENES: dict[str, tuple[Callable[[], ScriptedModel], Scene]] = {
    "completion": (hello, ask()),
    "completion_with_thoughts": (thinking, ask()),
    "completion_in_steps": (stepping, ask("6*7?")),
    "completion_cut_by_length": (
        lambda: ScriptedModel(
            Say(("half an",), Message("assistant", (Text("half an"),), "length", Usage(10, 2)))
        ),
        ask(max_tokens=2),
    ),
    "completion_history_replaced": (hello, replaced),
    "stream": (hello, ask(stream=True)),
    "stream_with_usage": (hello, ask(stream=True, stream_options={"include_usage": True})),
    "stream_in_steps": (stepping, ask("6*7?", stream=True)),
    "stream_with_tool_events": (stepping, ask("6*7?", {"x-events": "tools"}, stream=True)),
    "stream_of_odd_text": (lambda: ScriptedModel('"\\\n\u2028🦜</script>'), ask(stream=True)),
    "stream_failed_after_first_byte": (
        lambda: ScriptedModel(Say(("Hel", "lo"), error=ModelOverloaded("overloaded"))),
        ask(stream=True),
    ),
    "stream_failed_before_first_byte": (
        lambda: ScriptedModel(ModelRateLimited("slow down", retry_after_s=2)),
        ask(stream=True),
    ),
    "stream_interrupted": (holding, interrupted),
    "stream_resumed": (hello, resumed),
    "turn": (hello, turn_of),
    "turn_cancelled": (holding, cancelled),
    "turn_not_found": (hello, get("/v1/turns/turn_x")),
    "failure_in_tool_step": (
        lambda: ScriptedModel(call("calculate", '{"expression":"1"}'), ModelOverloaded("overloaded")),
        ask(),
    ),
    "models": (hello, get("/v1/models")),
    "model": (hello, get("/v1/models/nanobot")),
    "model_not_found": (hello, ask(model="gpt-9")),
    "health": (hello, get("/health")),
    "ready": (hello, get("/ready")),
    "file": (hello, uploaded),
    "file_list": (hello, listed),
    "error_file_not_found": (
        hello,
        lambda harness: harness.door.get("/v1/files/file-1", {"x-session-key": "wx:dm:user_alice"}),
    ),
    "error_unreadable_file": (hello, broken_file),
    "sessions": (hello, after_hello("GET", "", path="/v1/sessions")),
    "sessions_found": (hello, after_hello("GET", "?q=there", path="/v1/sessions")),
    "session": (hello, after_hello("POST", "", b'{"title":"Greetings","metadata":{"k":"v"}}')),
    "session_messages": (hello, after_hello("GET", "/messages")),
    "session_branches": (hello, after_hello("GET", "/branches")),
    "session_fork": (hello, after_hello("POST", "/fork", b'{"message_id":"msg_1","key":"wx:dm:fork"}')),
    "session_rewind": (hello, after_hello("POST", "/rewind", b'{"message_id":"msg_1"}')),
    "session_export": (hello, after_hello("GET", "/export")),
    "session_events": (calculating, watched),
    "session_deleted": (hello, after_hello("DELETE", "")),
    "session_not_found": (hello, get("/v1/sessions/nobody")),
    "error_message_not_found": (hello, after_hello("POST", "/rewind", b'{"message_id":"msg_9"}')),
    "error_session_exists": (hello, after_hello("POST", "/fork", b'{"key":"wx:dm:user_alice"}')),
    "error_bad_import": (
        hello,
        lambda harness: harness.door.call(
            "POST", "/v1/sessions/x/import", body=b'{"format":"nanobot.session","version":1}\n{"role":7}'
        ),
    ),
    "error_no_session_key": (hello, ask(headers={"x-session-key": ABSENT})),
    "error_bad_session_key": (hello, ask(headers={"x-session-key": "nanobot:x"})),
    "error_no_json": (hello, lambda harness: harness.door.post(b"hello")),
    "error_no_model": (hello, lambda harness: harness.door.post({"messages": []})),
    "error_no_user_message": (hello, ask([{"role": "system", "content": "x"}])),
    "error_malformed_message": (hello, ask(UNTYPED)),
    "error_out_of_range": (hello, ask(temperature=7)),
    "error_unsupported": (hello, ask(n=2)),
    "error_too_large": (hello, ask("x" * 2000)),
    "error_not_found": (hello, get("/v2")),
    "error_origin": (hello, ask(headers={"origin": "https://evil.example"})),
    "error_busy": (holding, lambda harness: refused_for(harness, "reject", 0)),
    "error_queue_full": (holding, lambda harness: refused_for(harness, "queue", 1)),
    "error_idempotency": (hello, reused),
}


@pytest.mark.parametrize("name", SCENES)
async def test_an_answer_is_byte_for_byte_what_it_was(open_harness: OpenHarness, name: str) -> None:
    model, scene = SCENES[name]
    harness = await open_harness(model(), clock=FakeClock(), seed=1, api=SETTINGS)
    shown = normal(await scene(harness))
    path = GOLDEN / f"{name}.http"
    if os.environ.get("NANOBOT_GOLDEN") == "write":
        path.write_text(shown, encoding="utf-8", newline="")
    assert shown == path.read_text(encoding="utf-8")


async def test_without_streaming_the_eighth_example_is_answered_as_it_is_quoted(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(api={"stream": False})
    reply = await ask(stream=True)(harness)
    assert normal(reply) == (
        "400\ncontent-type: application/json\nx-request-id: req_ID\n\n"
        '{"error":{"message":"stream=true is not supported yet. Set stream=false or omit it.",'
        '"type":"invalid_request_error","param":"stream","code":"streaming_off"}}'
    )


def test_every_golden_file_has_its_scene() -> None:
    assert {path.stem for path in GOLDEN.glob("*.http")} == set(SCENES)
