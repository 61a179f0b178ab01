"""Sessions over HTTP: exported, and imported again."""

import json

import pytest

from nanobot.testing import FakeClock, ScriptedModel, call
from tests.flow.listed_sessions import at, post
from tests.harness import OpenHarness


async def test_what_is_exported_and_imported_again_is_the_same_conversation(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    harness = await open_harness(
        ScriptedModel(call("calculate", '{"expression":"6*7"}'), "It is 42.", "You are welcome"), clock=clock
    )
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
    }
    await harness.door.chat(
        "a", [{"role": "user", "content": [{"type": "text", "text": "6*7? \u2028 🦜"}, picture]}]
    )
    await post(harness, at("a"), {"title": "Sums", "metadata": {"k": "v"}})
    exported = await harness.door.get(at("a", "/export"))
    assert exported.headers["content-type"] == "application/jsonl"
    assert json.loads(exported.raw.splitlines()[0]) == {
        "format": "nanobot.session",
        "version": 2,
        "key": "a",
        "title": "Sums",
        "metadata": {"k": "v"},
    }
    clock.advance(60)
    reply = await post(harness, at("b", "/import"), exported.raw)
    assert (reply.status, reply.json["title"], reply.json["messages"]) == (200, "Sums", 4)
    store = harness.app.store
    old, new = await store.messages("a", limit=9), await store.messages("b", limit=9)
    assert [(row.message, row.created_at) for row in old] == [(row.message, row.created_at) for row in new]
    again = await harness.door.get(at("b", "/export"))
    assert [{**json.loads(line), "key": 0, "turn_id": 0} for line in again.raw.splitlines()] == [
        {**json.loads(line), "key": 0, "turn_id": 0} for line in exported.raw.splitlines()
    ]
    assert (await harness.door.chat("b", "thanks")).said == "You are welcome"


async def test_a_long_export_comes_in_pages_to_its_end(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    history = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"{n}"} for n in range(900)]
    await harness.door.chat("a", [*history, {"role": "user", "content": "last"}])
    lines = (await harness.door.get(at("a", "/export"))).raw.splitlines()
    assert [json.loads(line)["content"] for line in lines[1:]] == [
        *(f"{n}" for n in range(900)),
        "last",
        "ok",
    ]
    assert (await post(harness, at("b", "/import"), b"\n".join(lines))).json["messages"] == 902


HEAD = '{"format":"nanobot.session","version":1}\n'


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("", 1),
        ("hello", 1),
        ('{"role":"user","content":"x"}', 1),
        ('{"format":"other","version":1}', 1),
        ('{"format":"nanobot.session","version":3}', 1),
        (HEAD + '{"role":"user","content":"x"}\n{"role":', 3),
        (HEAD + '{"role":"user","content":"x"}\n\n{"role":"system","content":"x"}', 4),
        (HEAD + '{"role":"user","content":7}', 2),
        (
            HEAD
            + '{"role":"user","content":[{"type":"image_url","image_url":'
            + '{"url":"https://example.org/x.png"}}]}',
            2,
        ),
        (HEAD + '{"role":"user","content":[{"type":"video"}]}', 2),
        (HEAD + '{"role":"user","parts":[{"type":"tool_call","id":"c","name":"f","arguments":"{}"}]}', 2),
        (HEAD + '{"role":"tool","parts":[]}', 2),
        (HEAD + '{"role":"user","content":"x","created_at":1e300}', 2),
        (HEAD + "[" * 100_000, 2),
    ],
)
async def test_a_bad_line_is_named_and_nothing_is_kept(
    open_harness: OpenHarness, body: str, line: int
) -> None:
    harness = await open_harness()
    reply = await post(harness, at("a", "/import"), body.encode())
    assert reply.status == 400
    assert reply.error["message"].startswith(f"line {line}: ")
    assert (await harness.door.get(at("a"))).status == 404


async def test_messages_as_other_programs_have_them_can_be_imported(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    body = (
        "\ufeff"
        + HEAD
        + '{"role":"user","content":"hello","name":"ann"}\r\n{"role":"assistant","content":"hi"}\r\n'
    )
    assert (await post(harness, at("a", "/import"), body.encode())).status == 200
    rows = await harness.app.store.messages("a", limit=9)
    assert [(row.message.role, row.message.text, row.created_at) for row in rows] == [
        ("user", "hello", clock.now()),
        ("assistant", "hi", clock.now()),
    ]
