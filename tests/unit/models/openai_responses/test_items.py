"""Any transcript becomes a list of items that keeps the rules of the Responses API."""

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
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user,
)
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.openai_responses.items import Taken, input_items
from nanobot.models.openai_responses.request import encode
from nanobot.models.openai_responses.responses import ABILITIES
from tests.responses_api import body_faults, input_faults
from tests.unit.models.openai_responses.talk import LOOK, looked, reasoning, state

PNG = "data:image/png;base64,iVBORw0KGgo="
OPENAI = Taken("openai")


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts, "stop")


def told(call_id: str, content: str) -> Message:
    return Message("tool", (ToolResult(call_id, content),))


def sent(*messages: Message, notes: str = "", taken: Taken = OPENAI) -> list[dict[str, Any]]:
    """Return the items as the API gets them."""
    items = msgspec.json.encode(input_items(messages, notes=notes, taken=taken))
    return msgspec.json.decode(items)  # type: ignore[no-any-return]


def heard(words: str) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}


def said(words: str, **fields: object) -> dict[str, object]:
    content = [{"type": "output_text", "text": words}]
    return {"type": "message", "role": "assistant", "content": content, **fields}


# Any transcript -----------------------------------------------------------------------------------

WORDS = st.sampled_from(["", " ", "\n\n", "hi", "what?", "  so ", '{"a": 1}']) | st.text(max_size=8)
IDS = st.sampled_from(["a", "b", "call_1", "functions.look:0", "", "é", "x" * 80, "x" * 64, "a-1"])
NAMES = st.sampled_from(["look", "calculate", "a.b", "", "n" * 200, "sö"])
ARGUMENTS = st.sampled_from(["", " ", "{}", '{"at": "x"}', "[1]", "3", "{nope", '{"a": NaN}', "null"])
THOUGHTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Thinking, WORDS),
    st.builds(reasoning, st.sampled_from(["rs_1", "rs_2"]), text=WORDS),
    st.just(reasoning("rs_3", provider="azure")),
    st.just(Thinking("t", state("reasoning_content", None))),
)
TEXTS: st.SearchStrategy[Part] = st.builds(
    Text, WORDS, st.sampled_from([None, state("phase", "commentary"), state("phase", "x", provider="xai")])
)
URLS = st.sampled_from([PNG, "data:image/svg+xml;base64,AA==", "https://example.com/a.png", "nonsense", ""])
PARTS: dict[str, st.SearchStrategy[Part]] = {
    "user": st.builds(Text, WORDS)
    | st.builds(Image, URLS, st.sampled_from([None, "low"]))
    | st.builds(File, WORDS, WORDS)
    | st.just(Audio("AAAA", "wav")),
    "assistant": TEXTS | THOUGHTS | st.builds(ToolCall, IDS, NAMES, ARGUMENTS),
    "tool": st.builds(ToolResult, IDS, WORDS, st.booleans()),
}
MESSAGES = st.one_of(
    *(
        st.builds(Message, st.just(role), st.lists(parts, max_size=4).map(tuple))
        for role, parts in PARTS.items()
    )
)
TRANSCRIPTS = st.lists(MESSAGES, max_size=10).map(tuple)


@settings(deadline=None, max_examples=300)
@given(TRANSCRIPTS, WORDS)
def test_any_transcript_keeps_the_rules_of_the_api(messages: tuple[Message, ...], notes: str) -> None:
    assert input_faults(sent(*messages, notes=notes)) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS)
def test_nothing_that_was_said_and_no_answer_to_a_call_is_lost(messages: tuple[Message, ...]) -> None:
    items = sent(*messages)
    texts = [part["text"] for item in items for part in item.get("content", ()) if "text" in part]
    for message in messages:
        for part in message.parts:
            if isinstance(part, Text) and part.text.strip() and message.role != "tool":
                assert part.text in texts
    calls = [call for message in messages if message.role == "assistant" for call in message.tool_calls]
    assert sum(item["type"] == "function_call_output" for item in items) == len(calls)


EFFORTS = st.sampled_from([None, "none", "minimal", "high"])
MODELS = st.sampled_from(["gpt-5", "gpt-4.1", "openai/gpt-oss-120b"])
FORMS = st.sampled_from([None, OutputFormat("json_object"), OutputFormat("json_schema", description="d")])


@settings(deadline=None, max_examples=120)
@given(TRANSCRIPTS, WORDS, EFFORTS, MODELS, FORMS, st.sampled_from([None, 1, 3_000]))
def test_any_request_keeps_the_rules_of_the_api(
    messages: tuple[Message, ...],
    system: str,
    effort: str | None,
    model: str,
    form: OutputFormat | None,
    limit: int | None,
) -> None:
    request = ModelRequest(
        system,
        messages,
        (LOOK,),
        sampling=Sampling(
            1.5, 0.5, limit, ("END",), seed=7, presence_penalty=1, reasoning_effort=effort, verbosity="low"
        ),
        tool_choice=ToolChoice("required"),
        format=form,
    )
    body = encode(
        request, model=model, includes_openai_fields=True, extra={}, abilities=ABILITIES, taken=OPENAI
    )
    assert body_faults(msgspec.json.decode(body)) == []


