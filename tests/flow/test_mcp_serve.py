"""`nanobot mcp serve`: a running server, as an MCP server over standard input and output."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

import nanobot
from nanobot.testing import ScriptedModel
from tests.access import OWNER
from tests.harness import OpenHarness, listening

ROOT = str(Path(nanobot.__file__).parents[1])
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT}


def program(*options: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "nanobot", "mcp", "serve", *options],
        env={"PYTHONPATH": ROOT},
    )


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_official_sdk_asks_a_running_server(open_harness: OpenHarness, era: str) -> None:
    harness = await open_harness(ScriptedModel("Kumquats."), api={"key": OWNER})
    async with listening(harness.app.asgi) as server:
        options = ("--url", server.url, "--api-key", OWNER, "--session", "wx:dm:ann")
        async with Client(program(*options), mode=era) as mcp:
            assert [tool.name for tool in (await mcp.list_tools()).tools] == ["ask"]
            answered = await mcp.call_tool("ask", {"message": "What fruit?"})
            assert answered.content[0].text == "Kumquats."  # type: ignore[union-attr]
            with pytest.raises(MCPError, match="no such session"):
                await mcp.read_resource("nanobot://sessions/nobody")
    assert [row.message.text for row in await harness.app.store.messages("wx:dm:ann", limit=9)] == [
        "What fruit?",
        "Kumquats.",
    ]


async def answered(*options: str) -> str:
    """Return what a single request is answered by a program with these options."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nanobot", "mcp", "serve", *options), stdin=PIPE, stdout=PIPE, env=ENVIRONMENT
    )
    output, _ = await process.communicate(b'{"jsonrpc": "2.0", "id": "a", "method": "ping"}\n')
    (line,) = output.splitlines()
    assert process.returncode == 0 and json.loads(line)["id"] == "a"
    return str(json.loads(line)["error"]["message"])


async def test_why_there_is_no_answer_is_said_in_the_answer(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": OWNER})
    async with listening(harness.app.asgi) as server:
        assert (await answered("--url", server.url, "--api-key", "wrong")).endswith("(401)")
    assert "is `nanobot serve` running there?" in await answered("--url", "http://127.0.0.1:9")
