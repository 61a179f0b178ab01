"""MCP servers come, change and go while the agent runs."""

import re
from pathlib import Path

import pytest

from nanobot.testing import ScriptedModel
from tests.flow.mcp_tools import (
    AGAIN,
    ASK,
    ERAS,
    WIDE,
    ask,
    children,
    connected,
    results,
    servers,
    table,
    until,
)
from tests.harness import OpenHarness


async def test_sessions_share_what_a_server_keeps_unless_each_has_its_own(open_harness: OpenHarness) -> None:
    counts: dict[bool, list[str]] = {}
    for apart in (False, True):
        model = ScriptedModel(ask("count"), "1", ask("count"), "2", ask("count"), "3")
        harness = await connected(await open_harness(model, agent=WIDE, mcp=table(per_session=apart)))
        for key in ("ann", "bob", "ann"):
            await harness.door.chat(key, [ASK])
            counts.setdefault(apart, []).append(re.findall(r"\n(\d+)\n", results(model)[-1].content)[0])
    assert counts == {False: ["1", "2", "3"], True: ["1", "1", "2"]}


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_that_a_server_adds_is_offered_at_once(open_harness: OpenHarness, era: str) -> None:
    model = ScriptedModel(ask("change"), "Changed.", "ok")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(era)))
    await harness.door.chat("k", [ASK])
    await until(lambda: any(tool.name == "mcp__fake__new_one" for tool in servers(harness).tools))
    await harness.door.chat("k", [AGAIN])
    assert "mcp__fake__new_one" in {tool.name for tool in model.requests[-1].tools}


async def test_after_a_start_the_tools_are_there_before_the_server_is(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    await (await connected(await open_harness(agent=WIDE, mcp=table(), data=data))).close()
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.")
    harness = await open_harness(model, agent=WIDE, mcp=table(), data=data)
    assert not servers(harness).states["fake"].is_connected
    assert "mcp__fake__echo" in {tool.name for tool in servers(harness).tools}
    await connected(harness)
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    assert "kumquat" in results(model)[0].content


async def test_tools_are_forgotten_with_the_settings_of_their_server(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    await (await connected(await open_harness(agent=WIDE, mcp=table("new"), data=data))).close()
    harness = await open_harness(agent=WIDE, mcp=table("old"), data=data)
    assert servers(harness).states["fake"].listing is None


async def test_what_a_server_has_started_ends_with_it(open_harness: OpenHarness) -> None:
    harness = await connected(await open_harness(agent=WIDE, mcp=table()))
    pid = servers(harness).pid
    assert pid is not None
    started = children(pid)
    if not started:
        pytest.skip("only Linux tells the children of a process")
    await harness.close()
    assert not [each for each in (*started, pid) if Path(f"/proc/{each}").exists()]
