"""The bytes of a request, as golden text."""

from typing import Any, Literal

import msgspec
import pytest

from nanobot.core.message import Audio, File, Image, Message, Text, Thinking, ToolCall, ToolResult, user
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import Labels, OutputFormat, Sampling
from nanobot.models.openai.request import encode

CLOCK = tool_spec(
    "current_time", "Tell the time.", {"type": "object", "properties": {"zone": {"type": "string"}}}
)
CALLED = Message(
    "assistant",
    (Thinking("hm"), Text("Let me see."), ToolCall("c1", "current_time", '{"zone": "UTC"}')),
    "tool_calls",
)
TOLD = Message("tool", (ToolResult("c1", "12:00"),))


def body(
    request: ModelRequest,
    *,
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    includes_usage: bool = True,
    includes_openai_fields: bool = False,
    extra: dict[str, object] | None = None,
    abilities: frozenset[Ability] = frozenset(),
) -> bytes:
    return encode(
        request,
        model="m",
        limit_field=limit_field,
        includes_usage=includes_usage,
        includes_openai_fields=includes_openai_fields,
        extra=extra or {},
        abilities=abilities,
    )


def sent(
    *messages: Message, system: str = "", notes: str = "", abilities: frozenset[Ability] = frozenset()
) -> Any:
    return msgspec.json.decode(body(ModelRequest(system, messages, notes=notes), abilities=abilities))[
        "messages"
    ]


def test_a_whole_request_has_these_bytes() -> None:
    request = ModelRequest(
        "Be brief.",
        (
            user("What time is it?"),
            CALLED,
            TOLD,
            Message("assistant", (Text("Noon."),), "stop"),
            user("Thanks"),
        ),
        (CLOCK,),
        "Today is Monday.",
        Sampling(0.5, 0.9, 100, ("END",), 7, 0.1, 0.2, "low"),
        "hint",
    )
    assert body(
        request, includes_openai_fields=True, limit_field="max_completion_tokens", extra={"top_k": 1}
    ) == (
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"prompt_cache_key":"hint",'
        b'"tools":[{"type":"function","function":{"name":"current_time","description":"Tell the time.",'
        b'"parameters":{"type":"object","properties":{"zone":{"type":"string"}}}}}],'
        b'"temperature":0.5,"top_p":0.9,"max_completion_tokens":100,"stop":["END"],"seed":7,"presence_penalty":0.1,'
        b'"frequency_penalty":0.2,"reasoning_effort":"low","top_k":1,"messages":['
        b'{"role":"system","content":"Be brief."},'
        b'{"role":"user","content":"What time is it?"},'
        b'{"role":"assistant","content":"Let me see.","tool_calls":[{"type":"function","id":"c1",'
        b'"function":{"name":"current_time","arguments":"{\\"zone\\": \\"UTC\\"}"}}]},'
        b'{"role":"tool","tool_call_id":"c1","content":"12:00"},'
        b'{"role":"assistant","content":"Noon."},'
        b'{"role":"user","content":"Thanks\\n\\nToday is Monday."}]}'
    )


def test_what_the_client_asked_of_tools_and_form_has_these_bytes() -> None:
    form = OutputFormat(
        "json_schema", "city", msgspec.Raw(b'{"type":"object"}'), strict=True, description="A city."
    )
    request = ModelRequest(
        "",
        (user("hi"),),
        (CLOCK,),
        sampling=Sampling(parallel_tool_calls=False),
        tool_choice=ToolChoice("required", "current_time"),
        format=form,
    )
    sent = msgspec.json.decode(body(request, abilities=frozenset({"json_schema"})))
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == (
        {"type": "function", "function": {"name": "current_time"}},
        False,
    )
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "city",
            "schema": {"type": "object"},
            "strict": True,
            "description": "A city.",
        },
    }
    asked = msgspec.json.decode(body(msgspec.structs.replace(request, tool_choice=ToolChoice("required"))))
    assert asked["tool_choice"] == "required" and "response_format" not in asked, (
        "not asked of a model that cannot"
    )
    plain = ModelRequest(
        "", (user("hi"),), format=OutputFormat("json_object"), sampling=Sampling(parallel_tool_calls=True)
    )
    asked = msgspec.json.decode(body(plain, abilities=frozenset({"json_object"})))
    assert asked["response_format"] == {"type": "json_object"} and "parallel_tool_calls" not in asked, (
        "which is nothing without tools"
    )


def test_who_the_user_is_goes_to_openai_alone() -> None:
    request = ModelRequest("", (user("hi"),), labels=Labels({"a": "b"}, "u", "s"))
    to_openai = msgspec.json.decode(body(request, includes_openai_fields=True))
    assert (to_openai["user"], to_openai["safety_identifier"]) == ("u", "s") and "metadata" not in to_openai
    assert not {"user", "safety_identifier", "metadata"} & set(msgspec.json.decode(body(request)))


