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
        ({"uri": 1}, "resources/read", (200, -32602), (400, -32602)),
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


@pytest.mark.parametrize(
    "uri",
    ["nanobot://sessions/nobody", "nanobot://sessions/%ff", "nanobot://sessions/", "file:///etc/passwd"],
)
async def test_a_resource_that_is_not_there_has_the_code_of_the_protocol(
    uri: str, open_harness: OpenHarness
) -> None:
    harness = await open_harness()
    for more, code in (({}, -32002), (NEW, -32602)):
        answer = await rpc(harness, "resources/read", {"uri": uri, **more})
        error = {"code": code, "message": "there is no such session", "data": {"uri": uri}}
        assert (answer.status, answer.json["error"]) == (404, error)


async def test_an_argument_that_names_no_session_is_no_resource(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": OWNER})
    key = await give_key(harness, "limited", "other:*", session_key="other:mine")
    for more in ({}, NEW):
        answer = await rpc(harness, "tools/call", asking("Hi", session=ANN) | more, key)
        assert (answer.status, answer.json["error"]["code"]) == (404, -32602)


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


async def test_lists_are_read_to_their_end_page_by_page(open_harness: OpenHarness) -> None:
    harness = await open_harness(engine={"max_running_turns": 16})
    names = {f"wx:dm:{number:03d}" for number in range(205)}
    for name in names:
        await harness.door.chat(name, "Hello.")
    for era in ERAS:
        async with (
            listening(harness.app.asgi) as server,
            Client(streamable_http_client(f"{server.url}/mcp"), mode=era) as mcp,
        ):
            pages = [await mcp.list_resources()]
            while (cursor := pages[-1].next_cursor) is not None:
                pages.append(await mcp.list_resources(cursor=cursor))
            listed = [each.name for page in pages for each in page.resources]
            assert len(pages) == 3 and len(listed) == len(names) and set(listed) == names


async def test_a_cursor_that_was_never_given_out_is_refused_on_every_list(harness: Harness) -> None:
    for method in ("tools/list", "resources/list", "resources/templates/list"):
        for cursor in (1, "", "wx:dm:nobody", None):
            for more in ({}, NEW):
                answer = await rpc(harness, method, {"cursor": cursor, **more})
                if cursor is None:
                    assert "result" in answer.json, method
                else:
                    assert answer.json["error"]["code"] == -32602, (method, cursor, answer.json)


async def test_what_the_endpoint_does_not_offer_is_said_at_the_start_and_refused(harness: Harness) -> None:
    greeting = await rpc(harness, "initialize", {"protocolVersion": "2025-06-18"})
    discovery = await rpc(harness, "server/discover", NEW)
    assert greeting.json["result"]["protocolVersion"] == "2025-06-18"
    for said in (greeting, discovery):
        assert set(said.json["result"]["capabilities"]) == {"tools", "resources"}
        assert not said.json["result"]["capabilities"]["resources"].get("subscribe")
    for method in (
        "logging/setLevel",
        "completion/complete",
        "prompts/list",
        "prompts/get",
        "resources/subscribe",
        "resources/unsubscribe",
        "sampling/createMessage",
        "tasks/list",
    ):
        for more in ({}, NEW):
            refused = await rpc(harness, method, more)
            assert refused.json["error"]["code"] == -32601, method
    for more in ({}, NEW):
        assert "error" not in (await rpc(harness, "ping", more)).json
        (template,) = (await rpc(harness, "resources/templates/list", more)).json["result"][
            "resourceTemplates"
        ]
        assert template["uriTemplate"] == "nanobot://sessions/{key}"


async def test_a_call_may_ask_for_progress_and_be_taken_back_without_harm(open_harness: OpenHarness) -> None:
    hold = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("Late.",), before=hold)))
    params = {**asking("Hi", session=ANN), "_meta": {"progressToken": 7}}
    exchange = start(harness, "tools/call", params)
    # Without sessions nobody knows whose call it names: another client's may have the same id.
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    taken = await harness.door.call("POST", "/mcp", body=json.dumps(body).encode(), headers=JSON)
    assert taken.status == 202
    hold.set()
    assert text_of(await exchange.done()) == "Late."
