"""Any transcript, in the form that the strictest provider takes."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nanobot.context.history import repair
from nanobot.core.message import (
    Image,
    Message,
    Part,
    ProviderState,
    Role,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user,
)
from nanobot.core.model import ModelRequest
from nanobot.models.lessons import NOTHING, Lesson, Lessons
from nanobot.models.negotiation import Negotiation
from nanobot.models.openai.canonical import BRIDGE, GO_ON, NO_OUTPUT, OPENING, canonical
from nanobot.models.openai.proposals import proposals
from nanobot.models.openai.request import encode
from nanobot.models.refusals import ErrorSource
from nanobot.testing import FakeClock
from tests.unit.models.openai.strict import check, check_deepseek, check_gemini, check_kimi, check_mistral

ANSWER = Message("assistant", (Text("yes"),), "stop")


def called(*ids: str) -> Message:
    return Message("assistant", tuple(ToolCall(id_, "f", "{}") for id_ in ids), "tool_calls")


def told(id_: str, content: str = "done") -> Message:
    return Message("tool", (ToolResult(id_, content),))


def sent(
    messages: tuple[Message, ...],
    notes: str = "",
    *,
    provider: str = "",
    lessons: frozenset[Lesson] = NOTHING,
) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = msgspec.json.decode(body_of(messages, notes, provider, lessons))["messages"]
    return wire


def body_of(
    messages: tuple[Message, ...], notes: str = "", provider: str = "", lessons: frozenset[Lesson] = NOTHING
) -> bytes:
    return encode(
        ModelRequest("Be brief.", canonical(messages), notes=notes),
        model="m",
        limit_field="max_tokens",
        includes_usage=True,
        includes_openai_fields=False,
        extra={},
        provider=provider,
        lessons=lessons,
    )


def attached(provider: str, name: str, value: bytes) -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(value))


texts = st.sampled_from(["", " ", "\n", "a", "words\n\nand more", "é😀"])
states = st.sampled_from(
    [
        None,
        attached("deepseek", "reasoning_content", b"null"),
        attached("moonshot", "reasoning_content", b"null"),
        attached("gemini", "extra_content", b'{"google":{"thought_signature":"S"}}'),
        attached("gemini", "thoughtSignature", b'"S"'),
        attached("anthropic", "signature", b'"s"'),
        attached("openai", "reasoning", b'{"id":"rs_1"}'),
        attached("openrouter", "reasoning_details", b'[{"type":"reasoning.text"}]'),
    ]
)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, texts, states),
    st.builds(Thinking, texts, states),
    st.builds(Image, st.just("data:image/png;base64,AA==")),
    st.builds(
        ToolCall,
        st.sampled_from(["1", "2", "", "abcdefghi", "call_0123456789abcdef01234567", "call_1-1", "toolu_01"]),
        st.sampled_from(["look", "a.b", "", "sö", "n" * 80]),
        st.sampled_from(["{}", "", "{", "[]", '{"a": 1}']),
        st.booleans(),
        states,
    ),
    st.builds(ToolResult, st.sampled_from(["1", "2", "", "abcdefghi", "toolu_01"]), texts),
)
transcripts = st.lists(
    st.builds(
        Message,
        st.sampled_from(get_args(Role)),
        st.lists(parts, max_size=4).map(tuple),
        st.sampled_from([None, *get_args(StopReason)]),
    ),
    max_size=12,
).map(tuple)


@settings(max_examples=1_000)
@given(transcripts)
@example((user("a"), called("1", "2"), told("1"), user("b"), called("1"), user("c")))
def test_whatever_was_stored_the_strictest_provider_takes_it(messages: tuple[Message, ...]) -> None:
    shown = repair(messages)
    if not canonical(shown):
        return
    check(sent(shown))
    check(sent(shown, notes="Today is Monday."))


@given(
    st.lists(st.sampled_from(["a", " ", "words\n\nand more", "é😀"]), max_size=9),
    st.sampled_from(["S", "in two\n\nparts"]),
)
def test_a_summary_before_the_first_question_is_one_message_with_it(said: list[str], summary: str) -> None:
    talk = tuple(
        Message(("user", "assistant")[number % 2], (Text(text),)) for number, text in enumerate(said)
    )
    whole = canonical((user(summary), *talk))
    # What is no text is never a special case.
    image = Image("data:image/png;base64,AA==")
    beside = canonical((Message("user", (image, Text(summary))), *talk))
    parts = tuple([part for part in beside[0].parts if part != image])
    assert whole == (Message("user", parts), *beside[1:])


Check = Callable[[list[dict[str, Any]]], None]
NO_REASONING = Thinking("", attached("moonshot", "reasoning_content", b"null"))
CHECKS: dict[str, Check] = {
    "mistral": check_mistral,
    "deepseek": check_deepseek,
    "moonshot": check_kimi,
    "gemini": check_gemini,
    "openai": check,
}
"""The rules of providers, by the names that state comes under."""


@pytest.mark.parametrize("provider", CHECKS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages=transcripts)
@example(messages=(user("a"), Message("assistant", (NO_REASONING, ToolCall("1", "f", "{}"))), told("1")))
def test_what_a_provider_refuses_it_takes_once_it_is_given_what_it_wants(
    provider: str, messages: tuple[Message, ...]
) -> None:
    """Where it wants a field that is not there, and in each request from then on."""
    shown = repair(messages)
    if not canonical(shown):
        return
    source = ErrorSource(f"{provider}:m", "m", "http://localhost/v1")
    request = ModelRequest("Be brief.", canonical(shown))
    lessons = Lessons(FakeClock())
    negotiation = Negotiation(source, lessons, request, partial(proposals, source.name))
    for _ in range(3):
        body = body_of(shown, provider=provider, lessons=negotiation.lessons)
        refusal = objection(provider, body)
        if refusal is None:
            break
        assert negotiation.adapts(body, 400, refusal)
    assert refusal is None
    negotiation.answered()
    assert lessons.known() == negotiation.lessons


def objection(provider: str, body: bytes) -> bytes | None:
    """Return how a provider refuses a body; None where it takes it."""
    try:
        CHECKS[provider](msgspec.json.decode(body)["messages"])
    except AssertionError as error:
        return msgspec.json.encode({"error": {"message": str(error).partition("\n")[0]}})
    return None


@given(transcripts)
def test_bringing_it_into_the_form_twice_changes_nothing_more(messages: tuple[Message, ...]) -> None:
    once = canonical(repair(messages))
    assert canonical(once) == once


@given(transcripts)
def test_nothing_that_was_said_is_lost(messages: tuple[Message, ...]) -> None:
    shown = repair(messages)
    said = [
        part.text
        for message in shown
        for part in message.parts
        if isinstance(part, Text) and part.text.strip()
    ]
    whole = "\n".join(message.text for message in canonical(shown))
    for text in said:
        position = whole.find(text)
        assert position >= 0
        whole = whole[position:]


@given(transcripts, st.integers(0, 12))
def test_what_was_sent_before_is_sent_again_while_the_conversation_grows(
    messages: tuple[Message, ...], cut: int
) -> None:
    """All but the last message, which may go on."""
    shorter, longer = canonical(repair(messages)[:cut]), canonical(repair(messages))
    if any(message.role == "tool" for message in repair(messages)[:cut][-1:]):
        return
    assert longer[: max(0, len(shorter) - 2)] == shorter[: max(0, len(shorter) - 2)]


def test_a_conversation_of_texts_is_passed_as_it_is() -> None:
    talk = (user("a"), ANSWER, user("b"))
    assert canonical(talk) is talk


def test_texts_behind_a_summary_are_passed_as_they_are() -> None:
    """Neither looked through part by part nor made anew: a full window has hundreds of them."""
    talk = (user("a summary"), user("a"), ANSWER, user("b"), Message("assistant", (Text("no"),)), user("c"))
    whole = canonical(talk)
    assert whole[0] == user("a summary\n\na")
    assert all(sent is said for sent, said in zip(whole[1:], talk[2:], strict=True))


@pytest.mark.parametrize(
    "id_",
    [
        "call_0123456789abcdef01234567",
        "call_1-1",
        "",
        "functions.f:0",
        "toolu_01A",
        "ä",
        "\ud800",
        "123456789",
    ],
)
def test_ids_are_nine_letters_and_digits_and_stay_the_same(id_: str) -> None:
    talk = (user("a"), called(id_), told(id_), ANSWER, user("b"))
    first, second = canonical(talk), canonical((*talk, ANSWER, user("c")))
    (call,) = first[1].tool_calls
    assert len(call.id) == 9 and call.id.isascii() and call.id.isalnum()
    assert second[1].tool_calls == (call,)
    assert first[2].tool_results[0].call_id == call.id
    assert (call.id == id_) == (id_ == "123456789")


def test_one_id_in_two_turns_is_two_ids() -> None:
    whole = canonical((user("a"), called("0"), told("0"), ANSWER, user("b"), called("0"), told("0", "again")))
    first, second = (call.id for message in whole for call in message.tool_calls)
    assert first != second
    assert [result.call_id for message in whole for result in message.tool_results] == [first, second]


def test_ten_thousand_ids_do_not_collide() -> None:
    ids = [f"call_{number}" for number in range(10_000)]
    assert len({call.id for call in canonical((user("a"), called(*ids)))[1].tool_calls}) == 10_000


def test_neighbours_of_one_role_are_one_message() -> None:
    whole = canonical((user("a"), user("b"), ANSWER, Message("assistant", (Text("no"),)), user("c")))
    assert [(message.role, message.text) for message in whole] == [
        ("user", "a\n\nb"),
        ("assistant", "yes\n\nno"),
        ("user", "c"),
    ]
    assert all(one.role != other.role for one, other in pairwise(whole))


def test_a_short_line_stands_between_a_tool_and_a_user() -> None:
    whole = canonical((user("a"), called("1"), told("1"), user("b")))
    assert [message.text for message in whole[3:]] == [BRIDGE, "b"]


def test_a_conversation_that_the_assistant_begins_or_ends_has_a_user_there() -> None:
    assert [message.text for message in canonical((ANSWER,))] == [OPENING, "yes", GO_ON]


def test_blank_texts_and_results_are_not_sent() -> None:
    whole = canonical((user(" "), user("a"), called("1"), told("1", "\n")))
    assert whole[0] == user("a")
    assert whole[-1].tool_results[0].content == NO_OUTPUT