def test_only_what_is_set_is_sent() -> None:
    request = ModelRequest("", (user("hi"),), session_hint="hint")
    assert (
        body(request, includes_usage=False)
        == b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    )


def test_a_setting_of_zero_is_sent() -> None:
    assert b'"temperature":0.0,"seed":0' in body(
        ModelRequest("", (user("hi"),), sampling=Sampling(temperature=0.0, seed=0))
    )


def test_the_body_of_the_next_turn_begins_with_this_one() -> None:
    """Whatever joins the conversation, the bytes of what was said before stay as they were."""
    said = (
        user("one"),
        CALLED,
        TOLD,
        Message("assistant", (Text("two"),), "stop"),
        Message("user", (Text("see"), Image("data:,x"))),
    )
    for count in range(1, len(said)):
        shorter, longer = (body(ModelRequest("s", said[:n], (CLOCK,))) for n in (count, count + 1))
        assert longer.startswith(shorter.removesuffix(b"]}"))


def test_the_same_values_give_the_same_bytes() -> None:
    first, second = (ModelRequest("s", (user("one"), CALLED, TOLD), (CLOCK,), "note") for _ in range(2))
    assert body(first) == body(second)


def test_notes_stand_below_the_last_user_message_and_change_nothing_stored() -> None:
    said = (user("one"), Message("assistant", (Text("two"),), "stop"), user("three"), CALLED, TOLD)
    wire = sent(*said, notes="Today is Monday.")
    assert wire[2] == {"role": "user", "content": "three\n\nToday is Monday."}
    assert wire[0] == {"role": "user", "content": "one"}
    assert said[2] == user("three")


def test_notes_below_an_image_are_a_part_of_their_own() -> None:
    content = sent(Message("user", (Image("data:,x"),)), notes="note")[0]["content"]
    assert content == [
        {"type": "image_url", "image_url": {"url": "data:,x"}},
        {"type": "text", "text": "note"},
    ]


def test_notes_without_a_user_message_are_one() -> None:
    assert sent(Message("assistant", (Text("hello"),)), notes="note")[-1] == {
        "role": "user",
        "content": "note",
    }


def test_images_are_parts_with_their_detail() -> None:
    content = sent(Message("user", (Text("look"), Image("data:,x", "low"))))[0]["content"]
    assert content == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}},
    ]


@pytest.mark.parametrize(("is_openai", "detail"), [(True, "original"), (False, "high")])
def test_openai_alone_is_asked_for_an_image_as_it_is(is_openai: bool, detail: str) -> None:
    request = ModelRequest("", (Message("user", (Image("data:,x", "original"),)),))
    written = msgspec.json.decode(body(request, includes_openai_fields=is_openai))
    assert written["messages"][0]["content"][0]["image_url"]["detail"] == detail


def test_a_file_is_text_that_says_where_it_begins_and_what_it_is_called() -> None:
    assert sent(Message("user", (Text("read"), File('a "b".txt', "kumquat")))) == [
        {"role": "user", "content": "read\n" + File('a "b".txt', "kumquat").shown}
    ]
    beside = sent(Message("user", (Image("data:,x"), File("a.txt", "kumquat"))))[0]["content"]
    assert beside[1] == {"type": "text", "text": File("a.txt", "kumquat").shown}


def test_a_recording_goes_to_a_model_that_listens_and_any_other_is_told_of_it() -> None:
    message = Message("user", (Text("hear"), Audio("UklG", "wav")))
    heard = sent(message, abilities=frozenset({"audio"}))[0]["content"]
    assert heard == [
        {"type": "text", "text": "hear"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]
    assert sent(message) == [
        {"role": "user", "content": "hear\n(A recording came with this message; you cannot listen to it.)"}
    ]


def test_several_texts_of_a_user_are_one_string() -> None:
    assert sent(Message("user", (Text("a"), Text("b")))) == [{"role": "user", "content": "a\nb"}]


def test_thinking_is_never_sent() -> None:
    assert b"hm" not in body(ModelRequest("", (CALLED, TOLD)))
    assert sent(Message("assistant", (Thinking("hm"),))) == [{"role": "assistant", "content": ""}]


def test_a_call_without_text_has_null_content() -> None:
    wire = sent(Message("assistant", (ToolCall("c1", "f", "{bad"),)))
    assert wire[0]["content"] is None
    assert wire[0]["tool_calls"] == [
        {"type": "function", "id": "c1", "function": {"name": "f", "arguments": "{bad"}}
    ]


def test_a_call_without_arguments_is_sent_with_an_empty_object() -> None:
    assert (
        sent(Message("assistant", (ToolCall("c1", "f", " "),)))[0]["tool_calls"][0]["function"]["arguments"]
        == "{}"
    )


def test_each_result_of_a_message_is_a_message_on_the_wire() -> None:
    wire = sent(Message("tool", (ToolResult("a", "1"), ToolResult("b", "2", True))))
    assert wire == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]
