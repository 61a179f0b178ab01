"""Any transcript becomes a list of contents that keeps the rules of the Gemini API."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    Part,
    ProviderState,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user,
)
from nanobot.core.model import EVERYTHING, ModelRequest
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.gemini.conversation import ContentTerms, wire_contents, wire_name
from nanobot.models.gemini.request import encode
from nanobot.models.lessons import Lesson
from tests.gemini_api import DUMMY, body_faults, content_faults
from tests.unit.models.gemini.speech import LOOK, state

PNG = "data:image/png;base64,iVBORw0KGgo="
SIGNING = ContentTerms(needs_signatures=True)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts, "stop")


def told(call_id: str, content: str, *, is_error: bool = False) -> Message:
    return Message("tool", (ToolResult(call_id, content, is_error),))


def sent(*messages: Message, notes: str = "", terms: ContentTerms = SIGNING) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = msgspec.json.decode(
        msgspec.json.encode(wire_contents(messages, terms, notes=notes))
    )
    return wire


# Any transcript -----------------------------------------------------------------------------------

WORDS = st.sampled_from(["", " ", "\n\n", "hi", "what?", "  so ", '{"a": 1}']) | st.text(max_size=8)
IDS = st.sampled_from(["a", "b", "functions.look:0", "", "é", "x" * 80, "call_" + "0" * 24, "a-1"])
NAMES = st.sampled_from(["look", "calculate", "a.b", "", "n" * 200, "sö", "1st", "-x"])
ARGUMENTS = st.sampled_from(["", " ", "{}", '{"at": "x"}', "[1]", "3", "{nope", '{"a": NaN}', "null"])
STATES = st.sampled_from(
    [
        None,
        state("c2ln"),
        state("ZGF0YQ=="),
        state("s", name="signature", provider="anthropic"),
        state("c2ln", provider="vertex"),
        ProviderState("gemini", "extra_content", msgspec.Raw(b'{"google":{"thought_signature":"c2ln"}}')),
        ProviderState("gemini", "extra_content", msgspec.Raw(b'{"google":[]}')),
        ProviderState("gemini", "extra_content", msgspec.Raw(b"7")),
    ]
)
URLS = st.sampled_from(
    [
        PNG,
        "data:image/gif;base64,AA==",
        "data:image/svg+xml;base64,AA==",
        "https://example.com/a.png",
        "",
        "x",
    ]
)
PARTS: dict[str, st.SearchStrategy[Part]] = {
    "user": st.builds(Text, WORDS)
    | st.builds(Image, URLS)
    | st.builds(File, WORDS, WORDS)
    | st.builds(Audio, st.just("AAAA"), st.sampled_from(["wav", "mp3", "x/y"])),
    "assistant": st.builds(Text, WORDS, STATES)
    | st.builds(Thinking, WORDS, STATES)
    | st.builds(ToolCall, IDS, NAMES, ARGUMENTS, st.booleans(), STATES),
    "tool": st.builds(ToolResult, IDS, WORDS, st.booleans()),
}
MESSAGES = st.one_of(
    *(
        st.builds(Message, st.just(role), st.lists(parts, max_size=4).map(tuple))
        for role, parts in PARTS.items()
    )
)
TRANSCRIPTS = st.lists(MESSAGES, max_size=10).map(tuple)
TERMS = st.builds(
    ContentTerms,
    st.just("gemini"),
    replays=st.booleans(),
    needs_signatures=st.just(True),
    sends_ids=st.booleans(),
    images=st.booleans(),
    audio=st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(TRANSCRIPTS, WORDS, TERMS)
def test_any_transcript_keeps_the_rules_of_the_api(
    messages: tuple[Message, ...], notes: str, terms: ContentTerms
) -> None:
    assert content_faults(sent(*messages, notes=notes, terms=terms)) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS)
def test_nothing_that_users_wrote_and_no_answer_to_a_call_is_lost(messages: tuple[Message, ...]) -> None:
    shown = [part for content in sent(*messages) for part in content["parts"]]
    texts = [part["text"] for part in shown if "text" in part]
    for message in messages:
        for part in message.parts:
            if isinstance(part, Text) and message.role == "user" and part.text.strip():
                assert part.text in texts
    calls = [call for message in messages if message.role == "assistant" for call in message.tool_calls]
    assert sum("functionResponse" in part for part in shown) == len(calls)


@settings(deadline=None, max_examples=120)
@given(
    TRANSCRIPTS,
    WORDS,
    st.sampled_from([None, "none", "minimal", "low", "high", "max"]),
    st.sampled_from(["gemini-3-pro", "gemini-2.5-pro", "gemini-2.0-flash", "gemini-flash-latest", "gemma-3"]),
    st.booleans(),
    st.sets(st.sampled_from([Lesson("omit", "parametersJsonSchema"), Lesson("omit", "systemInstruction")])),
)
def test_any_request_keeps_the_rules_of_the_api(
    messages: tuple[Message, ...],
    system: str,
    effort: str | None,
    model: str,
    has_tools: bool,
    lessons: set[Lesson],
) -> None:
    request = ModelRequest(
        system,
        messages,
        (LOOK, tool_spec("2nd", "", {"type": "object"})) if has_tools else (),
        sampling=Sampling(temperature=1.5, reasoning_effort=effort, stop=tuple("abcdefg")),
        tool_choice=ToolChoice("required", "2nd"),
        format=OutputFormat("json_object"),
    )
    body = encode(request, model=model, provider="gemini", abilities=EVERYTHING, lessons=frozenset(lessons))
    is_signing = "gemini-3" in model or "latest" in model
    assert body_faults(msgspec.json.decode(body), is_signing=is_signing) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS, TRANSCRIPTS)
def test_what_was_sent_stays_the_same_when_a_turn_follows(
    messages: tuple[Message, ...], more: tuple[Message, ...]
) -> None:
    """The prompt cache hits up to the last question: an older message does not depend on what follows."""
    question = user("and now?")
    before = sent(*messages, question)
    after = sent(*messages, question, assistant(Text("so")), *more)
    assert after[: len(before)] == before


# One by one ---------------------------------------------------------------------------------------


def test_a_conversation_with_a_call_has_this_form() -> None:
    wire = sent(
        user("what time?"),
        assistant(Text("I look."), ToolCall("f1", "look", '{"at": "x"}', provider_state=state("c2ln"))),
        told("f1", "noon"),
        assistant(Text("Noon.")),
        user("thanks"),
        notes="Today is Monday.",
    )
    call = {"id": "f1", "name": "look", "args": {"at": "x"}}
    assert wire == [
        {"role": "user", "parts": [{"text": "what time?"}]},
        {
            "role": "model",
            "parts": [{"text": "I look."}, {"functionCall": call, "thoughtSignature": "c2ln"}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "f1", "name": "look", "response": {"output": "noon"}}}],
        },
        {"role": "model", "parts": [{"text": "Noon."}]},
        {"role": "user", "parts": [{"text": "thanks"}, {"text": "Today is Monday."}]},
    ]


def test_what_was_signed_goes_back_part_by_part() -> None:
    parts = (
        Thinking("hm", state("YQ==")),
        Text("It "),
        Text("is.", state("Yg==")),
        Text("", state("Yw==")),
        Thinking("no signature"),
    )
    assert sent(user("go"), assistant(*parts), user("on"))[1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "It "},
        {"text": "is.", "thoughtSignature": "Yg=="},
        {"text": "", "thoughtSignature": "Yw=="},
    ]


def test_of_calls_side_by_side_only_the_first_needs_a_signature() -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    wire = sent(user("go"), assistant(*calls), told("b", "two"), told("a", "one"))
    assert [part.get("thoughtSignature") for part in wire[1]["parts"]] == [DUMMY, None]
    assert [part["functionResponse"]["response"] for part in wire[2]["parts"]] == [
        {"output": "one"},
        {"output": "two"},
    ]


def test_a_signature_of_another_provider_stays_here() -> None:
    call = ToolCall("a", "look", "{}", provider_state=state("c2ln", provider="vertex"))
    assert sent(user("go"), assistant(call), told("a", "x"))[1]["parts"][0]["thoughtSignature"] == DUMMY


def test_a_signature_that_came_in_the_format_of_openai_goes_back_in_this_one() -> None:
    attached = ProviderState("gemini", "extra_content", msgspec.Raw(b'{"google":{"thought_signature":"S"}}'))
    call = ToolCall("a", "look", "{}", provider_state=attached)
    assert sent(user("go"), assistant(call), told("a", "x"))[1]["parts"][0]["thoughtSignature"] == "S"


def test_ids_go_back_where_they_were_given_and_once() -> None:
    made_here = "call_0123456789abcdef01234567"
    calls = (ToolCall("a", "look", "{}"), ToolCall(made_here, "look", "{}"))
    step = (assistant(*calls), told("a", "x"), told(made_here, "y"))
    wire = sent(user("go"), *step, *step)
    assert [
        part[kind].get("id")
        for content in wire
        for part in content["parts"]
        for kind in ("functionCall", "functionResponse")
        if kind in part
    ] == ["a", None, "a", None, None, None, None, None]


def test_a_failed_call_and_one_without_a_result_are_answered_so() -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    wire = sent(user("go"), assistant(*calls), told("a", "no such place", is_error=True), user("well?"))
    failed, missing = (part["functionResponse"]["response"] for part in wire[2]["parts"])
    assert failed == {"error": "no such place"}
    assert "No result" in missing["error"]
    assert [content["role"] for content in wire] == ["user", "model", "user", "model", "user"]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    wire = sent(user("go"), assistant(ToolCall("a", "look", "[1]")), told("a", "x"))
    assert wire[1]["parts"][0]["functionCall"]["args"] == {"malformed": "[1]"}


def test_images_recordings_and_files_go_as_the_api_takes_them() -> None:
    parts = (Image(PNG), Image("https://example.com/a.png"), Audio("UklG", "wav"), File("a.pdf", "words"))
    assert sent(Message("user", parts))[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"fileUri": "https://example.com/a.png"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
        {"text": File("a.pdf", "words").shown},
    ]
    noted = sent(Message("user", parts), terms=ContentTerms(images=False, audio=False))[0]["parts"]
    assert all("text" in part for part in noted)
    assert "text" in sent(Message("user", (Image("data:image/gif;base64,AA=="),)))[0]["parts"][0]


def test_an_answer_that_comes_first_or_last_is_framed_by_words_of_a_user() -> None:
    assert [content["role"] for content in sent(assistant(Text("Hi")))] == ["user", "model", "user"]


@pytest.mark.parametrize(
    ("name", "wire"),
    [("look", "look"), ("a-b.c", "a-b.c"), ("2nd", "_2nd"), ("-x", "_-x"), ("sö", "s_"), ("", "_")],
)
def test_names_of_tools_begin_with_a_letter_or_an_underscore(name: str, wire: str) -> None:
    assert wire_name(name) == wire
