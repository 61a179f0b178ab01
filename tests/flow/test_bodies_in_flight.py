"""Large bodies of all requests together are bounded, and keep nobody's small requests out."""

import json

import pytest

from nanobot.testing import ScriptedModel
from tests.access import give_key
from tests.asgi import CHAT, Exchange
from tests.flow.paused import PausedModel, until_asked
from tests.harness import Harness, OpenHarness

MIB = 1024 * 1024
API = {"max_body_mb": 2, "max_bodies_mb": 8}
HALF = b'{"model":"nanobot","messages":[{"role":"user","content":"' + b"x" * (2 * MIB - 1_000)


@pytest.fixture
async def harness(open_harness: OpenHarness) -> Harness:
    return await open_harness(ScriptedModel("ok"), api=API)


def begun(harness: Harness, number: int, headers: dict[str, str], path: str = CHAT) -> Exchange:
    """Send nearly all of a large body, and wait."""
    headers = {"x-session-key": f"large:{number}", **headers}
    exchange = harness.door.start("POST", path, body=None, headers=headers)
    exchange.feed(HALF, more=True)
    return exchange


async def kept_waiting(harness: Harness, headers: dict[str, str], count: int = 4) -> list[Exchange]:
    exchanges = [begun(harness, number, headers) for number in range(count)]
    # Answered after all of the server's steps so far.
    await harness.door.get("/health")
    return exchanges


async def test_a_large_body_beyond_the_half_of_all_is_refused_and_told_when_to_come_again(
    harness: Harness,
) -> None:
    alice = await give_key(harness, "alice", "*")
    await kept_waiting(harness, alice, 2)
    refused = await begun(harness, 9, alice).done()
    assert (refused.status, refused.error["code"]) == (503, "server_overloaded")
    assert "api.max_bodies_mb" in refused.error["message"]
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path",
    [CHAT, "/v1/responses", "/v1/responses/input_tokens", "/v1/sessions/x/import", "/v1/conversations"],
)
async def test_it_is_so_on_every_route(harness: Harness, path: str) -> None:
    alice = await give_key(harness, "alice", "*")
    await kept_waiting(harness, alice, 2)
    assert (await begun(harness, 9, alice, path).done()).status == 503


async def test_one_keys_large_bodies_keep_neither_others_nor_small_ones_out(harness: Harness) -> None:
    alice, bob = await give_key(harness, "alice", "*"), await give_key(harness, "bob", "*")
    await kept_waiting(harness, alice)
    assert (await harness.door.chat("a", "hello", headers=alice)).status == 200
    large = begun(harness, 9, bob)
    large.feed(b'"}]}', more=False)
    # Too long for the window: it was read, and understood.
    assert (await large.done()).error["code"] == "context_length_exceeded"


async def test_however_many_keys_fill_it_small_bodies_are_read(harness: Harness) -> None:
    keys = [await give_key(harness, f"key{number}", "*") for number in range(3)]
    for headers in keys[:2]:
        await kept_waiting(harness, headers)
    refused = await begun(harness, 9, keys[2]).done()
    assert (refused.status, refused.error["code"]) == (503, "server_overloaded")
    assert (await harness.door.chat("a", "x" * 50_000, headers=keys[2])).status == 200


async def test_what_was_refused_or_hung_up_is_counted_no_longer(harness: Harness) -> None:
    alice = await give_key(harness, "alice", "*")
    for _ in range(3):
        waiting = await kept_waiting(harness, alice, 2)
        for exchange in waiting:
            exchange.disconnect()
            await exchange.done()
        for exchange in await kept_waiting(harness, alice, 2):
            exchange.feed(b"}}}", more=False)
            assert (await exchange.done()).status == 400


async def test_a_turn_that_is_waited_for_holds_no_body(open_harness: OpenHarness) -> None:
    """A long list of messages is in the store; its turn may take an hour."""
    model = PausedModel()
    harness = await open_harness(model, api=API)
    alice = await give_key(harness, "alice", "*")
    said = [{"role": role, "content": "x" * 100_000} for _ in range(9) for role in ("user", "assistant")] + [
        {"role": "user", "content": "so?"}
    ]
    body = json.dumps({"model": "nanobot", "messages": said}).encode()
    asked = []
    for number in range(6):
        headers = {"x-session-key": f"long:{number}", **alice}
        asked.append(harness.door.start("POST", CHAT, body=body, headers=headers))
        await until_asked(model, number + 1)
    model.gate.set()
    assert [each.status for each in await harness.door.each(asked)] == [200] * 6
