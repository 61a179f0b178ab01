"""Calls that servers assemble in ways of their own, and errors in the place of an answer."""

import random

import pytest

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelRateLimited,
    ModelRefusedKey,
)
from nanobot.core.event import Delta
from nanobot.core.message import Message, Text, Thinking, ToolCall, user
from nanobot.models.lessons import Lessons
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.refusals import ErrorSource, RequestFailed
from nanobot.testing import FakeClock
from tests.upstream import call, chunk, event, finish, reasoning, text

SOURCE = ErrorSource("test:test-model", "test-model", "http://localhost/v1")
WHOLE = '{"city":"Oslo"}'


def read(*events: bytes) -> Message:
    reader = ChatAnswerReader(SOURCE, (user("hi"),), random.Random(1), Lessons(FakeClock()), lambda: None)
    deltas: list[Delta] = []
    for payload in events:
        reader.take(payload.removeprefix(b"data: ").removesuffix(b"\n\n"), deltas)
    reader.end(deltas)
    return reader.message()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            (call(0, "a", "wea", ""), call(0, None, "ther", ""), call(0, None, None, WHOLE)), id="cut"
        ),
        pytest.param((call(0, "a", "wea"), call(0, "a", "ther", WHOLE)), id="cut, with its id"),
        pytest.param((call(0, "a", "wea"), call(0, "a", "weather", WHOLE)), id="so far"),
        pytest.param((call(0, "a", "weather"), call(0, "a", "weather", WHOLE)), id="repeated"),
    ],
)
def test_a_name_in_pieces_is_one_name(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces, finish("tool_calls")).parts == (ToolCall("a", "weather", WHOLE),)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(("{}", WHOLE), id="behind an empty object"),
        pytest.param(("{}", '{"city"', ':"Oslo"}'), id="in pieces behind an empty object"),
        pytest.param(('{"ci', '{"city":"Os', WHOLE), id="all that there is by now"),
        pytest.param(('"{\\"city\\":', '\\"Oslo\\"}"'), id="encoded twice"),
        pytest.param(("```json\n", WHOLE, "\n```"), id="in a fence"),
        pytest.param((WHOLE, "}"), id="closed twice"),
        pytest.param((WHOLE + "\n", "]}"), id="closed with brackets of a list"),
    ],
)
def test_arguments_that_make_no_object_are_those_that_do(pieces: tuple[str, ...]) -> None:
    first, *others = pieces
    steps = (call(0, "a", "weather", first), *(call(0, None, None, piece) for piece in others))
    assert read(*steps, finish("tool_calls")).parts == (ToolCall("a", "weather", WHOLE),)


def test_arguments_that_are_broken_are_kept_as_they_came() -> None:
    steps = (call(0, "a", "weather", '{"city":'), call(0, None, None, "Oslo}"))
    assert read(*steps, finish("tool_calls")).parts == (ToolCall("a", "weather", '{"city":Oslo}'),)


def test_one_call_that_is_no_list_is_a_call() -> None:
    made = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": WHOLE}}
    steps = (chunk({"tool_calls": made}), finish("tool_calls"))
    assert read(*steps).parts == (ToolCall("a", "weather", WHOLE),)


def test_an_answer_that_only_the_last_message_has_follows_the_thinking() -> None:
    last = {"choices": [{"index": 0, "message": {"content": "Four."}, "finish_reason": "stop"}]}
    thought, said = read(reasoning("two and two"), event(last)).parts
    assert isinstance(thought, Thinking)
    assert (thought.text, said) == ("two and two", Text("Four."))


def test_a_closing_tag_behind_thinking_in_its_own_field_is_no_text() -> None:
    for pieces in (("</think>\n\nFour.",), ("\n</th", "ink>\n", "Four.")):
        assert read(reasoning("hm"), *map(text, pieces), finish()).text == "Four."
    assert read(reasoning("hm"), text("</b> closes"), finish()).text == "</b> closes"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"code": "InternalError", "message": "bang"}, ModelBadAnswer),
        ({"code": 500, "msg": "bang", "success": False}, ModelBadAnswer),
        ({"error_code": 336007, "error_msg": "prompt tokens too long: bang"}, ContextOverflow),
        ({"detail": "Invalid API key: bang"}, ModelRefusedKey),
        (
            {"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "bang"}}]},
            ModelRateLimited,
        ),
        ({"choices": [{"index": "0", "finish_reason": "error", "error": "bang"}]}, ModelBadAnswer),
    ],
)
def test_an_error_in_any_shape_keeps_its_words(said: object, kind: type[ModelError]) -> None:
    with pytest.raises(RequestFailed) as failed:
        read(text("He"), event(said))
    assert type(failed.value.error) is kind
    assert "bang" in failed.value.error.message


@pytest.mark.parametrize("beat", [{"type": "ping"}, {"code": 0, "msg": "ok"}, {"message": "keep-alive"}])
def test_a_heartbeat_is_no_error(beat: object) -> None:
    assert read(event(beat), text("He"), finish()).text == "He"


@pytest.mark.parametrize("arguments", [WHOLE, {"city": "Oslo"}])
@pytest.mark.parametrize("index", [0, "0"])
def test_a_call_may_lack_the_level_of_its_function(index: object, arguments: object) -> None:
    flat = {"index": index, "id": "a", "name": "weather", "arguments": arguments}
    assert read(chunk({"tool_calls": [flat]}), finish("tool_calls")).parts == (
        ToolCall("a", "weather", WHOLE),
    )


@pytest.mark.parametrize("arguments", ["```json\nOslo\n```", WHOLE + " or so", WHOLE + WHOLE, "{'city': 1}"])
def test_arguments_with_words_around_them_stay_as_they_are(arguments: str) -> None:
    said = read(call(0, "a", "weather", arguments), finish("tool_calls"))
    assert said.tool_calls[0].arguments == arguments


@pytest.mark.parametrize(
    "behind", ["DONE", "[done]", '"[DONE]"', '["DONE"]', "[DONE]\n", "<eos>", "{", "\x00", "1,2", '"bye"']
)
def test_what_stands_behind_a_whole_answer_does_not_spoil_it(behind: str) -> None:
    assert read(text("hello"), finish("stop"), event(behind)).text == "hello"


@pytest.mark.parametrize("end", ["DONE", '"[DONE]"', " [done] "])
def test_an_answer_without_a_reason_ends_with_done_in_any_spelling(end: str) -> None:
    assert read(text("hello"), event(end)).text == "hello"


def test_what_is_no_chunk_in_the_middle_of_an_answer_is_an_error() -> None:
    with pytest.raises(RequestFailed, match="not one of a chat completion"):
        read(text("hel"), event("<eos>"), text("lo"), finish("stop"))
