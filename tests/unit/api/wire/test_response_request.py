"""What a request for a response means, and what of it is refused."""

import json
from typing import Any

import pytest

from nanobot.api.wire.response_request import ResponseRequest, decode_response, parse_response
from nanobot.core.errors import InvalidRequest, NanobotError
from nanobot.core.message import Audio, Image, Message, Text, ToolCall, ToolResult
from nanobot.submit.references import UploadedFile

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def parsed(**fields: Any) -> ResponseRequest:
    body = {"model": "nanobot", "input": "hello", **fields}
    return parse_response(
        decode_response(
            json.dumps({name: value for name, value in body.items() if value is not ...}).encode()
        ),
        {},
    )


def part(**fields: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [fields]}]


TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ...}, "model", "model"),
    ({"input": ...}, "input", "input"),
    ({"input": []}, "input", "at least one message"),
    ({"input": [{"role": "assistant", "content": " "}]}, "input", "at least one message"),
    ({"input": [{"role": "developer", "content": "hi"}]}, "input", "at least one message"),
    ({"input": [{"role": "user"}]}, "input[0].content", "missing"),
    ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role", "critic"),
    ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input", "at least one message"),
    ({"input": [{"type": "banana", "id": "ws_1"}]}, "input[0].type", "banana"),
    (
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]},
        "input[0].arguments",
        "{}",
    ),
    (
        {"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": 7}]},
        "input[0].input",
        "7",
    ),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": 7}]}, "input[0].output", "7"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type", "item_reference"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id", "call_id"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id", "call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output", "output"),
    (
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_video", "text": "x"}],
                }
            ]
        },
        "input[0].output[0].type",
        "input_video",
    ),
    ({"input": part(type="input_video")}, "input[0].content[0].type", "input_video"),
    ({"input": part(type="input_text")}, "input[0].content[0].text", "text"),
    (
        {"input": part(type="input_image", image_url="ftp://x")},
        "input[0].content[0].image_url.url",
        "ftp://x",
    ),
    ({"input": part(type="input_image")}, "input[0].content[0].image_url", "image_url"),
    ({"input": part(type="input_file")}, "input[0].content[0]", "file_data"),
    ({"input": 7}, "input", "7"),
    ({"tools": [{"type": "custom"}]}, "tools[0].name", "name"),
    ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name", "name"),
    (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
        "tools[0].tools[0].name",
        "name",
    ),
    (
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
        "tool_choice.type",
        "web_search",
    ),
    (
        {
            "tools": [TOOL, {"type": "mcp", "server_label": "x"}],
            "tool_choice": {"type": "allowed_tools", "tools": [{"type": "mcp", "server_label": "x"}]},
        },
        "tool_choice.tools",
        "mcp",
    ),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "name"),
    ({"tools": [TOOL, TOOL]}, "tools[1].name", "another tool"),
    ({"tool_choice": "required"}, "tool_choice", "no tools"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type", "file_search"),
    ({"tool_choice": {"type": "function", "name": "g"}, "tools": [TOOL]}, "tool_choice.name", "g"),
    (
        {
            "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]},
            "tools": [TOOL],
        },
        "tool_choice.tools",
        "g",
    ),
    ({"prompt": {"id": "pmpt_1"}}, "prompt", "templates"),
    ({"top_logprobs": 3}, "top_logprobs", "logprobs"),
    ({"max_tool_calls": 3}, "max_tool_calls", "max_tool_calls"),
    ({"include": ["message.output_text.logprobs"]}, "include", "logprobs"),
    ({"previous_response_id": "resp_1", "conversation": "a"}, "conversation", "together"),
    ({"background": True, "store": False}, "background", "store"),
    ({"temperature": 2.5}, "temperature", "0 to 2"),
    ({"top_p": -1}, "top_p", "0 to 1"),
    ({"max_output_tokens": 0}, "max_output_tokens", "from 1"),
    ({"reasoning": {"effort": "huge" * 9}}, "reasoning.effort", "1 to 32 characters"),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary", "long"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", "xml"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", "name"),
    ({"text": {"verbosity": "chatty"}}, "text.verbosity", "chatty"),
    ({"truncation": "maybe"}, "truncation", "maybe"),
    ({"metadata": {"x": "y" * 600}}, "metadata", "512"),
    ({"stream": "yes"}, "stream", "yes"),
]


@pytest.mark.parametrize(("fields", "param", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_not_supported_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(NanobotError) as caught:
        parsed(**fields)
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.param == param
    assert words in caught.value.message


def test_what_is_unknown_is_ignored() -> None:
    assert parsed(brand_new={"x": 1}, service_tier="flex", include=["reasoning.encrypted_content"]).input == (
        Message("user", (Text("hello"),)),
    )


def test_parts_of_every_kind() -> None:
    content = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_id": "file-2", "filename": "x.pdf"},
        {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "wav"}},
    ]
    (message,) = parsed(input=[{"role": "user", "content": content}]).input
    assert [type(part) for part in message.parts] == [Text, Image, UploadedFile, UploadedFile, Audio]


def test_one_answer_of_many_items_is_one_message() -> None:
    request = parsed(
        input=[
            {"role": "user", "content": "The weather?"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Let me look."}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "rain"}],
            },
        ]
    )
    calls = tuple(ToolCall(id_, "f", "{}", for_client=True) for id_ in ("c1", "c2"))
    assert request.earlier == (
        Message("user", (Text("The weather?"),)),
        Message("assistant", (Text("Let me look."), *calls), "tool_calls"),
    )
    assert request.input == (
        Message("tool", (ToolResult("c1", "sunny"),)),
        Message("tool", (ToolResult("c2", "rain"),)),
    )


def test_what_follows_a_response_is_all_new() -> None:
    given = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert [message.text for message in parsed(input=given).input] == ["c"]
    follows = parsed(input=given, previous_response_id="resp_1")
    assert [message.text for message in follows.input] == ["a", "b", "c"]
    assert follows.earlier == ()


def test_instructions_come_from_both_places() -> None:
    given = [{"role": "system", "content": "two"}, {"role": "user", "content": "hi"}]
    assert parsed(instructions="one", input=given).instructions == "one\n\ntwo"
    assert parsed(instructions="one", input=given).echo.instructions == "one"


def test_truncation_is_allowed_unless_it_is_disabled() -> None:
    assert parsed().may_cut
    assert parsed(truncation="auto").may_cut
    assert not parsed(truncation="disabled").may_cut
