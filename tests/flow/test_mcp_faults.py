"""MCP servers that hang, crash, flood or lie, and the process of the connections that is killed."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.flow.mcp_tools import (
    AGAIN,
    ASK,
    ERAS,
    WIDE,
    ask,
    called,
    children,
    connected,
    results,
    servers,
    table,
    until,
)
from tests.harness import OpenHarness


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_does_not_answer_ends_the_call_not_the_turn(
    open_harness: OpenHarness, era: str
) -> None:
    result = await called(open_harness, "hang", era=era, settings={"timeout_s": 0.5})
    assert result.is_error
    assert "did not answer within 0.5 s" in result.content and "is unknown" in result.content
    assert (
        "try again later"
        in (await called(open_harness, "hang_reading", era=era, settings={"timeout_s": 0.5})).content
    )


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_during_which_the_server_crashes_is_not_repeated(
    open_harness: OpenHarness, tmp_path: Path, era: str
) -> None:
    log = tmp_path / "calls"
    result = await called(open_harness, "crash", era=era, settings={"env": {"CALLS": str(log)}})
    assert result.is_error and "whether it was carried out is unknown" in result.content
    assert "canary" not in result.content
    assert log.read_text() == "crash\n"


@pytest.mark.parametrize("era", ERAS)
async def test_a_reading_call_is_made_once_more_after_a_crash(
    open_harness: OpenHarness, tmp_path: Path, era: str
) -> None:
    log = tmp_path / "calls"
    result = await called(open_harness, "crash_once", era=era, settings={"env": {"CALLS": str(log)}})
    assert not result.is_error and "did crash_once" in result.content
    assert log.read_text() == "crash_once\ncrash_once\n"


async def test_a_server_that_cannot_be_started_holds_up_nobody(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    tables = table()
    tables["servers"]["gone"] = {"command": "/no/such/program", "sessions": ["*"]}
    tables["servers"]["silent"] = {
        **table("new", "silent", connect_timeout_s=600.0)["servers"]["fake"],
    }
    harness = await open_harness(model, agent=WIDE, mcp=tables)
    # Nothing is connected to yet.
    assert (await harness.door.chat("k", [ASK])).said == "ok"
    await connected(harness)
    await until(lambda: bool(servers(harness).states["gone"].why))
    assert "there is no program '/no/such/program'" in servers(harness).states["gone"].why
    assert not servers(harness).states["silent"].is_connected


async def test_the_last_words_of_a_server_that_dies_are_for_the_operator(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness = await open_harness(agent=WIDE, mcp=table("new", "dies"))
    await until(lambda: bool(servers(harness).states["fake"].why))
    assert servers(harness).states["fake"].why == "it ended with status 1: the canary of the death"
    assert "the MCP server fake is not connected" in caplog.text


@pytest.mark.parametrize("fault", ["chatty"])
async def test_lines_that_are_no_messages_are_passed_over(open_harness: OpenHarness, fault: str) -> None:
    harness = await connected(await open_harness(agent=WIDE, mcp=table("old", fault)))
    assert servers(harness).states["fake"].listing is not None


async def test_the_agent_goes_on_when_the_process_of_the_connections_is_killed(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(ask("hang"), "Unknown.", ask("echo", text="again"), "Done.")
    tables = table(env={"CALLS": str(log)})
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=policy))
    turn = asyncio.create_task(harness.door.chat("k", [ASK]))
    await until(log.exists)
    pid = servers(harness).pid
    assert pid is not None
    started = children(pid)
    os.kill(pid, signal.SIGKILL)
    assert (await turn).said == "Unknown."
    assert "is unknown" in results(model)[0].content
    await until(lambda: servers(harness).pid not in (None, pid))
    await connected(harness)
    assert (await harness.door.chat("k", [AGAIN])).said == "Done."
    assert "again" in results(model)[-1].content
    assert log.read_text() == "hang\n"
    await until(lambda: not any(Path(f"/proc/{each}").exists() for each in started))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_what_stops_the_server_ends_no_call_that_it_still_waits_for(
    open_harness: OpenHarness, tmp_path: Path, number: int
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(ask("wait"), ask("release"), "Done.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    settings = table(fault="garbled", env={"CALLS": str(log)})
    harness = await connected(await open_harness(model, agent=WIDE, mcp=settings, policy=policy))
    pid = servers(harness).pid
    assert pid is not None
    waiting = asyncio.create_task(harness.door.chat("k", [ASK]))
    await until(log.exists)
    # As Ctrl-C in a terminal, and the stop of a service: all processes get it.
    os.kill(pid, number)
    assert (await harness.door.chat("other", [ASK])).said == "Done."
    assert (await waiting).said == "Done."
    assert servers(harness).pid == pid
    assert repr(model.requests).count("it was released") == 1


@pytest.mark.parametrize("era", ERAS)
async def test_the_schema_of_an_answer_cannot_stop_the_process_of_the_connections(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(ask("pattern"), "Done.")
    harness = await connected(await open_harness(model, mcp=table(era, "hostile")))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    (result,) = results(model)
    assert not result.is_error and f"{'a' * 40}!" in result.content


@pytest.mark.parametrize("era", ERAS)
async def test_answers_to_nothing_and_floods_of_notices_do_no_harm(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(ask("wrong_ids"), ask("notices"), ask("echo", text="kumquat"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(era, "hostile")))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    texts = [result.content for result in results(model)]
    assert "did wrong_ids" in texts[0] and "did notices" in texts[1] and "kumquat" in texts[2]
    assert "forged" not in "".join(texts)


@pytest.mark.parametrize("fault", ["more", "same"])
async def test_a_list_without_an_end_is_left_where_that_is_clear(
    open_harness: OpenHarness, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = await connected(await open_harness(agent=WIDE, mcp=table("new", fault)))
    listing = servers(harness).states["fake"].listing
    assert listing is not None
    assert len(listing.tools) == (100 if fault == "more" else 10)
    assert "the list of tools goes on: at most 20 pages" in caplog.text


@pytest.mark.parametrize("stream", ["flood", "flood_errors"])
async def test_a_server_that_writes_on_and_on_keeps_no_other_from_answering(
    open_harness: OpenHarness, stream: str
) -> None:
    hostile = table("new", "hostile")["servers"]["fake"]
    good = table()["servers"]["fake"]
    begun = asyncio.Event()

    def answer(request: ModelRequest) -> Say | str:
        if request.messages[-1].role == "tool":
            return "Done."
        if request.messages[-1].text == "Flood.":
            begun.set()
            return call(f"mcp__bad__{stream}", "{}")
        return call("mcp__good__count", "{}")

    harness = await open_harness(
        ScriptedModel(*[answer] * 6), mcp={"servers": {"bad": hostile, "good": good}}
    )
    await connected(harness, "bad", "good")
    flooding = asyncio.create_task(harness.door.chat("bad", [{"role": "user", "content": "Flood."}]))
    await begun.wait()
    async with asyncio.timeout(30):
        for _ in range(2):
            assert (await harness.door.chat("good", [ASK])).said == "Done."
    flooding.cancel()
