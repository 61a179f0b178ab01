"""Any transcript becomes a list of messages that keeps the rules of the Messages API."""

from typing import Any

import msgspec
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
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import Sampling
from nanobot.models.anthropic.conversation import Replay, wire_messages
from nanobot.models.anthropic.request import encode
from tests.anthropic_api import body_faults, message_faults

PNG = "data:image/png;base64,iVBORw0KGgo="
LOOK = tool_spec("look", "Look.", {"type": "object"})


def state(value: str, *, name: str = "signature", provider: str = "anthropic") -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(msgspec.json.encode(value)))


SIGNED = Thinking("hm", state("c2ln"))
REDACTED = Thinking("", state("c2VjcmV0", name="redacted_thinking"))


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts, "stop")


def told(call_id: str, content: str, *, is_error: bool = False) -> Message:
    return Message("tool", (ToolResult(call_id, content, is_error),))


def sent(*messages: Message, notes: str = "", replay: Replay = "all") -> list[dict[str, Any]]:
    """Return the list as the API gets it, without marks for the cache."""
    wire = msgspec.json.decode(msgspec.json.encode(wire_messages(messages, notes=notes, replay=replay)))
    for message in wire:
        for block in message["content"]:
            block.pop("cache_control", None)
    return wire  # type: ignore[no-any-return]


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


# Any transcript -----------------------------------------------------------------------------------

WORDS = st.sampled_from(["", " ", "\n\n", "hi", "what?", "  so ", '{"a": 1}']) | st.text(max_size=8)
IDS = st.sampled_from(["a", "b", "toolu_1", "functions.look:0", "", "é", "x" * 80, "a-1"])
NAMES = st.sampled_from(["look", "calculate", "a.b", "", "n" * 200, "sö"])
ARGUMENTS = st.sampled_from(["", " ", "{}", '{"at": "x"}', "[1]", "3", "{nope", '{"a": NaN}', "null"])
STATES = st.sampled_from(
    [
        None,
        state("c2ln"),
        state("ZGF0YQ==", name="redacted_thinking"),
        state("s", name="thought_signature"),
        state("s", provider="gemini"),
    ]
)
URLS = st.sampled_from([PNG, "data:image/svg+xml;base64,AA==", "https://example.com/a.png", "nonsense", ""])
PARTS: dict[str, st.SearchStrategy[Part]] = {
    "user": st.builds(Text, WORDS)
    | st.builds(Image, URLS)
    | st.builds(File, WORDS, WORDS)
    | st.just(Audio("AAAA", "wav")),
    "assistant": st.builds(Text, WORDS)
    | st.builds(Thinking, WORDS, STATES)
    | st.builds(ToolCall, IDS, NAMES, ARGUMENTS),
    "tool": st.builds(ToolResult, IDS, WORDS, st.booleans()),
}
MESSAGES = st.one_of(
    *(
        st.builds(Message, st.just(role), st.lists(parts, max_size=4).map(tuple))
        for role, parts in PARTS.items()
    )
)
TRANSCRIPTS = st.lists(MESSAGES, max_size=10).map(tuple)
REPLAYS: st.SearchStrategy[Replay] = st.sampled_from(["all", "turn", "none"])


@settings(deadline=None, max_examples=150)
@given(TRANSCRIPTS, WORDS, REPLAYS)
def test_any_transcript_keeps_the_rules_of_the_api(
    messages: tuple[Message, ...], notes: str, replay: Replay
) -> None:
    assert message_faults(sent(*messages, notes=notes, replay=replay)) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS)
def test_nothing_that_users_wrote_and_no_answer_to_a_shown_call_is_lost(
    messages: tuple[Message, ...],
) -> None:
    shown = [block for message in sent(*messages) for block in message["content"]]
    texts = [block["text"] for block in shown if block["type"] == "text"]
    for message in messages:
        for part in message.parts:
            if isinstance(part, Text) and message.role == "user" and part.text.strip():
                assert part.text in texts
    calls = [call for message in messages if message.role == "assistant" for call in message.tool_calls]
    assert sum(block["type"] == "tool_result" for block in shown) == len(calls)


EFFORTS = st.sampled_from([None, "none", "minimal", "low", "high"])
MODELS = st.sampled_from(["claude-haiku-5-5", "claude-sonnet-4-5", "claude-3-5-haiku-latest", "other"])


@settings(deadline=None, max_examples=120)
@given(TRANSCRIPTS, WORDS, EFFORTS, MODELS, st.booleans(), st.sampled_from([None, 8, 3_000]))
def test_any_request_keeps_the_rules_of_the_api(
    messages: tuple[Message, ...],
    system: str,
    effort: str | None,
    model: str,
    has_tools: bool,
    limit: int | None,
) -> None:
    request = ModelRequest(
        system,
        messages,
        (LOOK,) if has_tools else (),
        sampling=Sampling(temperature=1.5, top_p=0.5, reasoning_effort=effort, max_output_tokens=limit),
        tool_choice=ToolChoice("required"),
    )
    body = encode(request, model=model, provider="anthropic", context_tokens=200_000)
    assert body_faults(msgspec.json.decode(body)) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS, TRANSCRIPTS)
def test_what_was_sent_stays_the_same_when_a_turn_follows(
    messages: tuple[Message, ...], more: tuple[Message, ...]
) -> None:
    """The prompt cache hits up to the last question: an older message does not depend on what follows."""
    question = user("and now?")
    before = sent(*messages, question)
    after = sent(*messages, question, assistant(Text("so")), *more)
    assert after[: len(before) - 1] == before[:-1]
    assert after[len(before) - 1]["content"][: len(before[-1]["content"])] == before[-1]["content"]


