"""Server-sent events: what providers send, and what clients are sent."""

import json
import re
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from nanobot.api.wire.chunks import DONE, Chunks, said_before
from nanobot.core.event import Event, TextDelta, ThinkingDelta, TurnEnded, events_of, units
from nanobot.core.message import Message, Usage, reply_text
from nanobot.http.stream import PING
from nanobot.models.sse import EventSplitter, EventTooLarge
from nanobot.stores.live.turn import past, replay
from tests.asgi import ServerEvent
from tests.fuzz.target import Target, drawn
from tests.fuzz.transcripts import transcripts

# What providers send ------------------------------------------------------------------------------


def read_plainly(content: bytes) -> list[bytes]:
    """Return the data of the events of a whole stream: the standard, read line by line.

    The last event needs no blank line; lines that look like whole payloads are events of their own.
    """
    lines = re.split(rb"\r\n|\n|\r", content.removeprefix(b"\xef\xbb\xbf"))
    events: list[bytes] = []
    data: list[bytes] | None = None
    for one in (*lines, b""):
        name, _, value = one.partition(b":")
        if not one and data is not None:
            are_whole = all(re.fullmatch(rb"\{\}|\{.*\}|\[DONE\]", line, re.DOTALL) for line in data)
            events.extend(data if are_whole else [b"\n".join(data)])
            data = None
        elif name == b"data":
            data = [*(data or ()), value.removeprefix(b" ")]
    return events


def check_splitting(content: bytes) -> None:
    """The first bytes say where the network cuts: each is the size of a piece; the stream begins after a zero
    byte.
    """
    sizes, _, stream = content.partition(b"\0")
    whole = _read((stream,))
    assert whole == read_plainly(stream), f"{whole} is not {read_plainly(stream)}"
    pieces: list[bytes] = []
    rest = stream
    for size in sizes or b"\1":
        pieces.append(rest[:size])
        rest = rest[size:]
    assert _read((*pieces, rest)) == whole, f"{pieces} and {rest!r} give other events"
    assert _read([stream[place : place + 1] for place in range(len(stream))]) == whole, (
        "byte by byte gives other events"
    )
    small = EventSplitter(limit_bytes=16)
    try:
        for piece in (*pieces, rest):
            small.feed(piece)
    except EventTooLarge:
        assert len(stream) > 16, "too large, and is not"


def _read(pieces: Sequence[bytes]) -> list[bytes]:
    splitter = EventSplitter()
    return [payload for piece in pieces for payload in splitter.feed(piece)] + splitter.end()


# What clients are sent ----------------------------------------------------------------------------

_TURN = "turn_0123456789abcdef"


@given(transcripts(), st.data(), st.booleans(), st.booleans())
def _told(messages: tuple[Message, ...], data: st.DataObject, usage: bool, tools: bool) -> None:
    messages = tuple(message for message in messages if message.role != "tool" or message.tool_results)
    events = _live(messages, data)
    cut = data.draw(st.integers(0, len(events) - 1))
    chunks = _chunks(usage, tools)
    out = chunks.render(events[:cut]) + PING + chunks.render(events[cut:])
    told = _parsed(out)
    answer = reply_text(messages)
    assert _said(told) == answer, f"{_said(told)!r} was told, {answer!r} was answered"
    assert out.endswith(DONE)
    assert [event.content for event in told].count("[DONE]") == 1
    cursors = [int(event.id.partition(":")[2]) for event in told if event.id is not None]
    assert cursors == sorted(cursors), cursors
    # Taken up again at any event that the client has heard.
    after = data.draw(st.sampled_from(cursors))
    before = [event for event in told if event.id is not None and int(event.id.partition(":")[2]) <= after]
    again = _chunks(usage, tools, messages, after).render(past(replay(messages, _END, after), after))
    if after < cursors[-1]:
        assert _said(before) + _said(_parsed(again)) == answer, (
            f"taken up at {after}: {_said(before)!r} and then {_said(_parsed(again))!r}"
        )


_END = TurnEnded("done", Usage(3, 2))


def _live(messages: tuple[Message, ...], data: st.DataObject) -> list[tuple[int, Event]]:
    """Return the line as it is while the model speaks: each text in deltas of any size."""
    told: list[tuple[int, Event]] = []
    cursor = 0
    for event in (*events_of(messages), _END):
        pieces: list[Event] = [event]
        if isinstance(event, TextDelta | ThinkingDelta):
            place = data.draw(st.integers(0, len(event.text)))
            pieces = [type(event)(text) for text in (event.text[:place], event.text[place:]) if text]
        for piece in pieces:
            cursor += units(piece)
            told.append((cursor, piece))
    return told


def _chunks(usage: bool, tools: bool, messages: tuple[Message, ...] = (), after: int = 0) -> Chunks:
    behind = said_before(messages, after) if after else None
    return Chunks(
        _TURN,
        model='a"\n\u2028b',
        created=1.5,
        include_usage=usage,
        events=frozenset({"tools"} if tools else ()),
        behind=behind,
    )


def _parsed(out: bytes) -> list[ServerEvent]:
    """Return the events, which three readers must see alike: ours for tests, the official SDK's, and the one
    for providers.
    """
    events = [
        event for block in out.decode().split("\n\n") if (event := ServerEvent.parse(block)) is not None
    ]
    sdk = [event.data for event in SSEDecoder().iter_bytes(iter((out,))) if event.data]
    assert [event.content for event in events] == sdk
    assert [event.content.encode() for event in events] == _read((out,))
    return events


def _said(events: Sequence[ServerEvent]) -> str:
    said: list[str] = []
    for event in events:
        if event.name is None and event.content != "[DONE]":
            chunk = json.loads(event.content)
            assert chunk == msgspec.json.decode(event.content)
            said.extend(choice["delta"].get("content", "") for choice in chunk["choices"])
    return "".join(said)


TARGETS = (
    Target(
        "sse-splitter",
        check_splitting,
        (
            b"\1\2\3\0data: a\n\ndata: b\r\n\r\ndata:c\r\r",
            b"\5\0\xef\xbb\xbfdata: a\ndata\ndata: b\n\n: ping\n\nevent: x\ndata: c",
            b"\0id: 1\nretry: 3\ndata\n\n",
            b'\x10\x10\0data: {"choices":[]}\n\ndata: [DONE]\n\n',
        ),
        (b"data:", b"data: ", b"\r\n", b"\n\n", b"\r", b"\xef\xbb\xbf", b": ", b"event:", b"[DONE]"),
    ),
    drawn("sse-chunks", _told),
)
