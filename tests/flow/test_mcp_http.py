"""The agent calls the tools of MCP servers at a URL."""

from collections.abc import Iterator
from typing import Any

import pytest

from nanobot.core.message import ToolResult
from nanobot.testing import ScriptedModel
from tests.flow.mcp_tools import ASK, ERAS, WIDE, ask, connected, results, servers, until
from tests.harness import OpenHarness
from tests.mcp_server import Era, FakeMcpSite, tool

KEY = "sesame"


@pytest.fixture
def sites() -> Iterator[list[FakeMcpSite]]:
    """One site of each era."""
    eras: tuple[Era, ...] = ("old", "new")
    with FakeMcpSite(eras[0], KEY).serving() as old, FakeMcpSite(eras[1], KEY).serving() as new:
        yield [old, new]


def at(site: FakeMcpSite, **more: Any) -> dict[str, Any]:
    headers = {"Authorization": "Bearer ${FAKE_KEY}"}
    trusted = {"sessions": ["*"], "trust_annotations": True}
    return {"servers": {"fake": {"url": site.url, "headers": headers, **trusted, **more}}}


async def called(open_harness: OpenHarness, site: FakeMcpSite, tool: str, **more: Any) -> ToolResult:
    model = ScriptedModel(ask(tool, **more), "Done.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(
        await open_harness(model, agent=WIDE, mcp=at(site, timeout_s=20.0), policy=policy)
    )
    assert (await harness.door.chat("wx:dm:canary_user", [ASK])).said == "Done."
    return results(model)[0]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)


@pytest.mark.parametrize("number", range(len(ERAS)))
async def test_tools_at_a_url_are_called_with_the_headers_of_the_settings(
    open_harness: OpenHarness, sites: list[FakeMcpSite], number: int
) -> None:
    site = sites[number]
    result = await called(open_harness, site, "echo", text="kumquat")
    assert not result.is_error and "kumquat" in result.content
    assert {each["Authorization"] for each in site.requests} == {f"Bearer {KEY}"}
    assert "canary" not in repr(site.requests) + repr(site.server.seen)


async def test_a_stream_without_an_end_costs_one_call_its_time_and_nobody_else_anything(
    open_harness: OpenHarness, sites: list[FakeMcpSite]
) -> None:
    site = sites[1]
    site.server.tools.append(tool("endless"))
    model = ScriptedModel(ask("endless"), ask("echo", text="kumquat"), "Done.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    tables = at(site, timeout_s=2.0)
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=policy))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    endless, echo = results(model)
    assert endless.is_error and "did not answer within 2 s" in endless.content
    assert "kumquat" in echo.content


async def test_a_key_that_is_refused_is_named_for_the_operator_without_it(
    open_harness: OpenHarness, sites: list[FakeMcpSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", "wrong-canary")
    harness = await open_harness(agent=WIDE, mcp=at(sites[1]))
    await until(lambda: bool(servers(harness).states["fake"].why))
    assert servers(harness).states["fake"].why == "it answered 401: it wants a key (set its headers)"


async def test_a_session_that_the_server_has_forgotten_is_begun_anew(
    open_harness: OpenHarness, sites: list[FakeMcpSite]
) -> None:
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=at(sites[0])))
    sites[0].session = "two"
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    (result,) = results(model)
    assert not result.is_error and "kumquat" in result.content


@pytest.mark.parametrize("number", range(len(ERAS)))
async def test_a_failing_answer_leaves_open_what_was_done(
    open_harness: OpenHarness, sites: list[FakeMcpSite], number: int
) -> None:
    site = sites[number]
    model = ScriptedModel(ask("write", text="kumquat"), "Done.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=at(site), policy=policy))
    site.status = 502
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    (result,) = results(model)
    assert result.is_error and "is unknown" in result.content


@pytest.mark.parametrize("number", range(len(ERAS)))
async def test_a_server_that_has_gone_and_come_back_is_used_again(
    open_harness: OpenHarness, sites: list[FakeMcpSite], number: int
) -> None:
    site = sites[number]
    model = ScriptedModel(ask("echo", text="one"), "Failed.", ask("echo", text="two"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=at(site)))
    site.status = 503
    assert (await harness.door.chat("k", [ASK])).said == "Failed."
    assert results(model)[0].is_error
    site.status = None
    await until(lambda: servers(harness).states["fake"].is_connected)
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    assert "two" in results(model)[-1].content


async def test_nothing_listens_there(open_harness: OpenHarness) -> None:
    with FakeMcpSite("new").serving() as site:
        settings = at(site)
    harness = await open_harness(agent=WIDE, mcp=settings)
    await until(lambda: bool(servers(harness).states["fake"].why))
    assert not servers(harness).states["fake"].is_connected
