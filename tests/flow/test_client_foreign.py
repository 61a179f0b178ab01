"""Clients that know other tools than functions: what the model is offered of them, and what it is shown.

The shapes are those of Codex CLI: functions in a `namespace`, tools that take a text (`custom`), tools that
only OpenAI's servers run.
"""

import json
from typing import Any

import pytest

from nanobot.core.message import Message, Part, ToolCall, Usage
from nanobot.testing import Say, ScriptedModel
from tests.asgi import Door, Exchange
from tests.harness import OpenHarness

READ = {
    "type": "function",
    "name": "read_file",
    "description": "Read a file.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
}
FILES = {"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": [READ]}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch"},
}
SHELL = {"type": "function", "name": "shell", "parameters": {"type": "object"}}
HOSTED = [
    {"type": "web_search", "external_web_access": True},
    {"type": "image_generation", "output_format": "png"},
    {"type": "local_shell"},
    {"type": "mcp", "server_label": "x", "server_url": "https://example.com"},
]
ASK = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]}
BEGIN = "*** Begin Patch\n*** End Patch"


def calls(*wanted: tuple[str, str, str]) -> Say:
    said: tuple[Part, ...] = tuple(ToolCall(*one) for one in wanted)
    return Say((), Message("assistant", said, "tool_calls", Usage(10, 5)))


async def respond(door: Door, items: list[dict[str, Any]], **fields: Any) -> Exchange:
    body = {"model": "nanobot", "conversation": "codex", "input": items, **fields}
    return await door.call("POST", "/v1/responses", body=json.dumps(body).encode())


# Tools --------------------------------------------------------------------------------------------


async def test_tools_that_the_server_cannot_run_are_left_out_and_named(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    reply = await respond(door, [ASK], tools=[SHELL, *HOSTED])
    assert reply.status == 200
    assert reply.headers["x-tools-left-out"] == "web_search, image_generation, local_shell, mcp"
    assert [tool["name"] for tool in reply.json["tools"]] == ["shell"]
    streamed = await respond(door, [ASK], tools=[SHELL, *HOSTED], stream=True)
    assert streamed.headers["x-tools-left-out"] == reply.headers["x-tools-left-out"]
    chat = await door.chat("k", "hello", tools=[{"type": "google_search"}, {"type": "x\r\ny" * 50}])
    assert chat.headers["x-tools-left-out"].startswith("google_search, x__yx__y")
    assert len(chat.headers["x-tools-left-out"]) < 100
    plain = await respond(door, [ASK], tools=[SHELL])
    assert "x-tools-left-out" not in plain.headers
    offered = [tool.name for tool in model.requests[0].tools]
    assert "shell" in offered and not {"web_search", "mcp"} & set(offered)


async def test_a_header_does_not_grow_with_what_is_left_out(open_harness: OpenHarness) -> None:
    door = (await open_harness()).door
    reply = await respond(door, [ASK], tools=[{"type": f"tool_{n}" * 9} for n in range(100)])
    assert reply.status == 200
    assert reply.headers["x-tools-left-out"].endswith("and 84 more")
    assert len(reply.headers["x-tools-left-out"]) < 1000


@pytest.mark.parametrize("stream", [False, True])
async def test_the_functions_of_a_namespace_are_called_by_the_names_that_the_client_knows(
    open_harness: OpenHarness, stream: bool
) -> None:
    model = ScriptedModel(calls(("c1", "mcp__files__read_file", '{"path":"a"}')), "Read.")
    door = (await open_harness(model)).door
    reply = await respond(door, [ASK], tools=[FILES], stream=stream)
    assert "mcp__files__read_file" in [tool.name for tool in model.requests[0].tools]
    (call,) = output_of(reply)
    assert call["type"] == "function_call"
    assert (call["name"], call["namespace"]) == ("read_file", "mcp__files")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "x = 1"}
    again = await respond(door, [ASK, call, result], tools=[FILES], stream=stream)
    assert "x-history" not in again.headers
    assert [message.role for message in model.requests[1].messages] == ["user", "assistant", "tool"]
    assert model.requests[1].messages[1].tool_calls[0].name == "mcp__files__read_file"


