"""The agent as an MCP server: `POST /mcp`, asked by the official SDK and by hand."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from nanobot.testing import Say, ScriptedModel
from tests.access import OWNER, bearer, give_key
from tests.asgi import Exchange
from tests.harness import Harness, OpenHarness, listening

ERAS = ("legacy", "auto")
JSON = {"content-type": "application/json"}
ANN = "wx:dm:ann"
NEW = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


def start(harness: Harness, method: str, params: object = None, headers: Any = None) -> Exchange:
    """Begin to send a request."""
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}).encode()
    return harness.door.start("POST", "/mcp", body=body, headers=JSON | (headers or {}))


async def rpc(harness: Harness, method: str, params: object = None, headers: Any = None) -> Exchange:
    return await start(harness, method, params, headers).done()


def asking(text: str, **arguments: str) -> dict[str, Any]:
    return {"name": "ask", "arguments": {"message": text, **arguments}}


def text_of(exchange: Exchange) -> str:
    return str(exchange.json["result"]["content"][0]["text"])


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_sdk_asks_and_reads_the_conversation(open_harness: OpenHarness, era: str) -> None:
    harness = await open_harness(ScriptedModel("Kumquats.", "As I said."))
    async with listening(harness.app.asgi) as server:
        http = httpx2.AsyncClient(headers={"x-session-key": ANN})
        async with (
            http,
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=era) as mcp,
        ):
            assert mcp.protocol_version == ("2025-11-25" if era == "legacy" else "2026-07-28")
            (tool,) = (await mcp.list_tools()).tools
            assert tool.name == "ask" and tool.input_schema["required"] == ["message"]
            first = await mcp.call_tool("ask", {"message": "What fruit?"})
            other = await mcp.call_tool("ask", {"message": "And?", "session": "wx:dm:bob"})
            assert [each.content[0].text for each in (first, other)] == ["Kumquats.", "As I said."]  # type: ignore[union-attr]
            listed = (await mcp.list_resources()).resources
            assert {each.uri for each in listed} == {
                f"nanobot://sessions/wx%3Adm%3A{name}" for name in ("ann", "bob")
            }
            (content,) = (await mcp.read_resource("nanobot://sessions/wx%3Adm%3Aann")).contents
            said = json.loads(content.text)["messages"]  # type: ignore[union-attr]
            assert [each["content"] for each in said] == ["What fruit?", "Kumquats."]
            with pytest.raises(MCPError, match="no such session"):
                await mcp.read_resource("nanobot://sessions/wx%3Adm%3Anobody")


async def test_a_call_that_is_sent_again_is_answered_once(open_harness: OpenHarness) -> None:
    model = ScriptedModel("One.", "Two.")
    harness = await open_harness(model)
    again = asking("Go on.", session=ANN, request_id="r1")
    assert [text_of(await rpc(harness, "tools/call", again)) for _ in range(2)] == ["One.", "One."]
    assert len(model.requests) == 1
    other = await rpc(harness, "tools/call", asking("Something else.", session=ANN, request_id="r1"))
    assert other.json["result"]["isError"]
    assert text_of(await rpc(harness, "tools/call", asking("Go on.", session=ANN))) == "Two."


async def test_who_may_chat_over_http_may_ask_and_nobody_else(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("Hello."), api={"key": OWNER})
    assert (await rpc(harness, "tools/list")).status == 401
    key = await give_key(harness, "limited", "other:*", session_key="other:mine")
    for params in (asking("Hi", session=ANN), asking("Hi", session="wx:dm:nobody")):
        refused = await rpc(harness, "tools/call", params, key)
        assert (refused.status, refused.json["error"]["message"]) == (404, "there is no such session")
    assert text_of(await rpc(harness, "tools/call", asking("Hi"), key)) == "Hello."
    await rpc(harness, "tools/call", asking("Hi", session=ANN), bearer(OWNER))
    listed = (await rpc(harness, "resources/list", headers=key)).json["result"]["resources"]
    assert [each["name"] for each in listed] == ["other:mine"]
    blind = await give_key(harness, "blind", rights=frozenset({"chat"}))
    assert "sessions:read" in (await rpc(harness, "resources/list", headers=blind)).json["error"]["message"]


async def test_a_conversation_must_be_named(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    answer = await rpc(harness, "tools/call", asking("Hi"))
    assert answer.json["result"]["isError"] and "session is missing" in text_of(answer)


async def test_what_is_no_request_is_refused_as_the_protocol_has_it(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for params, method, old, new in (
        ({}, "no/such", (200, -32601), (404, -32601)),
        ({"name": "other"}, "tools/call", (200, -32602), (400, -32602)),
        ({"name": "ask", "arguments": {"message": 1}}, "tools/call", (200, -32602), (400, -32602)),
        ({"name": "ask", "arguments": {"message": " "}}, "tools/call", (200, -32602), (400, -32602)),
        ({"uri": "file:///etc/passwd"}, "resources/read", (200, -32602), (400, -32602)),
        ({"uri": "nanobot://sessions/%ff"}, "resources/read", (200, -32602), (400, -32602)),
        ({"cursor": 1}, "resources/list", (200, -32602), (400, -32602)),
    ):
        for more, expected in (({}, old), (NEW, new)):
            answer = await rpc(harness, method, params | more)
            assert (answer.status, answer.json["error"]["code"]) == expected, (method, params)
    unknown = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
    answer = await rpc(harness, "tools/list", unknown)
    assert (answer.status, answer.json["error"]["code"]) == (400, -32022)
    assert "2026-07-28" in answer.json["error"]["data"]["supported"]
    mismatch = await rpc(harness, "tools/list", NEW, {"mcp-method": "tools/call"})
    assert (mismatch.status, mismatch.json["error"]["code"]) == (400, -32020)
    for body in (b"[]", b"{", b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}'):
        assert (await harness.door.call("POST", "/mcp", body=body, headers=JSON)).status == 400
    for method in ("GET", "DELETE"):
        assert (await harness.door.call(method, "/mcp")).status == 405


async def test_notifications_are_taken_without_an_answer(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    for message in ({"method": "notifications/initialized"}, {"id": 1, "result": {}}):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        taken = await harness.door.call("POST", "/mcp", body=body, headers=JSON)
        assert (taken.status, taken.raw) == (202, b"")


async def test_a_long_turn_keeps_the_connection_awake(open_harness: OpenHarness) -> None:
    hold = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("Late.",), before=hold)), api={"ping_s": 0.05})
    for accept, begins in (("application/json, text/event-stream", b": ping"), ("application/json", b'{"j')):
        hold.clear()
        exchange = start(harness, "tools/call", asking("Hi", session=ANN), {"accept": accept})
        if begins.startswith(b":"):
            await exchange.until(": ping")
        hold.set()
        await exchange.done()
        assert exchange.raw.startswith(begins) and b"Late." in exchange.raw
    assert exchange.status == 200
