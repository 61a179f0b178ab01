"""Bodies of JSON: what they may have is counted before anything is decoded."""

import asyncio
import json

import pytest

from nanobot.core.errors import InvalidRequest
from nanobot.core.json_entries import has_more_entries
from nanobot.http import json_body
from nanobot.http.json_body import JsonBodies, apart
from nanobot.http.request import Request
from tests.asgi import BOUND_S


def request_with(body: bytes, address: str = "") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "raw_path": b"/", "headers": [], "client": (address, 1)}
    return Request(scope, receive)


def never(body: bytes) -> None:
    raise AssertionError(f"{len(body)} bytes were decoded")


@pytest.mark.parametrize(
    "value",
    [
        [0] * 1_000,
        [[]] * 1_000,
        [{"a": 0, "b": ""}] * 500,
        {str(number): "," for number in range(1_000)},
        ['\\", \\\\'] * 1_000,
    ],
)
def test_members_and_elements_are_counted(value: object) -> None:
    body = json.dumps(value).encode()
    assert has_more_entries(body, 999)
    assert not has_more_entries(body, 1_001)


@pytest.mark.parametrize("text", [",", '"', "\\", '\\"', '",', "[,]", "é,"])
def test_what_stands_in_a_text_is_not_counted(text: str) -> None:
    assert not has_more_entries(json.dumps([text * 5_000, text], ensure_ascii=False).encode(), 10)


@pytest.mark.parametrize("shift", range(12))
def test_escapes_are_told_wherever_the_text_is_cut_for_counting(shift: int) -> None:
    """It is counted in slices of 32 KiB."""
    body = json.dumps(["x" * (32 * 1024 - 8 - shift), '\\\\"\\' + "," * 50, '"' * 3, 1, 2]).encode()
    assert has_more_entries(body, 4)
    assert not has_more_entries(body, 5)


async def test_a_body_with_too_many_entries_is_not_decoded() -> None:
    bodies = JsonBodies(max_bytes=1_000_000, timeout_s=5, max_entries=1_000)
    with pytest.raises(InvalidRequest, match=r"more than 1000 entries.*api\.max_json_entries"):
        await bodies.read(request_with(b"[" + b"0," * 100_000 + b"0]"), never)


async def test_a_large_body_is_decoded_beside_the_event_loop() -> None:
    bodies = JsonBodies(max_bytes=1_000_000, timeout_s=5, max_entries=1_000)
    body = b'"' + b"x" * 500_000 + b'"'
    in_loop = asyncio.get_running_loop()

    def parse(raw: bytes) -> bool:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return raw == body

    assert await bodies.read(request_with(body), parse) == (True, body)
    assert asyncio.get_running_loop() is in_loop


async def test_a_very_large_body_keeps_the_next_one_of_the_same_waiting_but_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_body, "_LONG_PAUSE", 1e9)
    monkeypatch.setattr(json_body, "_LONGEST_PAUSE_S", 3_600.0)
    bodies = JsonBodies(max_bytes=10_000_000, timeout_s=5, max_entries=1_000)
    body = b'"' + b"x" * 3_000_000 + b'"'
    waiting = []
    # More than may be decoded at once.
    for name in ("ann", "bob", "carol", "dave"):
        async with asyncio.timeout(BOUND_S):
            assert (await bodies.read(request_with(body, name), len))[0] == len(body)
        waiting.append(asyncio.ensure_future(bodies.read(request_with(body, name), len)))
    async with asyncio.timeout(BOUND_S):
        assert (await bodies.read(request_with(body, "eve"), len))[0] == len(body)
    assert not any(each.done() for each in waiting)
    for each in waiting:
        each.cancel()


async def test_a_small_body_is_decoded_at_once() -> None:
    bodies = JsonBodies(max_bytes=1_000_000, timeout_s=5, max_entries=1)
    in_loop, _ = await bodies.read(request_with(b"[0,0,0]"), lambda _: asyncio.get_running_loop())
    assert in_loop is asyncio.get_running_loop()
    assert await apart(b"[]", asyncio.get_running_loop) is in_loop
