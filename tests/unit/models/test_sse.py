"""Server-sent events, cut wherever the network likes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.models.sse import EventSplitter, EventTooLarge

lines = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data:  three ",
        b"data",
        b"data:",
        b": comment",
        b"event: x",
        b"id: 1",
        b"dat",
        b"",
        b"",
        "data: ä€😀".encode(),
    ]
)
streams = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20).map(
    lambda pairs: b"".join(line + end for line, end in pairs)
)


def read(*chunks: bytes) -> list[bytes]:
    splitter = EventSplitter()
    return [payload for chunk in chunks for payload in splitter.feed(chunk)] + splitter.end()


def test_each_event_gives_its_data() -> None:
    assert read(b"data: a\n\ndata: b\n\n") == [b"a", b"b"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_with_lf_crlf_or_cr(end: bytes) -> None:
    assert read(b"data: a" + end + end + b"data: b" + end + end) == [b"a", b"b"]


def test_an_event_is_known_as_soon_as_its_blank_line_is_there() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == [b"a"]
    assert splitter.feed(b"\ndata: b\r\n\r\n") == [b"b"]


def test_data_lines_of_one_event_are_joined_by_a_line_feed() -> None:
    assert read(b"data: a\ndata\ndata:b\n\n") == [b"a\n\nb"]


def test_only_one_space_after_the_colon_is_taken_off() -> None:
    assert read(b"data:  a\n\ndata:b\n\n") == [b" a", b"b"]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: \n\ndata: a\n\n", [b"", b"a"]),
        (b"data: a\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\nid: 1\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\n: ping\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\ndata:b\n\ndata: c\n\n", [b"a", b"b", b"c"]),
        (b"data: a\n\nevent: x\ndata: b\n\n", [b"a", b"b"]),
        (b"data: data: a\n\n", [b"data: a"]),
    ],
)
def test_whole_events_in_one_piece_are_read_as_any_others(stream: bytes, events: list[bytes]) -> None:
    assert EventSplitter().feed(stream) == events
    assert read(*(stream[place : place + 1] for place in range(len(stream)))) == events


def test_comments_and_other_fields_are_left_out() -> None:
    assert read(b": hello\n\nevent: x\nid: 3\nretry: 10\ndata: a\ndatax: b\n\n") == [b"a"]


def test_a_character_cut_in_two_is_whole_again() -> None:
    payload = "data: ä\n\n".encode()
    assert read(payload[:7], payload[7:]) == ["ä".encode()]


def test_a_byte_order_mark_is_left_out() -> None:
    assert read(b"\xef", b"\xbb\xbfdata: a\n\n") == [b"a"]


def test_an_event_without_its_blank_line_is_given_at_the_end() -> None:
    assert read(b"data: a\n\ndata: b") == [b"a", b"b"]
    assert read(b"data: a\n") == [b"a"]
    assert read(b"") == []


@given(streams, st.data())
def test_any_cutting_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == read(stream)


def test_a_line_without_end_is_not_collected_beyond_the_limit() -> None:
    splitter = EventSplitter(limit_bytes=100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLarge, match="more than 100 bytes"):
        splitter.feed(b"x" * 10)


@pytest.mark.parametrize("line", [b"data: 12345678\n", b"data:\n", b"data\n"])
def test_an_event_of_many_lines_is_not_collected_beyond_the_limit(line: bytes) -> None:
    splitter = EventSplitter(limit_bytes=100)
    with pytest.raises(EventTooLarge):
        for _ in range(101):
            splitter.feed(line)


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    splitter = EventSplitter(limit_bytes=100)
    assert sum(len(splitter.feed(b"data: " + b"x" * 50 + b"\n\n")) for _ in range(10)) == 10


def test_events_without_blank_lines_between_them_are_events_of_their_own() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b'data: {"a":1}\ndata: {"b":2}\ndata: [DONE]\n\n') == [
        b'{"a":1}',
        b'{"b":2}',
        b"[DONE]",
    ]
    assert splitter.feed(b'data: {"a":\ndata: 1}\n\n') == [b'{"a":\n1}']
