"""What a provider answers: chunks of a completion, errors, headers."""

import itertools
import json
import math
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta
from nanobot.core.message import Message, Text, Thinking, ToolCall
from nanobot.models.lessons import Lessons
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.refusals import ErrorSource, RequestFailed, error_in_answer, refusal, retry_after_s
from nanobot.testing import FakeClock
from tests.fuzz.target import Target, drawn

_SECRET = "sk-secret-key"
_SOURCE = ErrorSource("openai", "gpt", "https://api.example.org/v1", _SECRET)
_ASKED = (Message("assistant", (ToolCall("call_1", "look", "{}"),), "tool_calls"),)
_CHUNKS = (
    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"<think>well"},"finish_reason":null}]}',
    b'{"choices":[{"index":0,"delta":{"content":"</think>\\n\\nhello"}}]}',
    b'{"choices":[{"index":0,"delta":{"reasoning_content":"hm","tool_calls":[{"index":0,"id":"call_1","function":{"name":"look","arguments":"{"}}]}}]}',
    b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}},{"index":1,"id":"b","function":{"name":"x","arguments":{"a":1}}}]}}]}',
    b'{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}}]}',
    b'{"choices":[{"message":{"content":"whole","function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2.0,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":null}}',
    b'{"error":{"message":"slow down","type":"rate_limit_error","code":"429"}}',
    b'{"object":"error","message":"no","code":400}',
    b'{"choices":[{"delta":{},"finish_reason":"length"}]}',
)
_WORDS = tuple(
    f'"{word}"'.encode()
    for word in (
        "choices", "delta", "message", "content", "refusal", "reasoning_content", "reasoning", "tool_calls",
        "function_call", "index", "id", "function", "name", "arguments", "finish_reason", "usage",
        "prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens", "prompt_tokens_details",
        "cached_tokens", "completion_tokens_details", "reasoning_tokens", "error", "object", "code", "type",
        "status", "detail", "text", "thinking", "stop", "length", "error", "call_1", "<think>", "</think>",
    )
)  # fmt: skip


def check_chunks(content: bytes) -> None:
    """Each line is a chunk."""
    _answer(content.split(b"\n"))


def _answer(chunks: list[bytes]) -> Message | None:
    """Return the message that the chunks make;

    None where they are refused. Raises where a promise of `ChatAnswerReader` is broken.
    """
    answer = ChatAnswerReader(_SOURCE, _ASKED, random.Random(1), Lessons(FakeClock()), lambda: None)
    deltas: list[Delta] = []
    try:
        at = 0
        while at < len(chunks):
            start = at
            at = answer.take_texts(chunks, start, deltas)
            if at == start:
                answer.take(chunks[start], deltas)
                at += 1
        answer.end(deltas)
        message = answer.message()
    except RequestFailed as failed:
        check_failure(failed)
        return None
    said = "".join(part.text for part in message.parts if isinstance(part, Text | Thinking))
    assert "".join(delta.text for delta in deltas) == said, "followers heard something else than what is kept"
    assert all(delta.text for delta in deltas), "an empty delta"
    ids = [call.id for call in message.tool_calls]
    assert len({*ids, "call_1"}) == len(ids) + 1, f"the calls {ids} are not told apart"
    assert all(call.name and call.id for call in message.tool_calls)
    assert (message.stop_reason == "tool_calls") == bool(ids) or message.stop_reason == "length"
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message, (
        "the store would not give it back"
    )
    return message


def check_failure(failed: RequestFailed) -> None:
    """Check an error of a model's: it tells no secret, and is fit to be told."""
    assert isinstance(failed.error, ModelError)
    assert _SECRET not in failed.error.message, "the secret is told"
    msgspec.json.encode(failed.error.message)
    assert len(failed.error.message) < 1_500, f"an error of {len(failed.error.message)} characters"


# The same text in other pieces --------------------------------------------------------------------

_pieces = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<", "/think>", "thi", "nk>", " ", "\n", "a", "well", "é😀", " " * 40]
    )
    | st.text(max_size=3),
    max_size=10,
)


@given(_pieces, st.lists(st.integers(0, 60), max_size=6))
def _cut_anywhere(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    others = [text[start:end] for start, end in itertools.pairwise(places)]
    whole, one, two = (_answer([_chunk(piece) for piece in cut]) for cut in ([text], pieces, others))
    assert whole == one == two, f"{pieces} and {others} are heard as something else than {text!r}"


def _chunk(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


# Errors -------------------------------------------------------------------------------------------


def check_refusal(content: bytes) -> None:
    """The first line is the `Retry-After`, the second `retry-after-ms`, the rest the body; its length gives
    the status.
    """
    seconds, _, rest = content.partition(b"\n")
    milliseconds, _, body = rest.partition(b"\n")
    headers = {"retry-after": seconds.decode("latin-1"), "retry-after-ms": milliseconds.decode("latin-1")}
    wait = retry_after_s(headers, 1_800_000_000.0)
    assert wait is None or (wait >= 0 and math.isfinite(wait)), f"a wait of {wait} s"
    for status in (300, 400, 401, 404, 413, 429, 499, 500, 503, 599):
        check_failure(refusal(_SOURCE, status, body, wait))
    try:
        told: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return
    check_failure(error_in_answer(_SOURCE, told))


TARGETS = (
    Target(
        "provider-chunks", check_chunks, (*_CHUNKS, b"\n".join(_CHUNKS[:4]), b"\n".join(_CHUNKS[2:4])), _WORDS
    ),
    drawn("provider-text", _cut_anywhere),
    Target(
        "provider-errors",
        check_refusal,
        (
            b"3\n\n" + _CHUNKS[7],
            b"Wed, 21 Oct 2026 07:28:00 GMT\n1500\n" + _CHUNKS[8],
            b'\n\n[{"error":{"status":"UNAVAILABLE","detail":["sk-secret-key"]}}]',
            b"inf\nnan\n<html>",
        ),
        (*_WORDS, b"sk-secret-key", b"sk-secret", b"Wed, 21 Oct 2026", b"GMT", b"+9999", b"1e400"),
    ),
)