@settings(deadline=None, max_examples=80)
@given(TRANSCRIPTS, TRANSCRIPTS)
def test_what_was_sent_stays_the_same_when_a_turn_follows(
    messages: tuple[Message, ...], more: tuple[Message, ...]
) -> None:
    """The prompt cache hits up to the last question: an older message does not depend on what follows."""
    before = sent(*messages, user("and now?"))
    after = sent(*messages, user("and now?"), assistant(Text("so")), *more)
    assert after[: len(before)] == before


# One by one ---------------------------------------------------------------------------------------


def test_a_conversation_with_a_call_has_this_form() -> None:
    items = sent(
        user("what time?"),
        assistant(reasoning("rs_1"), Text("I look."), ToolCall("call_1", "look", '{"at": "x"}')),
        told("call_1", "noon"),
        assistant(Text("Noon.", state("phase", "final_answer"))),
        user("thanks"),
        notes="Today is Monday.",
    )
    thanks = heard("thanks")
    assert isinstance(thanks["content"], list)
    thanks["content"].append({"type": "input_text", "text": "Today is Monday."})
    assert items == [
        heard("what time?"),
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        said("I look."),
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "x"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
        said("Noon.", phase="final_answer"),
        thanks,
    ]


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


def test_reasoning_stays_before_what_came_of_it() -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    items = sent(user("go"), assistant(reasoning("rs_1"), calls[0], reasoning("rs_2"), calls[1]))
    assert kinds(items)[1:] == [
        "reasoning",
        "function_call",
        "reasoning",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]


def test_reasoning_of_which_nothing_came_stays_here() -> None:
    assert kinds(sent(user("go"), assistant(Text("so"), reasoning("rs_1")), user("on"))) == ["message"] * 3


def test_reasoning_goes_once_and_to_its_own_provider_alone() -> None:
    twice = (reasoning("rs_1"), reasoning("rs_1"), Text("so"))
    assert kinds(sent(user("go"), assistant(*twice), user("on"))).count("reasoning") == 1
    other = assistant(reasoning("rs_1", provider="azure"), Thinking("hm"), Text("so"))
    assert "reasoning" not in kinds(sent(user("go"), other, user("on")))


def test_results_of_one_step_come_in_the_order_of_its_calls_before_what_users_said() -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    items = sent(user("go"), assistant(*calls), told("b", "two"), user("meanwhile"), told("a", "one"))
    assert [item.get("output") for item in items[3:]] == ["one", "two", None]


def test_a_call_without_a_result_is_answered_so() -> None:
    items = sent(user("go"), assistant(ToolCall("a", "look", "{}")), user("well?"))
    assert "No result" in items[2]["output"]


def test_ids_of_other_providers_are_made_fit_and_stay_with_their_results() -> None:
    step = (assistant(ToolCall("functions.look:0", "look", "{}")), told("functions.look:0", "x"))
    items = sent(user("go"), *step, *step)
    calls = [item["call_id"] for item in items if item["type"] == "function_call"]
    assert calls == [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert len(set(calls)) == 2


def test_images_go_as_they_are_and_a_note_stands_for_what_is_not_taken() -> None:
    message = Message(
        "user", (Image(PNG, "low"), Image("data:image/bmp;base64,AA"), File("a", "b"), Audio("A", "wav"))
    )
    image, *notes = sent(message)[0]["content"]
    assert image == {"type": "input_image", "image_url": PNG, "detail": "low"}
    assert [note["text"].split()[-1] for note in notes] == [
        "it.)",
        File("a", "b").shown.split()[-1],
        "it.)",
    ]
    blind = sent(message, taken=Taken("openai", images=False))[0]["content"]
    assert [part["type"] for part in blind] == ["input_text"] * 4


def test_an_answer_that_comes_last_is_followed_by_a_user() -> None:
    assert sent(assistant(Text("Hi"))) == [said("Hi"), heard("Continue.")]
    assert sent(assistant(Text("Hi")), notes="Monday.") == [said("Hi"), heard("Monday.")]


def test_refused_reasoning_alone_is_left_out() -> None:
    messages = (user("go"), *looked("1"), *looked("2"))
    first = messages[1].parts[0]
    assert isinstance(first, Thinking)
    assert first.provider_state is not None
    refused = frozenset({hash(bytes(first.provider_state.value))})
    items = sent(*messages, taken=Taken("openai", refused=refused))
    assert [item["id"] for item in items if item["type"] == "reasoning"] == ["rs_2"]
