"""The words: what they promise by themselves."""

import inspect
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core import errors
from nanobot.core.errors import BadSessionKey, NanobotError
from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    events_of,
    units,
)
from nanobot.core.ids import new_id
from nanobot.core.message import (
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    estimate_tokens,
    joint,
    reply_text,
    user,
)
from nanobot.core.session_keys import parse_key

# Messages -----------------------------------------------------------------------------------------


def said(text: str, why: str = "stop") -> Message:
    return msgspec.convert(
        {"role": "assistant", "parts": [{"type": "text", "text": text}], "stop_reason": why}, Message
    )


def test_the_texts_of_a_turn_are_set_off_by_a_blank_line() -> None:
    step = Message("assistant", (Text("Let me see."), ToolCall("1", "look", "{}")), "tool_calls")
    assert (
        reply_text((step, Message("tool", (ToolResult("1", "x"),)), said("There.")))
        == "Let me see.\n\nThere."
    )


def test_an_answer_that_was_cut_goes_on_without_a_gap() -> None:
    assert reply_text((said("one, tw", "length"), said("o"))) == "one, two"
    assert joint(said("one, tw", "length")) == ""
    assert joint(None) == ""


def test_what_has_no_text_leaves_no_gap() -> None:
    silent = Message("assistant", (Thinking("hm"), ToolCall("1", "look", "{}")), "tool_calls")
    assert reply_text((silent, Message("tool", (ToolResult("1", "x"),)), said("There."))) == "There."
    assert reply_text(()) == ""


def test_what_users_and_tools_said_is_no_reply() -> None:
    assert reply_text((user("steer"), Message("tool", (ToolResult("1", "x"),)))) == ""


def test_thinking_is_no_part_of_the_text() -> None:
    assert Message("assistant", (Thinking("secret"), Text("a"), Text("b"))).text == "ab"


def test_usage_adds_up_field_by_field() -> None:
    assert Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40) == Usage(11, 22, 33, 44)


def test_the_estimate_counts_bytes_calls_results_and_images_but_not_thoughts() -> None:
    assert estimate_tokens(user("x" * 400)) == 104
    assert estimate_tokens(user("é" * 200)) == 104
    assert estimate_tokens(Message("assistant", (Thinking("x" * 400),))) == 4
    assert estimate_tokens(Message("assistant", (ToolCall("id", "look", "x" * 36),))) == 14
    assert estimate_tokens(Message("tool", (ToolResult("id", "x" * 40),))) == 14
    assert estimate_tokens(Message("user", (Image("data:" + "x" * 10**6),))) == 804


texts = st.text(max_size=20)
part = st.one_of(
    st.builds(Text, texts),
    st.builds(Thinking, texts),
    st.builds(ToolCall, texts, texts, texts),
    st.builds(ToolResult, texts, texts, st.booleans()),
    st.builds(Image, texts),
)
messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool"]),
    st.lists(part, max_size=4).map(tuple),
    st.sampled_from([None, "stop", "length"]),
    st.one_of(st.none(), st.builds(Usage, *[st.integers(0, 9)] * 4)),
    st.one_of(st.none(), texts),
)


@given(messages)
def test_a_message_survives_being_stored(message: Message) -> None:
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


# The line of a turn -------------------------------------------------------------------------------


def test_the_line_of_stored_messages_is_what_happened() -> None:
    call = ToolCall("1", "look", "{}")
    step = Message("assistant", (Thinking("hm"), Text("Let me see."), call), "tool_calls")
    result = Message("tool", (ToolResult("1", "x"),))
    expected: tuple[Event, ...] = (
        ThinkingDelta("hm"),
        TextDelta("Let me see."),
        MessageAdded(step),
        ToolStarted(call),
        ToolFinished(result),
        MessageAdded(user("and?")),
        TextDelta("There."),
        MessageAdded(said("There.")),
    )
    assert events_of((step, result, user("and?"), said("There."))) == expected


def test_a_part_without_text_was_never_told() -> None:
    nothing = Message("assistant", (Thinking(""), Text("")), "stop")
    assert events_of((nothing,)) == (MessageAdded(nothing),)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_a_text_takes_the_same_room_however_it_was_cut_into_deltas(pieces: list[str]) -> None:
    assert sum(units(TextDelta(piece)) for piece in pieces) == units(TextDelta("".join(pieces)))


def test_every_other_event_takes_one_unit() -> None:
    assert [
        units(event)
        for event in (
            MessageAdded(user("long text")),
            TurnEnded("done"),
            ToolStarted(ToolCall("1", "a", "{}")),
        )
    ] == [
        1,
        1,
        1,
    ]


# Session keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "wx:dm:ann",
        "..",
        "a b",
        "A",
        "a",
        "é☃",
        "x" * 256,
        "/etc/passwd",
        "'; DROP TABLE",
        "nanobot",
        "Nanobot:x",
        "",
    ],
)
def test_a_key_is_taken_verbatim(key: str) -> None:
    assert parse_key(key) == key


def test_white_space_around_a_key_does_not_count() -> None:
    assert parse_key(" \t wx:dm:ann \u00a0") == "wx:dm:ann"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("x" * 257, "257 characters: at most 256"),
        ("a\nb", "U+000A"),
        ("a\x00b", "U+0000"),
        ("a\x7fb", "U+007F"),
        ("a\x85b", "U+0085"),
        ("a\udcff", "'a?' is not UTF-8"),
        ("nanobot:cli", "start with 'nanobot:'"),
        ("  nanobot:cli", "start with 'nanobot:'"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_the_reason(key: str, says: str) -> None:
    with pytest.raises(BadSessionKey) as caught:
        parse_key(key)
    assert says in caught.value.message
    assert caught.value.http_status == 400


# Ids ----------------------------------------------------------------------------------------------


def test_ids_sort_by_time_and_differ_at_one_time() -> None:
    chance = random.Random(1)
    times = [0.0, 1_800_000_000.0, 1_800_000_000.001, 1_800_000_001.0, 4_000_000_000.0]
    ids = [new_id("turn", now, chance) for now in times]
    assert ids == sorted(ids)
    assert len({new_id("turn", 1.0, chance) for _ in range(100)}) == 100


def test_an_id_has_its_prefix_and_26_plain_characters() -> None:
    prefix, _, rest = new_id("turn", 1_800_000_000.0, random.SystemRandom()).partition("_")
    assert prefix == "turn"
    assert len(rest) == 26
    assert set(rest) <= set("0123456789abcdefghjkmnpqrstvwxyz")


# Errors -------------------------------------------------------------------------------------------

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, NanobotError)]
OPENAI_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "rate_limit_error",
    "conflict_error",
    "server_error",
    "insufficient_quota",
}


@pytest.mark.parametrize("kind", TREE)
def test_every_error_can_be_answered_over_http(kind: type[NanobotError]) -> None:
    assert 400 <= kind.http_status <= 599
    assert kind.type in OPENAI_TYPES
    assert kind.code == kind.code.lower()


def test_an_error_reads_as_its_message() -> None:
    assert (
        str(errors.ToolError("what went wrong"))
        == errors.ToolError("what went wrong").message
        == "what went wrong"
    )


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in TREE if "code" in vars(kind)]
    assert len(set(codes)) == len(codes)


def test_an_error_says_which_field_and_when_to_come_back() -> None:
    error = errors.QueueFull("full", param="when_busy", retry_after_s=3)
    assert (error.message, error.param, error.retry_after_s) == ("full", "when_busy", 3)