async def test_names_in_a_namespace_fit_whatever_they_are(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    tools = [
        {**FILES, "name": "mcp__files__"},
        {**FILES, "name": "my files"},
        {**FILES, "name": "a" * 80},
        {**FILES, "name": "a" * 79 + "b"},
    ]
    assert (await respond(door, [ASK], tools=tools)).status == 200
    names = [tool.name for tool in model.requests[0].tools][-4:]
    assert names[0] == "mcp__files__read_file"
    assert len(set(names)) == 4
    assert all(len(name) <= 64 and " " not in name for name in names)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_that_takes_a_text_is_called_with_a_text(
    open_harness: OpenHarness, stream: bool
) -> None:
    model = ScriptedModel(calls(("c1", "apply_patch", json.dumps({"input": BEGIN}))), "Done.")
    door = (await open_harness(model)).door
    reply = await respond(door, [ASK], tools=[PATCH], stream=stream)
    offered = model.requests[0].tools[-1]
    assert offered.name == "apply_patch"
    assert "start: begin_patch" in offered.description
    assert offered.schema["required"] == ["input"]
    (call,) = output_of(reply)
    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "apply_patch", BEGIN)
    assert call["id"].startswith("ctc_")
    if stream:
        kinds = [event.name for event in reply.events]
        assert "response.custom_tool_call_input.done" in kinds
        assert "response.function_call_arguments.done" not in kinds
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Success"}
    again = await respond(door, [ASK, call, result], tools=[PATCH], stream=stream)
    assert (again.status, "x-history" in again.headers) == (200, False)
    assert model.requests[1].messages[-1].tool_results[0].content == "Success"
    listed = (await door.get("/v1/conversations/codex/items?order=asc")).json["data"]
    assert [item["type"] for item in listed][:2] == ["message", "custom_tool_call"]
    stored = await door.get(f"/v1/conversations/codex/items/{call['id']}")
    assert stored.json["input"] == BEGIN
    follows = await respond(
        door, [{"type": "item_reference", "id": call["id"]}, result], tools=[PATCH], store=False
    )
    assert follows.status == 200


@pytest.mark.parametrize("written", [BEGIN, '{"patch":"x"}', '{"input":7}', ""])
async def test_a_text_that_the_model_did_not_wrap_is_passed_on_as_it_is(
    open_harness: OpenHarness, written: str
) -> None:
    model = ScriptedModel(calls(("c1", "apply_patch", written)), "Done.")
    door = (await open_harness(model)).door
    (call,) = output_of(await respond(door, [ASK], tools=[PATCH]))
    assert call["input"] == written
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "failed"}
    again = await respond(door, [ASK, call, result], tools=[PATCH])
    assert (again.status, "x-history" in again.headers) == (200, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_completions_have_tools_that_take_a_text_too(
    open_harness: OpenHarness, stream: bool
) -> None:
    model = ScriptedModel(calls(("c1", "apply_patch", json.dumps({"input": BEGIN}))), "Done.")
    door = (await open_harness(model)).door
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: begin_patch"}}
    tools = [{"type": "custom", "custom": {"name": "apply_patch", "format": grammar}}]
    ask = {"role": "user", "content": "Fix it."}
    reply = await door.chat("k", [ask], tools=tools, stream=stream)
    assert "start: begin_patch" in model.requests[0].tools[-1].description
    if stream:
        (call,) = [
            call for chunk in reply.chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())
        ]
    else:
        (call,) = reply.json["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "apply_patch", "input": BEGIN})
    assert "function" not in call
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Success"}
    again = await door.chat("k", [ask, said, result], tools=tools, stream=stream)
    assert (again.status, again.said, "x-history" in again.headers) == (200, "Done.", False)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "custom", "name": "apply_patch"},
        {"type": "function", "name": "read_file", "namespace": "mcp__files"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [
                {"type": "function", "name": "read_file", "namespace": "mcp__files"},
                {"type": "web_search"},
            ],
        },
    ],
)
async def test_a_choice_may_name_any_tool_that_is_offered(
    open_harness: OpenHarness, choice: dict[str, Any]
) -> None:
    name = "apply_patch" if "apply_patch" in json.dumps(choice) else "mcp__files__read_file"
    model = ScriptedModel(calls(("c1", name, "{}")))
    door = (await open_harness(model)).door
    reply = await respond(door, [ASK], tools=[FILES, PATCH, *HOSTED], tool_choice=choice)
    assert reply.status == 200
    assert model.requests[0].tool_choice.mode == "required"


