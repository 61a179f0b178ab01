"""The agent beside the MCP server of the tests: its settings, calls of its tools, and what came of them."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nanobot.core.message import ToolResult
from nanobot.testing import Say, ScriptedModel, call
from nanobot.tools.mcp.servers import McpServers
from tests import mcp_server
from tests.harness import Harness, OpenHarness

ASK, AGAIN = {"role": "user", "content": "Do it."}, {"role": "user", "content": "And again."}
SERVER = str(Path(mcp_server.__file__))
ERAS = ("old", "new")
WIDE = {"tools_tokens": 100_000}
"""Otherwise the tools would have to be looked for."""


def table(era: str = "new", fault: str = "", **more: Any) -> dict[str, Any]:
    """Return the settings of the server `fake`, which every session may use."""
    args = [SERVER, era, *([fault] if fault else [])]
    trusted = {"sessions": ["*"], "trust_annotations": True}
    return {"servers": {"fake": {"command": sys.executable, "args": args, **trusted, **more}}}


def ask(tool: str, **arguments: object) -> Say:
    return call(f"mcp__fake__{tool}", msgspec.json.encode(arguments).decode())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what only processes outside can bring about."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def servers(harness: Harness) -> McpServers:
    assert harness.app.resources.mcp is not None
    return harness.app.resources.mcp


def children(pid: int) -> list[str]:
    """Return the ids of the processes that the process has started; none where the system does not tell."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return file.read_text().split() if file.exists() else []


async def connected(harness: Harness, *names: str) -> Harness:
    await until(lambda: all(servers(harness).states[name].is_connected for name in names or ("fake",)))
    return harness


def results(model: ScriptedModel) -> list[ToolResult]:
    """Return the results of the last turn that has called a tool."""
    request = [each for each in model.requests if each.messages[-1].role == "tool"][-1]
    return [result for message in request.messages for result in message.tool_results]


async def called(
    open_harness: OpenHarness,
    tool: str,
    *,
    era: str = "new",
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> ToolResult:
    """Return the result of a call that nobody is asked about."""
    model = ScriptedModel(ask(tool, **more), "Done.")
    tables = {**table(era), "servers": {"fake": {**table(era)["servers"]["fake"], **(settings or {})}}}
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=policy))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    return results(model)[0]
