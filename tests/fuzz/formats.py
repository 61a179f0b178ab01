"""What providers answer in formats of their own: Anthropic's, Google's, OpenAI's Responses; and the calls in
what a server could not read.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nanobot.core.event import Delta
from nanobot.core.message import Message, Text, Thinking, ToolCall
from nanobot.models.answer import AnswerReader
from nanobot.models.anthropic.answer import MessagesAnswerReader
from nanobot.models.gemini.answer import ContentReader
from nanobot.models.openai.failed_calls import calls_in
from nanobot.models.openai_responses.answer import ResponseReader
from nanobot.models.refusals import ErrorSource, RequestFailed
from tests import anthropic_api, gemini_api, responses_api
from tests.fuzz.provider import check_failure
from tests.fuzz.target import Target

_SOURCE = ErrorSource("test:m", "m", "https://api.example.org/v1", "sk-secret-key")
_ASKED = (Message("assistant", (ToolCall("call_1", "look", "{}"),), "tool_calls"),)
_OFFERED = frozenset({"look", "now"})


def _nothing() -> None:
    """Nobody learns anything here."""


def _messages() -> AnswerReader:
    return MessagesAnswerReader(_SOURCE, "test", random.Random(1), _nothing)


def _contents() -> AnswerReader:
    return ContentReader(_SOURCE, "test", _ASKED, {"look": "look"}, random.Random(1), _nothing)


def _responses() -> AnswerReader:
    return ResponseReader(_SOURCE, _ASKED, random.Random(1), adapts=lambda body: False, answered=_nothing)


def _lines(reader: Callable[[], AnswerReader]) -> Callable[[bytes], None]:
    """Return the check of an answer that has a payload in each line."""
    return lambda content: _check(reader(), content.split(b"\n"))


def _check(reader: AnswerReader, payloads: Sequence[bytes]) -> None:
    """Check what each reader promises: a failure in words of ours, or a message that is what was shown."""
    deltas: list[Delta] = []
    try:
        for payload in payloads:
            if payload and not reader.done:
                reader.take(payload, deltas)
        reader.end(deltas)
        message = reader.message()
    except RequestFailed as failed:
        check_failure(failed)
        return
    said = "".join(part.text for part in message.parts if isinstance(part, Text | Thinking))
    assert "".join(delta.text for delta in deltas) == said, "followers heard something else than what is kept"
    assert all(delta.text for delta in deltas), "an empty delta"
    ids = [call.id for call in message.tool_calls]
    assert all(call.name and call.id for call in message.tool_calls)
    assert len(set(ids)) == len(ids), f"the calls {ids} are not told apart"
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message, (
        "the store would not give it back"
    )


def check_failed_calls(content: bytes) -> None:
    """What is read from a text are calls of tools that were offered, with an object for arguments."""
    for call in calls_in(content.decode("utf-8", "replace"), _OFFERED):
        assert call.name in _OFFERED
        assert isinstance(msgspec.json.decode(call.arguments), dict)


# What the fuzzer begins with ----------------------------------------------------------------------


def _payloads(events: Sequence[bytes]) -> bytes:
    """Return the data of events, one a line."""
    lines = (line for event in events for line in event.split(b"\n"))
    return b"\n".join(line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: "))


def _steps(*replies: Any) -> tuple[bytes, ...]:
    return tuple(_payloads([step for step in reply.steps if isinstance(step, bytes)]) for reply in replies)


_ANTHROPIC = _steps(
    anthropic_api.answered(*anthropic_api.said("Hel", "lo")),
    anthropic_api.answered(
        *anthropic_api.thought("hm", signature="c2ln"),
        *anthropic_api.called("toolu_1", "look", '{"at"', ':"x"}', index=1),
        reason="tool_use",
    ),
)
_GEMINI = _steps(
    gemini_api.answered(*gemini_api.said("Hel", "lo")),
    gemini_api.answered(
        gemini_api.chunk(gemini_api.thought_part("hm")),
        gemini_api.chunk(gemini_api.call_part("look", {"at": "x"}, id_="f1", signature="c2ln")),
    ),
)
_RESPONSES = _steps(
    responses_api.answered(responses_api.said("Hel", "lo")),
    responses_api.answered(responses_api.called("call_2", "look", '{"at"', ':"x"}')),
    responses_api.answered(responses_api.open_thought("hm"), responses_api.said("Hello", id_="msg_2")),
    responses_api.broken_by("server_error", "oops", responses_api.said("Hel")),
)
_FAILED = (
    b'<tool_call>{"name": "look", "arguments": {"at": "x"}}</tool_call>',
    b'<function=look{"at": "x"}</function>',
    b'look({"at": 1}), now({})',
    b'```json\n[{"type":"function","function":{"name":"now","parameters":"{}"}}]\n```',
)


def _words(*seeds: bytes) -> tuple[bytes, ...]:
    """Return the strings that the seeds have in them, with their quotation marks."""
    strings = {word for seed in seeds for word in seed.split(b'"')[1::2] if len(word) < 40}
    return tuple(sorted(b'"%b"' % word for word in strings))


TARGETS = (
    Target("anthropic-answer", _lines(_messages), _ANTHROPIC, _words(*_ANTHROPIC)),
    Target("gemini-answer", _lines(_contents), _GEMINI, (*_words(*_GEMINI), b'"blockReason"', b'"SAFETY"')),
    Target("responses-answer", _lines(_responses), _RESPONSES, _words(*_RESPONSES)),
    Target("failed-calls", check_failed_calls, _FAILED, _words(*_FAILED)),
)
