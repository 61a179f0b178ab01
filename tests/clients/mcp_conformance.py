"""The client that the conformance package of MCP runs: `python -m tests.clients.mcp_conformance URL`.

It is the agent's: its process of connections, its tools, its login. What a person does is done here: opening
the address of a login, and answering a question with nothing but what its form has as defaults.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from nanobot.cli.redirect import Redirect, redirect_of
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ToolError
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.tool_question import AnsweredQuestion, decided
from nanobot.tools.mcp.messages import HttpServer, OAuthClient, ServerEntry
from nanobot.tools.mcp.servers import McpServers
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.mcp.signing_in import LoginFailed, log_in
from nanobot.tools.mcp.token_file import TokenFile

CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"
"""What the package takes for the client's own page."""
REDIRECT = "http://127.0.0.1:8976/callback"
_MOST_LOGINS = 3
_BOUND_S = 90.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Stay."""


def _open(address: str) -> str:
    try:
        urllib.request.build_opener(_NoRedirect).open(address, timeout=_BOUND_S)
    except urllib.error.HTTPError as answer:
        return str(answer.headers["location"])
    raise LoginFailed("the address leads nowhere")


async def _log_in(server: HttpServer) -> None:
    ends: list[str] = []

    async def show(address: str) -> None:
        ends.append(await asyncio.to_thread(_open, address))

    async def returned() -> Redirect:
        return redirect_of(ends[-1])

    print("logged in:", await log_in(server, REDIRECT, show, returned))


def _arguments(tool: Tool) -> dict[str, Any]:
    """Return arguments of the kinds that the tool wants."""
    values = {"number": 2, "integer": 2, "boolean": True, "string": "two", "array": [], "object": {}}
    fields: dict[str, Any] = tool.spec.schema.get("properties") or {}  # type: ignore[assignment]
    return {name: values.get(str(field.get("type")), "two") for name, field in fields.items()}


async def _call(tool: Tool) -> None:
    context = ToolContext("turn", "k", "call")
    for _ in range(_MOST_LOGINS):
        output = await tool.run(_arguments(tool), context)
        if not isinstance(output, ToolOutput) or output.question is None:
            print(tool.name, output)
            return
        content = decided(output.question, "once", {}) or "{}"
        context = msgspec.structs.replace(context, answered=AnsweredQuestion(output.question, content))


async def _use(server: HttpServer, data: Path) -> str:
    """Connect, call each tool, and return why a login is needed; empty: it is not."""
    settings = McpSettings(ServerEntry("it", server, _BOUND_S), ("*",), timeout_s=_BOUND_S)
    servers = McpServers([settings], SystemClock(), random.Random(), data)
    servers.start()
    try:
        await servers.tried(_BOUND_S)
        state = servers.states["it"]
        print(f"connected: {state.is_connected} {state.why}")
        for tool in servers.tools:
            try:
                await _call(tool)
            except ToolError as error:
                print(tool.name, error.message)
                if "nanobot mcp login" in error.message:
                    return error.message
        return state.why if "nanobot mcp login" in state.why else ""
    finally:
        await servers.close()


async def main(url: str) -> None:
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    client = OAuthClient(client_metadata_url=CLIENT_METADATA)
    if given.get("client_id"):
        client = OAuthClient(given["client_id"], given.get("client_secret"))
    if "client-credentials" in scenario:
        client = msgspec.structs.replace(client, is_machine=True)
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        server = HttpServer(url, tokens=str(TokenFile.of(data, "it", url).path), oauth=client)
        for _ in range(_MOST_LOGINS):
            if not await _use(server, data):
                return
            await _log_in(server)
        await _use(server, data)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
