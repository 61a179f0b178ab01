"""A head goes out with what follows it, and never late."""

import asyncio
from typing import Any, cast

from nanobot.http.joined_writes import joined

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"body"


class Wire:
    """What a transport was asked to do."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []
        self.can_write_eof = self.get_extra_info = self.is_closing = self.pause_reading = (
            self.resume_reading
        ) = lambda: None

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


def opened() -> tuple[asyncio.Transport, Wire]:
    wire = Wire()
    return joined(cast(Any, wire), asyncio.get_running_loop()), wire


async def test_head_and_body_are_one_write() -> None:
    transport, wire = opened()
    transport.write(HEAD)
    transport.write(BODY)
    transport.write(BODY)
    await asyncio.sleep(0)
    assert wire.done == [HEAD + BODY, BODY]


async def test_a_head_alone_goes_out_at_once() -> None:
    transport, wire = opened()
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert wire.done == [HEAD]
    transport.write(BODY)
    assert wire.done == [HEAD, BODY]


async def test_a_head_goes_out_before_the_end() -> None:
    transport, wire = opened()
    transport.write(HEAD)
    transport.write_eof()
    assert wire.done == [HEAD, "eof"]
    transport.write(HEAD)
    transport.close()
    assert wire.done == [HEAD, "eof", HEAD, "close"]


async def test_what_is_cut_sends_nothing_more() -> None:
    transport, wire = opened()
    transport.write(HEAD)
    transport.abort()
    await asyncio.sleep(0)
    assert wire.done == ["abort"]
