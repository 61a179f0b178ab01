"""The agent uses released MCP servers: mcp-server-time, mcp-server-git and mcp-server-fetch."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanobot.testing import ScriptedModel, call
from tests.clients.python_packages import programs
from tests.flow.mcp_tools import ASK, WIDE, connected, results, servers
from tests.harness import OpenHarness
from tests.mcp_server import FakeMcpSite


@pytest.fixture(scope="module")
def commands() -> Path:
    return programs("mcp_servers")


@pytest.fixture
def site() -> Iterator[FakeMcpSite]:
    """A site on this machine that answers 405 to who only looks."""
    with FakeMcpSite("new").serving() as serving:
        yield serving


def table(commands: Path, **more: dict[str, Any]) -> dict[str, Any]:
    found = {
        name: {
            "command": str(commands / f"mcp-server-{name}"),
            "trust_annotations": True,
            **more.get(name, {}),
        }
        for name in ("time", "git", "fetch")
    }
    return {"sessions": ["*"], "servers": found}


async def test_released_servers_are_connected_to_and_their_tools_answer(
    open_harness: OpenHarness, commands: Path, tmp_path: Path, site: FakeMcpSite
) -> None:
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    (work / "kumquat.txt").write_text("one")
    model = ScriptedModel(
        call("mcp__time__get_current_time", '{"timezone": "Asia/Tokyo"}'),
        call("mcp__git__git_status", f'{{"repo_path": "{work}"}}'),
        call("mcp__fetch__fetch", f'{{"url": "{site.url}"}}'),
        call("mcp__time__get_current_time", '{"timezone": "Nowhere/At_All"}'),
        call("mcp__git__git_add", f'{{"repo_path": "{work}", "files": ["kumquat.txt"]}}'),
        "Added.",
    )
    settings = table(commands, fetch={"args": ["--ignore-robots-txt", "--allow-private-ips"]})
    harness = await connected(await open_harness(model, agent=WIDE, mcp=settings), "time", "git", "fetch")
    question = (await harness.door.chat("k", [ASK])).said
    assert "mcp__git__git_add" in question and "kumquat.txt" in question
    time, status, page, wrong = results(model)
    assert "Asia/Tokyo" in time.content and not time.is_error
    assert "kumquat.txt" in status.content and not status.is_error
    assert page.is_error and "405" in page.content
    assert wrong.is_error and "Nowhere" in wrong.content
    assert (await harness.door.chat("k", [{"role": "user", "content": "yes"}])).said == "Added."
    staged = subprocess.run(
        ["git", "-C", str(work), "diff", "--cached", "--name-only"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert staged.stdout == "kumquat.txt\n"
    for name in ("time", "git", "fetch"):
        listing = servers(harness).states[name].listing
        assert listing is not None and listing.protocol == "2026-07-28"
