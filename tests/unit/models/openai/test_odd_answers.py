"""Answers of servers that keep to the format only nearly: a good answer is never lost over it."""

import logging
import random
from collections.abc import Mapping

import msgspec
import pytest

from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, StopReason, Text, Thinking, ToolCall, Usage, user
from nanobot.models.lessons import REMEMBERED_S, Lessons
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.refusals import ErrorSource, RequestFailed
from nanobot.testing import FakeClock
from tests.upstream import call, chunk, counted, event, finish, text

SOURCE = ErrorSource("test:test-model", "test-model", "http://localhost/v1")


def read(
    *events: bytes, asked: tuple[Message, ...] = (user("hi"),), lessons: Lessons | None = None
) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of an answer, and check that both say the same."""
    reader = ChatAnswerReader(SOURCE, asked, random.Random(1), lessons or Lessons(FakeClock()), lambda: None)
    deltas: list[Delta] = []
    payloads = [payload.removeprefix(b"data: ").removesuffix(b"\n\n") for payload in events]
    at = 0
    while at < len(payloads):
        start = at
        at = reader.take_texts(payloads, start, deltas)
        if at == start:
            reader.take(payloads[start], deltas)
            at += 1
    reader.end(deltas)
    message = reader.message()
    said = "".join(part.text for part in message.parts if isinstance(part, Text | Thinking))
    assert "".join(delta.text for delta in deltas) == said
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message
    return deltas, message


def parts(*events: bytes) -> tuple[object, ...]:
    return read(*events)[1].parts


# Types that are not those of the format -----------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [2**63, 2**64, -1, 1e30, -0.5, "many", None, True, [], {}, 10**40],
    ids=str,
)
def test_a_count_that_cannot_be_is_ignored(odd: object) -> None:
    """Usage is a courtesy: it is no reason to lose an answer."""
    usage = {**counted(1, 3, 8, 1), "prompt_tokens": odd}
    message = read(text("fine"), finish(), event({"choices": [], "usage": usage}))[1]
    assert (message.text, message.usage) == ("fine", Usage(0, 3, 8, 1))


@pytest.mark.parametrize("count", [b"1e999", b"9" * 5000], ids=["infinite", "of thousands of digits"])
def test_a_count_without_end_is_ignored(count: bytes) -> None:
    message = read(text("fine"), finish(), event(b'{"choices":[],"usage":{"prompt_tokens":%b}}' % count))[1]
    assert (message.text, message.usage) == ("fine", Usage())


@pytest.mark.parametrize("usage", ["none", 3, [], [{"prompt_tokens": 1}], {"prompt_tokens_details": 5}])
def test_usage_of_another_type_is_no_usage(usage: object) -> None:
    message = read(chunk({"content": "fine"}, "stop", usage=usage))[1]
    assert message.text == "fine"
    assert message.usage in (None, Usage())


def test_counts_in_strings_are_counts() -> None:
    assert read(chunk({"content": "a"}, "stop", usage={"prompt_tokens": "12"}))[1].usage == Usage(12)


def test_numbers_for_ids_and_strings_for_numbers_are_read() -> None:
    assert parts(
        event({"id": 7, "choices": [{"index": "0", "delta": {"content": "ok"}}]}),
        event(
            {
                "choices": [
                    {
                        "delta": {
                            "tool_calls": [
                                {"index": "0", "id": 12, "function": {"name": "f", "arguments": "{"}}
                            ]
                        }
                    }
                ]
            }
        ),
        event(
            {
                "choices": [
                    {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}
                ]
            }
        ),
        finish(),
    ) == (Text("ok"), ToolCall("12", "f", "{}"))


@pytest.mark.parametrize(
    "heartbeat", [b"null", b"{}", b"[]", b'""', b'{"choices":[null]}', b'{"choices":["x"]}']
)
def test_a_heartbeat_adds_nothing(heartbeat: bytes) -> None:
    assert parts(event(heartbeat), text("a"), event(heartbeat), text("b"), finish()) == (Text("ab"),)


def test_elements_of_another_type_are_left_out() -> None:
    odd = {"choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [None, 3]}}]}
    assert parts(event(odd), finish()) == (Text("a"),)


@pytest.mark.parametrize("payload", [b"ping", b"{nope", b'{"choices":3}', b"17", b'"words"'])
def test_what_is_no_chunk_at_all_is_refused(payload: bytes) -> None:
    with pytest.raises(RequestFailed, match="not one of a chat completion"):
        read(event(payload))


# Characters ---------------------------------------------------------------------------------------


def said(escaped: str, field: str = "content") -> bytes:
    return event(f'{{"choices":[{{"index":0,"delta":{{"{field}":"{escaped}"}}}}]}}')


def test_a_character_cut_in_two_between_chunks_is_whole() -> None:
    assert parts(said("a\\ud83d"), said("\\ude00b"), finish()) == (Text("a😀b"),)
    thinking = parts(said("\\ud83d", "reasoning_content"), said("\\ude00", "reasoning_content"), finish())[0]
    assert isinstance(thinking, Thinking)
    assert thinking.text == "😀"


def test_a_character_cut_in_two_within_arguments_is_whole() -> None:
    pieces = ('{\\"x\\":\\"\\ud83d', '\\ude00\\"}')
    first, second = (
        f'{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"a","function":{{{name}"arguments":"{piece}"}}}}]}}}}]}}'
        for name, piece in zip(('"name":"f",', ""), pieces, strict=True)
    )
    assert parts(event(first), event(second), finish()) == (ToolCall("a", "f", '{"x":"😀"}'),)


def test_half_a_character_without_the_other_half_costs_that_character_alone() -> None:
    assert parts(said("a\\ude00b"), said("c\\ud83d"), finish()) == (Text("a\ufffdbc"),)


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert parts(event(b'{"choices":[{"delta":{"content":"a\xffb"}}]}'), finish()) == (Text("a\ufffdb"),)


# Tool calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        (call(0, "a", "f", '{"x"'), call(0, "b", "f", ":"), call(0, "c", "f", "1}")),
        (call(0, "a", "f", ""), call(0, "b", "f", '{"x":'), call(0, "c", "f", "1}")),
        (call(0, "a", "f"), call(0, None, "f", '{"x":'), call(0, None, "f", "1}")),
        (call(None, "a", "f", '{"x"'), call(None, "b", "f", ":"), call(None, "c", "f", "1}")),
        (call(None, "a", "f", '{"x"'), call(None, None, "f", ":1}")),
        (call(0, "a", "f", '{"x":1}'), call(0, "a", "f", '{"x":1}')),
        (call(0, "a", "f", '{"x":1}'), call(0, "a", "f", "")),
    ],
    ids=["new ids", "new ids, empty first", "no ids", "no index", "no index, no ids", "twice", "empty end"],
)
def test_a_call_whose_pieces_repeat_the_name_is_one_call(pieces: tuple[bytes, ...]) -> None:
    assert parts(*pieces, finish("tool_calls")) == (ToolCall("a", "f", '{"x":1}'),)


@pytest.mark.parametrize(
    "pieces",
    [
        (call(0, None, "f", '{"x":1}'), call(0, None, "f", '{"x":2}')),
        (call(0, "a", "f", '{"x":1}'), call(0, "b", "f", '{"x":2}')),
        (call(0, "a", "f", '{"x"'), call(0, None, None, ":1}"), call(0, "b", "f", '{"x":2}')),
        (call(None, None, "f", '{"x":1}'), call(None, None, "f", '{"x":2}')),
    ],
)
def test_whole_calls_under_one_index_are_calls_of_their_own(pieces: tuple[bytes, ...]) -> None:
    calls = read(*pieces, finish("tool_calls"))[1].tool_calls
    assert [called.arguments for called in calls] == ['{"x":1}', '{"x":2}']
    assert len({called.id for called in calls}) == 2


def test_two_calls_without_arguments_under_one_index_are_told_apart_by_name() -> None:
    calls = read(call(0, None, "f", ""), call(0, None, "g", ""), finish())[1].tool_calls
    assert [called.name for called in calls] == ["f", "g"]


# A message that comes whole -----------------------------------------------------------------------


def whole(message: Mapping[str, object], finish_reason: str | None = "stop") -> bytes:
    return event(
        {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": counted(12, 3),
        }
    )


def test_a_last_chunk_that_repeats_the_message_adds_its_reason_and_usage_alone() -> None:
    message = read(text("he"), text("y"), whole({"content": "hey", "reasoning_content": "hm"}, "length"))[1]
    assert (message.parts, message.stop_reason, message.usage) == ((Text("hey"),), "length", Usage(12, 3))


def test_a_repeated_call_is_one_call() -> None:
    repeated = {"content": "", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    assert parts(call(0, "a", "f", "{}"), whole(repeated, "tool_calls")) == (ToolCall("a", "f", "{}"),)


def test_a_text_that_was_held_back_is_not_doubled() -> None:
    assert parts(text("<thi"), whole({"content": "<thi"})) == (Text("<thi"),)


def test_a_message_after_deltas_that_said_nothing_is_the_answer() -> None:
    assert parts(chunk({"role": "assistant", "content": ""}), whole({"content": "hey"})) == (Text("hey"),)


def test_calls_that_only_the_last_chunk_has_are_not_lost() -> None:
    calls = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]
    assert parts(text("hey"), whole({"content": "hey", "tool_calls": calls})) == (
        Text("hey"),
        ToolCall("a", "f", "{}"),
    )


# Why it stopped -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("STOP", "stop"),
        ("stop_sequence", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("EOS", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("LENGTH", "length"),
        ("MAX_TOKENS", "length"),
        ("max_output_tokens", "length"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("Content_Filter", "content_filter"),
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("sensitive", "content_filter"),
        ("refusal", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("ERROR_TOXIC", "content_filter"),
        ("policy_violation", "content_filter"),
        ("max_output", "length"),
        ("maxOutputReached", "length"),
        ("token_limit", "length"),
        ("context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("TurnEnd", "stop"),
        ("[DONE]", "stop"),
    ],
)
def test_reasons_are_compared_without_case_and_by_their_words(reason: str, meant: StopReason) -> None:
    assert read(text("a"), finish(reason))[1].stop_reason == meant


@pytest.mark.parametrize("reason", ["TOOL_CALLS", "tool_use", "Function_Call"])
def test_a_reason_of_calls_is_one_where_there_are_calls(reason: str) -> None:
    assert read(call(0, "a", "f", "{}"), finish(reason))[1].stop_reason == "tool_calls"


@pytest.mark.parametrize("reason", ["OTHER", "banana", "repetition", "abandoned", "suspended"])
def test_a_reason_that_is_not_known_means_a_cut_answer_and_is_logged(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(text("a"), finish(reason))[1].stop_reason == "length"
    assert reason in caplog.text


@pytest.mark.parametrize(
    "reason", ["error", "ERROR", "MALFORMED_FUNCTION_CALL", "abort", "network_error", "TIMEOUT", "preempted"]
)
def test_a_reason_of_failure_may_be_tried_again(reason: str) -> None:
    with pytest.raises(RequestFailed) as caught:
        read(text("a"), finish(reason))
    assert caught.value.may_retry


# Thinking without its opening tag -----------------------------------------------------------------


def test_thinking_that_was_never_opened_is_no_answer() -> None:
    deltas, message = read(text("First I consider 2+2.\n</think>\n\nIt is 4."), finish())
    assert message.text == "It is 4."
    assert isinstance(message.parts[0], Thinking)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "It is 4."


def test_thinking_that_was_shown_before_its_end_came_is_thinking_in_the_message() -> None:
    message = read(text("First I "), text("consider.\n</thi"), text("nk>\n\nIt"), text(" is 4."), finish())[1]
    assert message.text == "It is 4."
    assert isinstance(message.parts[0], Thinking)


def test_a_model_that_did_so_once_shows_none_of_it_as_text_the_next_time() -> None:
    clock = FakeClock()
    lessons = Lessons(clock)
    answer = (text("First I "), text("consider.\n</thi"), text("nk>\n\nIt"), text(" is 4."), finish())
    assert isinstance(read(*answer, lessons=lessons)[0][0], TextDelta)
    deltas, message = read(*answer, lessons=lessons)
    assert message.parts == (Thinking("First I consider.\n"), Text("It is 4."))
    assert deltas[0] == ThinkingDelta("First I consider.\n")
    clock.advance(REMEMBERED_S)
    assert isinstance(read(*answer, lessons=lessons)[0][0], TextDelta)


def test_a_model_that_does_not_think_this_time_is_heard_all_the_same() -> None:
    lessons = Lessons(FakeClock())
    read(text("hm\n</think>\n\nyes"), finish(), lessons=lessons)
    assert read(text("It "), text("is 4."), finish(), lessons=lessons)[1].text == "It is 4."


def test_where_the_user_speaks_of_the_tag_a_text_with_it_stays() -> None:
    asked = (user("Show me how </think> is used."),)
    assert read(text("Well\n</think>\n\nso."), finish(), asked=asked)[1].text == "Well\n</think>\n\nso."
    assert (
        read(text("Well\n"), text("</think>\n\nso."), finish(), asked=asked)[1].text
        == "Well\n</think>\n\nso."
    )