# One by one ---------------------------------------------------------------------------------------


def test_a_conversation_with_a_call_has_this_form() -> None:
    wire = sent(
        user("what time?"),
        assistant(SIGNED, Text("I look."), ToolCall("toolu_1", "look", '{"at": "x"}')),
        told("toolu_1", "noon"),
        assistant(Text("Noon.")),
        user("thanks"),
        notes="Today is Monday.",
    )
    assert wire == [
        {"role": "user", "content": [text("what time?")]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                text("I look."),
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "x"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}]},
        {"role": "assistant", "content": [text("Noon.")]},
        {"role": "user", "content": [text("thanks"), text("Today is Monday.")]},
    ]


def test_results_of_one_step_come_in_the_order_of_its_calls_before_what_users_said() -> None:
    wire = sent(
        user("go"),
        assistant(ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")),
        told("b", "two"),
        user("meanwhile"),
        told("a", "one"),
    )
    assert [block.get("content") or block["text"] for block in wire[-1]["content"]] == [
        "one",
        "two",
        "meanwhile",
    ]


def test_a_call_without_a_result_is_answered_so() -> None:
    wire = sent(user("go"), assistant(ToolCall("a", "look", "{}")), user("well?"))
    result, words = wire[-1]["content"]
    assert result["is_error"]
    assert "No result" in result["content"]
    assert words == text("well?")


def test_ids_of_other_providers_are_made_fit_and_stay_with_their_results() -> None:
    step = (assistant(ToolCall("functions.look:0", "look", "{}")), told("functions.look:0", "x"))
    wire = sent(user("go"), *step, *step)
    ids = [block["id"] for message in wire for block in message["content"] if block["type"] == "tool_use"]
    answered = [
        block["tool_use_id"]
        for message in wire
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert ids == answered
    assert len(set(ids)) == 2


def test_arguments_that_are_no_object_are_wrapped() -> None:
    wire = sent(user("go"), assistant(ToolCall("a", "look", "[1]")), told("a", "x"))
    assert wire[1]["content"][0]["input"] == {"malformed": "[1]"}


def test_an_image_goes_as_its_data_or_its_address() -> None:
    wire = sent(
        Message("user", (Image(PNG), Image("https://example.com/a.png"), Image("data:image/bmp;base64,AA")))
    )
    data, address, note = wire[0]["content"]
    assert data["source"] == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert address["source"] == {"type": "url", "url": "https://example.com/a.png"}
    assert "image" in note["text"]


def test_a_file_goes_as_its_text_and_a_recording_as_a_note() -> None:
    wire = sent(Message("user", (File("a.pdf", "words"), Audio("AAAA", "wav"))))
    assert wire[0]["content"][0] == text(File("a.pdf", "words").shown)
    assert "recording" in wire[0]["content"][1]["text"]


def test_an_answer_that_comes_first_or_last_is_framed_by_words_of_a_user() -> None:
    assert [message["role"] for message in sent(assistant(Text("Hi")))] == ["user", "assistant", "user"]


def test_text_after_a_call_goes_before_it() -> None:
    wire = sent(user("go"), assistant(ToolCall("a", "look", "{}"), Text("I look.")), told("a", "x"))
    assert [block["type"] for block in wire[1]["content"]] == ["text", "tool_use"]


# Thinking -----------------------------------------------------------------------------------------

LOOKED = (assistant(SIGNED, ToolCall("a", "look", "{}")), told("a", "x"))


def thoughts(wire: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [
        (at, block.get("signature") or block["data"])
        for at, message in enumerate(wire)
        for block in message["content"]
        if block["type"] in ("thinking", "redacted_thinking")
    ]


def test_thinking_goes_back_with_its_signature_whether_or_not_it_has_words() -> None:
    wire = sent(user("go"), assistant(Thinking("", state("a")), REDACTED, Text("so")), user("on"))
    assert wire[1]["content"][:2] == [
        {"type": "thinking", "thinking": "", "signature": "a"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]


def test_thinking_without_a_signature_or_of_another_provider_stays_here() -> None:
    other = Thinking("hm", state("s", provider="gemini"))
    assert thoughts(sent(user("go"), assistant(Thinking("hm"), other, Text("so")), user("on"))) == []


def test_only_the_thinking_of_this_turn_is_replayed_where_that_is_asked_for() -> None:
    messages = (user("1"), *LOOKED, assistant(Text("done")), user("2"), *LOOKED)
    assert [at for at, _ in thoughts(sent(*messages))] == [1, 5]
    assert [at for at, _ in thoughts(sent(*messages, replay="turn"))] == [5]
    assert thoughts(sent(*messages, replay="none")) == []


# Marks for the prompt cache -----------------------------------------------------------------------


def marks(wire: list[Any]) -> list[tuple[int, int]]:
    return [
        (at, block_at)
        for at, message in enumerate(wire)
        for block_at, block in enumerate(message.content)
        if getattr(block, "cache_control", None) is not None
    ]


def test_the_last_question_is_marked_before_the_notes_which_change() -> None:
    messages = (user("1"), assistant(Text("one")), user("2"))
    assert marks(wire_messages(messages, notes="Today is Monday.")) == [(2, 0)]
    assert marks(wire_messages(messages)) == [(2, 0)]


def test_the_newest_results_are_marked_besides() -> None:
    assert marks(wire_messages((user("1"), *LOOKED), notes="Today is Monday.")) == [(0, 0), (2, 0)]
