"""Answers that nobody reads: large ones are sent as they are read, and together they are bounded."""

import json

import pytest

from nanobot.testing import ScriptedModel
from tests.access import give_key
from tests.asgi import Exchange
from tests.forms import ANN, upload
from tests.harness import Harness, OpenHarness

MIB = 1024 * 1024
PIECE = 128 * 1024
EXPORT = (
    '{"format":"nanobot.session","version":2}\n' + json.dumps({"role": "user", "content": "x" * 900_000})
).encode()


@pytest.fixture
async def harness(open_harness: OpenHarness) -> Harness:
    return await open_harness(ScriptedModel("ok"), api={"max_body_mb": 2, "max_bodies_mb": 4})


def unread(harness: Harness, path: str, headers: dict[str, str]) -> Exchange:
    exchange = harness.door.start("GET", path, body=b"", headers=headers)
    exchange.stop_reading()
    return exchange


async def left_unread(harness: Harness, headers: dict[str, str], path: str, count: int) -> list[Exchange]:
    exchanges = [unread(harness, path, headers) for _ in range(count)]
    for exchange in exchanges:
        await exchange.begun()
    return exchanges


@pytest.fixture
async def long_session(harness: Harness) -> str:
    answer = await harness.door.call("POST", "/v1/sessions/long/import", body=EXPORT)
    assert answer.status == 200, answer.text
    return "/v1/sessions/long/messages"


async def test_an_upload_is_read_from_the_disk_as_its_client_reads_it(harness: Harness) -> None:
    content = bytes(range(256)) * (MIB // 256) + b"end"
    path = f"/v1/files/{await upload(harness.door, content)}/content"
    slow = unread(harness, path, {"x-session-key": ANN})
    await slow.begun()
    assert slow.headers["content-length"] == str(len(content))
    slow.go_on_reading()
    await slow.done()
    assert (slow.raw, slow.largest) == (content, PIECE)


async def test_a_large_answer_is_sent_in_pieces(harness: Harness, long_session: str) -> None:
    answer = await harness.door.start("GET", long_session, body=b"").done()
    assert answer.json["data"][0]["content"] == "x" * 900_000
    assert answer.largest == PIECE


async def test_beyond_what_may_be_unread_answers_are_refused_and_told_when_to_come_again(
    harness: Harness, long_session: str
) -> None:
    alice, bob = await give_key(harness, "alice", "*"), await give_key(harness, "bob", "*")
    slow = await left_unread(harness, alice, long_session, 2)
    refused = await harness.door.call("GET", long_session, headers=alice)
    assert (refused.status, refused.error["code"]) == (503, "server_overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await harness.door.call("GET", long_session, headers=bob)).status == 200
    assert (await harness.door.call("GET", "/v1/sessions/long", headers=alice)).status == 200
    for exchange in slow:
        exchange.go_on_reading()
        assert (await exchange.done()).status == 200
    assert (await harness.door.call("GET", long_session, headers=alice)).status == 200
