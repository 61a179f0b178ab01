"""What one request may bring."""

import json
from typing import Any

import pytest

from nanobot.api.wire.chat_request import parse_chat
from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.api.wire.response_request import decode_response, parse_response
from nanobot.core.errors import InvalidRequest

BOUNDS = RequestBounds(max_messages=3, max_parts=4, max_tools=2, max_tools_bytes=500, max_schema_depth=5)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": "}}{{" * 10}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def chat(**fields: Any) -> None:
    said = {"messages": [{"role": "user", "content": "x"}], **fields}
    parse_chat(json.dumps({"model": "nanobot", **said}).encode(), BOUNDS)


def response(**fields: Any) -> None:
    body = json.dumps({"model": "nanobot", "input": "x", **fields}).encode()
    parse_response(decode_response(body), {}, BOUNDS)


def function(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"name": f"f{number}", **fields}


def test_messages_are_bounded() -> None:
    one = {"role": "user", "content": "x"}
    chat(messages=[one] * 3)
    with pytest.raises(InvalidRequest, match=r"messages has 4 entries: at most 3 .*api\.max_messages"):
        chat(messages=[one] * 4)
    response(input=[one] * 3)
    with pytest.raises(InvalidRequest, match="input has 4 entries"):
        response(input=[one] * 4)


@pytest.mark.parametrize("length", [400, 500])
def test_ids_and_names_of_calls_count_as_text(length: int) -> None:
    """The window does not count them: hundreds of megabytes could be stored with what fits it."""
    bounds = RequestBounds(max_text_chars=1_000)
    ids = ["a" * length, "b" * length]
    said = [
        {"role": "user", "content": "x"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids
            ],
        },
        *({"role": "tool", "tool_call_id": id_, "content": "x"} for id_ in ids),
    ]
    outputs = [{"type": "function_call_output", "call_id": id_ + "c", "output": "x"} for id_ in ids]
    bodies = (
        lambda: parse_chat(json.dumps({"model": "nanobot", "messages": said}).encode(), bounds),
        lambda: parse_response(
            decode_response(json.dumps({"model": "nanobot", "input": outputs}).encode()), {}, bounds
        ),
    )
    for parse in bodies:
        if length == 400:
            parse()
        else:
            with pytest.raises(InvalidRequest, match=r"api\.max_text_chars"):
                parse()


def test_new_messages_are_bounded() -> None:
    bounds = RequestBounds(max_new_messages=2)
    question = {"role": "user", "content": "x"}
    earlier = [question, question, question, {"role": "assistant", "content": "y"}]
    for count in (2, 3):
        body = json.dumps({"model": "nanobot", "messages": [*earlier, *[question] * count]}).encode()
        if count == 2:
            assert len(parse_chat(body, bounds).input) == count
            continue
        with pytest.raises(InvalidRequest, match=r"3 new messages.*at most 2 .*api\.max_new_messages"):
            parse_chat(body, bounds)
    body = json.dumps({"model": "nanobot", "input": [question] * 3}).encode()
    with pytest.raises(InvalidRequest, match="input has 3 new messages"):
        parse_response(decode_response(body), {}, bounds)


def test_parts_and_calls_are_bounded_over_all_messages() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "x"}] * 2}
    chat(messages=[parts] * 2)
    call = {"id": "c", "type": "function", "function": {"name": "f"}}
    for messages in ([parts] * 3, [{"role": "assistant", "tool_calls": [call] * 5}, parts]):
        with pytest.raises(InvalidRequest, match=r"more than 4 parts of content.*api\.max_parts"):
            chat(messages=messages)
    with pytest.raises(InvalidRequest, match="more than 4 parts"):
        response(input=[{"role": "user", "content": [{"type": "input_text", "text": "x"}] * 5}])


def test_tools_are_bounded_in_number_size_and_depth() -> None:
    for problem, tools in (
        (r"3 entries: at most 2 .*api\.max_tools", [function(number) for number in range(3)]),
        (r"bytes: at most 500 .*api\.max_tools_kb", [function(description="x" * 600)]),
        (r"nested 6 levels deep: at most 5 .*api\.max_schema_depth", [function(parameters=nested(6))]),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            chat(tools=[{"type": "function", "function": tool} for tool in tools])
        with pytest.raises(InvalidRequest, match=problem):
            response(tools=[{"type": "function", **tool} for tool in tools])
    chat(
        tools=[{"type": "function", "function": function(number, parameters=nested(5))} for number in (1, 2)]
    )


def test_functions_of_namespaces_count_as_tools() -> None:
    space = {
        "type": "namespace",
        "name": "n",
        "tools": [{"type": "function", **function(n)} for n in range(3)],
    }
    with pytest.raises(InvalidRequest, match="tools has 3 entries"):
        response(tools=[space])


def test_the_schema_of_an_answer_is_bounded_in_depth() -> None:
    schema = {"name": "x", "schema": nested(6)}
    with pytest.raises(InvalidRequest, match="nested 6 levels"):
        chat(response_format={"type": "json_schema", "json_schema": schema})
    with pytest.raises(InvalidRequest, match="nested 6 levels"):
        response(text={"format": {"type": "json_schema", **schema}})


def test_pieces_of_one_answer_become_one_message() -> None:
    said = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    body = json.dumps({"model": "nanobot", "input": [*said, call, said[0], output]}).encode()
    parsed = parse_response(decode_response(body), {})
    assert [message.text for message in parsed.earlier] == ["a\n\nb", "a"]
    assert [len(message.tool_calls) for message in parsed.earlier] == [1, 0]