@pytest.mark.parametrize("nested", [True, False])
async def test_chat_completions_may_allow_some_of_their_tools(
    open_harness: OpenHarness, nested: bool
) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    tools = [{"type": "function", "function": {"name": name}} for name in ("one", "two", "three")]
    allowed = {"mode": "auto", "tools": [tools[0], {"type": "function", "name": "two"}]}
    choice = {"type": "allowed_tools", **({"allowed_tools": allowed} if nested else allowed)}
    assert (await door.chat("k", "hello", tools=tools, tool_choice=choice)).status == 200
    offered = {tool.name for tool in model.requests[0].tools}
    assert {"one", "two"} <= offered and "three" not in offered


# Items of other tools in the history --------------------------------------------------------------


async def test_items_that_are_no_text_are_left_out_and_named(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    items: list[dict[str, Any]] = [
        ASK,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "x"}],
        },
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
        {"type": "tool_search_call", "call_id": None, "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": None, "tools": [{"type": "function"}]},
        {"type": "computer_call", "call_id": "cc", "action": {"type": "screenshot"}},
        {"type": "computer_call_output", "call_id": "cc", "output": {"type": "computer_screenshot"}},
        {"type": "compaction", "encrypted_content": "gAAA"},
        {"type": "some_new_call", "id": "x", "name": None, "input": {"deep": [1]}},
        {"role": "assistant", "content": "Found it."},
        {"role": "user", "content": "Go on."},
    ]
    reply = await respond(door, items)
    assert reply.status == 200
    assert reply.headers["x-items-left-out"] == (
        "web_search_call, image_generation_call, tool_search_call, tool_search_output, computer_call, "
        "computer_call_output, compaction, some_new_call"
    )
    assert [message.text for message in model.requests[0].messages] == ["Fix it.", "Found it.", "Go on."]
    assert "x-items-left-out" not in (await respond(door, [ASK])).headers


async def test_calls_whose_outputs_are_text_are_shown(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    door = (await open_harness(model)).door
    items: list[dict[str, Any]] = [
        ASK,
        {"type": "local_shell_call", "call_id": "s1", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "s1", "output": "a.py"},
        {"type": "shell_call", "call_id": "s2", "action": {"commands": ["pwd"]}},
        {"type": "shell_call_output", "call_id": "s2", "output": [{"stdout": "/work", "stderr": ""}]},
        {
            "type": "mcp_call",
            "id": "m1",
            "name": "lookup",
            "server_label": "x",
            "arguments": "{}",
            "output": "42",
        },
        {"role": "user", "content": "Go on."},
    ]
    reply = await respond(door, items)
    assert (reply.status, "x-items-left-out" in reply.headers) == (200, False)
    shown = model.requests[0].messages
    called = [(call.name, call.arguments) for message in shown for call in message.tool_calls]
    assert called == [
        ("local_shell", '{"type": "exec", "command": ["ls"]}'),
        ("shell", '{"commands": ["pwd"]}'),
        ("lookup", "{}"),
    ]
    results = [result.content for message in shown for result in message.tool_results]
    assert results == ["a.py", '[{"stdout": "/work", "stderr": ""}]', "42"]


async def test_a_conversation_keeps_no_items_that_it_could_not_show(open_harness: OpenHarness) -> None:
    door = (await open_harness()).door
    body = json.dumps({"items": [{"type": "web_search_call", "id": "ws_1"}]}).encode()
    reply = await door.call("POST", "/v1/conversations", body=body)
    assert (reply.status, reply.error["param"]) == (400, "items")
    assert "web_search_call" in reply.error["message"]


def output_of(reply: Exchange) -> list[dict[str, Any]]:
    assert reply.status == 200, reply.text
    if reply.headers["content-type"] == "application/json":
        return list(reply.json["output"])
    done = [json.loads(event.content) for event in reply.events if event.name == "response.output_item.done"]
    return [event["item"] for event in done]
