"""An export says everything: what is read from it is what was written, whatever a message holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.api.wire import session_export
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from nanobot.core.sessions import Row, Session

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TEXT: st.SearchStrategy[Part] = st.builds(Text, TEXTS)
FILES: list[st.SearchStrategy[Part]] = [
    st.builds(Image, st.just("data:image/png;base64,AAAA"), st.sampled_from([None, "auto", "low", "high"])),
    st.builds(Audio, TEXTS, st.sampled_from(["wav", "mp3"])),
    st.builds(File, TEXTS, TEXTS, st.none() | TEXTS),
]
CALLS: st.SearchStrategy[Part] = st.builds(ToolCall, TEXTS, TEXTS, TEXTS, st.booleans())
NUMBERS = st.integers(0, 10**9)
USAGES = st.none() | st.builds(Usage, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
REASONS = st.none() | st.sampled_from(["stop", "length", "tool_calls", "content_filter", "incomplete"])


def messages() -> st.SearchStrategy[Message]:
    said = st.lists(st.one_of(TEXT, *FILES), max_size=4).map(tuple)
    made = st.lists(st.one_of(TEXT, CALLS, st.builds(Thinking, TEXTS)), max_size=4).map(tuple)
    results = st.lists(st.builds(ToolResult, TEXTS, TEXTS, st.booleans()), min_size=1, max_size=2).map(tuple)
    return st.one_of(
        st.builds(Message, st.just("user"), said),
        st.builds(Message, st.just("assistant"), made, REASONS, USAGES, st.none() | TEXTS.filter(bool)),
        st.builds(Message, st.just("tool"), results),
    )


ROWS = st.lists(st.tuples(messages(), st.floats(0, 1e10), st.none() | TEXTS), max_size=6)


@given(given_=ROWS, title=st.none() | TEXTS)
def test_what_was_written_is_what_is_read(
    given_: list[tuple[Message, float, str | None]], title: str | None
) -> None:
    rows = [
        Row(number, turn, message, 0, time, number, message.role == "user")
        for number, (message, time, turn) in enumerate(given_, 1)
    ]
    session = Session("key", len(rows), 0, 0, title, {"k": "v"})
    raw = session_export.header(session) + session_export.lines(rows)
    read = session_export.read(raw.split(b"\n"), 7.0)
    assert (read.title, read.metadata) == (title, {"k": "v"})
    assert [(each.message, each.created_at, each.turn) for each in read.messages] == given_


@given(raw=st.binary(max_size=200))
def test_whatever_is_no_export_is_refused_with_its_line(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        list(session_export.read([b'{"format":"nanobot.session","version":1}', b"\x00" + raw], 0).messages)
    assert caught.value.message.startswith("line 2: ")


def test_plain_messages_are_written_without_a_second_copy() -> None:
    rows = [
        Row(
            1,
            "turn_1",
            Message("user", (Text("what is this?"), Image("data:image/png;base64,AAAA"))),
            0,
            1.0,
            0,
            True,
        ),
        Row(
            2,
            "turn_1",
            Message(
                "assistant", (Thinking("Hm."), Text("A parrot."), ToolCall("c", "f", "{}")), "tool_calls"
            ),
            0,
            1.0,
            1,
            False,
        ),
        Row(3, "turn_1", Message("tool", (ToolResult("c", "42"),)), 0, 1.0, 2, False),
    ]
    lines = [json.loads(line) for line in session_export.lines(rows).splitlines()]
    assert all("parts" not in line for line in lines)
    assert lines[1]["reasoning_content"] == "Hm."
