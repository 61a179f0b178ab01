"""The agent calls the tools of MCP servers."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ConfigError
from nanobot.core.message import Image, ToolResult
from nanobot.core.model import Ability, ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from nanobot.tools.mcp.servers import McpServers
from tests import mcp_server
from tests.harness import Harness, OpenHarness

ASK, AGAIN = {"role": "user", "content": "Do it."}, {"role": "user", "content": "And again."}
SERVER = str(Path(mcp_server.__file__))
ERAS = ("old", "new")
WIDE = {"tools_tokens": 100_000}
"""Otherwise the tools would have to be looked for."""
SEEING: frozenset[Ability] = frozenset({"tools", "reading_on", "images"})


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


@pytest.mark.parametrize("era", ERAS)
async def test_the_model_calls_a_tool_and_sees_its_answer_between_marks(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(era)))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    (result,) = results(model)
    assert not result.is_error
    assert "\nkumquat\n</untrusted " in result.content and "written by strangers" in result.content


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_that_does_not_say_that_it_only_reads_is_asked_about(
    open_harness: OpenHarness, tmp_path: Path, era: str
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(ask("write", text="kumquat"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(era, env={"CALLS": str(log)})))
    question = (await harness.door.chat("k", [ASK])).said
    assert "mcp__fake__write" in question and "kumquat" in question
    assert not log.exists()
    assert (await harness.door.chat("k", [{"role": "user", "content": "yes"}])).said == "Done."
    assert log.read_text() == "write kumquat\n"


async def test_what_a_server_says_of_its_tools_is_believed_only_where_the_settings_say_so(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.")
    tables = table(trust_annotations=False)
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables))
    assert "mcp__fake__echo" in (await harness.door.chat("k", [ASK])).said
    result = await called(
        open_harness, "crash_once", settings={"trust_annotations": False, "env": {"CALLS": str(log)}}
    )
    assert result.is_error and "whether it was carried out is unknown" in result.content
    assert log.read_text() == "crash_once\n"


async def test_what_was_agreed_to_ends_when_the_server_says_something_else_of_its_tool(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(
        ask("write", text="one"), "Done.",
        ask("write", text="two"), "Done.",
        ask("write", text="other"),
        ask("change_write"), "Done.",
        ask("write", text="three"),
        "Refused.",
    )  # fmt: skip
    policy = [{"tools": {"mcp__fake__change_write": "allow"}}]
    tables = table(env={"CALLS": str(log)})
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=policy))
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [{"role": "user", "content": "always"}])
    await harness.door.chat("k", [AGAIN])
    assert log.read_text() == "write one\nwrite two\n"
    assert "write" in (await harness.door.chat("other", [ASK])).said
    await harness.door.chat("k", [AGAIN])
    await until(lambda: "strangers" in repr(servers(harness).tools))
    assert "mcp__fake__write" in (await harness.door.chat("k", [AGAIN])).said
    # Whoever was asked before, and agrees now, agrees to another tool.
    await harness.door.chat("other", [{"role": "user", "content": "yes"}])
    assert "has changed since the user was asked" in results(model)[-1].content
    assert log.read_text() == "write one\nwrite two\n"


async def test_a_policy_decides_by_the_server_and_by_the_tool(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(ask("write", text="kumquat"), ask("echo", text="no"), "Done.")
    policy = [{"tools": {"mcp__fake__echo": "deny", "@mcp__fake": "allow"}}]
    tables = table(env={"CALLS": str(log)})
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=policy))
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    assert log.read_text() == "write kumquat\n"
    assert [result.is_error for result in results(model)] == [False, True]
    assert "mcp__fake__echo" not in {tool.name for tool in model.requests[0].tools}


async def test_a_rule_for_a_server_that_is_not_there_is_refused(open_harness: OpenHarness) -> None:
    with pytest.raises(ConfigError, match="there is no tool '@mcp__other'"):
        await open_harness(agent=WIDE, mcp=table(), policy=[{"tools": {"@mcp__other": "allow"}}])


async def test_only_the_sessions_of_the_settings_have_the_tools(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok", ask("echo", text="kumquat"), "Refused.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(sessions=["wx:dm:ann"])))
    await harness.door.chat("wx:dm:ann", [ASK])
    assert "mcp__fake__echo" in {tool.name for tool in model.requests[-1].tools}
    assert (await harness.door.chat("wx:dm:bob", [ASK])).said == "Refused."
    assert not [tool for tool in model.requests[-1].tools if tool.name.startswith("mcp__")]
    (result,) = results(model)
    assert result.is_error and "not allowed in this conversation" in result.content


async def test_an_agent_without_memory_has_the_tools_of_servers(open_harness: OpenHarness) -> None:
    """They come later than its settings are read."""
    model = ScriptedModel("ok")
    harness = await connected(await open_harness(model, agent={**WIDE, "memory": False}, mcp=table()))
    await harness.door.chat("wx:dm:ann", "hi")
    offered = {tool.name for tool in model.requests[0].tools}
    assert "mcp__fake__echo" in offered and "remember" not in offered


async def test_what_tools_that_came_later_cost_to_offer_is_counted(open_harness: OpenHarness) -> None:
    async def counted(harness: Harness) -> int:
        body = b'{"model": "nanobot", "input": "hi"}'
        reply = await harness.door.call("POST", "/v1/responses/input_tokens", body=body)
        assert reply.status == 200, reply.text
        return int(reply.json["input_tokens"])

    without = await open_harness(ScriptedModel(), agent=WIDE)
    harness = await connected(await open_harness(ScriptedModel(), agent=WIDE, mcp=table()))
    assert await counted(harness) > await counted(without) + 20


async def test_without_a_word_about_sessions_no_session_has_the_tools(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    settings = table()
    del settings["servers"]["fake"]["sessions"]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=settings))
    await harness.door.chat("k", [ASK])
    assert not [tool for tool in model.requests[-1].tools if tool.name.startswith("mcp__")]


async def test_odd_names_become_names_that_every_provider_takes_and_stay_apart(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("ok")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table()))
    await harness.door.chat("k", [ASK])
    names = {tool.name for tool in model.requests[-1].tools if tool.name.startswith("mcp__")}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
    odd = sorted(name for name in names if "dotted" in name)
    assert odd[0] == "mcp__fake__dotted_name_of_it" and len(odd) == 2
    (long,) = [name for name in names if "longer" in name]
    for name in (odd[1], long):
        model = ScriptedModel(call(name), "Done.")
        harness = await connected(await open_harness(model, agent=WIDE, mcp=table()))
        await harness.door.chat("k", [ASK])
        original = "dotted.name/of it" if name == odd[1] else mcp_server.LONG_NAME
        assert f"did {original}" in results(model)[0].content


async def test_what_a_server_says_of_its_tools_has_nothing_invisible_in_it(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table()))
    await harness.door.chat("k", [ASK])
    (tool,) = [tool for tool in model.requests[-1].tools if tool.name == "mcp__fake__invisible"]
    assert tool.description == "Seen. Unseen?"


async def test_only_the_tools_that_the_settings_name_are_offered(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(tools=["echo", "cra*"])))
    await harness.door.chat("k", [ASK])
    names = {tool.name for tool in model.requests[-1].tools if tool.name.startswith("mcp__fake__")}
    assert names == {
        *("mcp__fake__echo", "mcp__fake__crash", "mcp__fake__crash_once"),
        *("mcp__fake__list_resources", "mcp__fake__read_resource", "mcp__fake__get_prompt"),
    }


async def test_many_tools_are_found_and_only_those_of_the_session(open_harness: OpenHarness) -> None:
    found = call("find_tools", '{"query": "echo"}')
    model = ScriptedModel(found, ask("echo", text="kumquat"), "Done.", found, "Nothing.")
    harness = await connected(await open_harness(model, mcp=table(sessions=["ann"])))
    assert (await harness.door.chat("ann", [ASK])).said == "Done."
    assert not [tool for tool in model.requests[0].tools if tool.name.startswith("mcp__")]
    assert "mcp__fake__echo" in results(model)[0].content and "kumquat" in results(model)[1].content
    assert (await harness.door.chat("bob", [ASK])).said == "Nothing."
    assert "mcp__" not in repr(model.requests[-1])


# Results ------------------------------------------------------------------------------------------


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


async def test_text_of_a_server_cannot_end_its_mark(open_harness: OpenHarness) -> None:
    content = (await called(open_harness, "hostile")).content
    (boundary,) = set(re.findall(r"<untrusted ([0-9a-f]{24})>", content))
    assert content.endswith(f"\n</untrusted {boundary}>")
    assert content.count(boundary) == 2


async def test_a_picture_is_seen_by_a_model_that_sees(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("picture"), "Done.", abilities=SEEING)
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table()))
    await harness.door.chat("k", [ASK])
    shown = [part for message in model.requests[1].messages for part in message.parts]
    assert [part.url for part in shown if isinstance(part, Image)] == [
        f"data:image/png;base64,{mcp_server.PIXEL}"
    ]
    blind = ScriptedModel(ask("picture"), "Done.", abilities=frozenset({"tools", "reading_on"}))
    harness = await connected(await open_harness(blind, agent=WIDE, mcp=table()))
    await harness.door.chat("k", [ASK])
    assert "this model sees none" in results(blind)[0].content


async def test_parts_of_all_kinds_are_shown_or_named(open_harness: OpenHarness) -> None:
    content = (await called(open_harness, "mixed")).content
    assert "before" in content and "Resource memo://in:\nkumquat" in content
    assert "(recording, audio/wav, 3 bytes: it cannot be shown)" in content
    assert "(resource memo://bin, application/zip, 3 bytes: it cannot be shown)" in content
    assert "Resource memo://link link: more" in content
    assert '{"degrees": 21}' in content


async def test_a_huge_result_is_cut_and_its_mark_stays(open_harness: OpenHarness) -> None:
    result = await called(open_harness, "huge")
    assert len(result.content) < 400_000
    assert re.search(r"</untrusted [0-9a-f]{24}>\n\(cut: ", result.content)


@pytest.mark.parametrize("era", ERAS)
async def test_what_the_server_calls_a_failure_is_an_error_with_its_words(
    open_harness: OpenHarness, era: str
) -> None:
    result = await called(open_harness, "fail", era=era)
    assert result.is_error and "the file is locked" in result.content and "</untrusted " in result.content


@pytest.mark.parametrize("era", ERAS)
async def test_resources_and_prompts_are_read_by_tools(open_harness: OpenHarness, era: str) -> None:
    model = ScriptedModel(
        ask("list_resources"),
        ask("read_resource", uri="memo://two"),
        ask("get_prompt", name="greet", arguments={"who": "Ann"}),
        ask("read_resource"),
        "Done.",
    )
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(era)))
    await harness.door.chat("k", [ASK])
    listed, read, prompt, without = results(model)
    assert "memo://one one" in listed.content
    assert "at memo://two" in read.content
    assert "user:" in prompt.content and "Ann" in prompt.content
    assert without.is_error and "uri is missing" in without.content


# Faults -------------------------------------------------------------------------------------------


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


# Isolation ----------------------------------------------------------------------------------------


async def test_a_server_is_told_no_secret_and_no_session_key(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("TOKEN", "given")
    tables = table(env={"OWN": "${TOKEN}-1", "OTHER": "${MISSING:-default}"})
    model = ScriptedModel(ask("environment"), "Done.")
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables))
    await harness.door.chat("wx:dm:canary_user", [ASK])
    content = results(model)[0].content
    assert '"OWN": "given-1"' in content and '"OTHER": "default"' in content
    assert "canary" not in content and "PYTHONPATH" not in content


async def test_sessions_share_what_a_server_keeps_unless_each_has_its_own(open_harness: OpenHarness) -> None:
    counts: dict[bool, list[str]] = {}
    for apart in (False, True):
        model = ScriptedModel(ask("count"), "1", ask("count"), "2", ask("count"), "3")
        harness = await connected(await open_harness(model, agent=WIDE, mcp=table(per_session=apart)))
        for key in ("ann", "bob", "ann"):
            await harness.door.chat(key, [ASK])
            counts.setdefault(apart, []).append(re.findall(r"\n(\d+)\n", results(model)[-1].content)[0])
    assert counts == {False: ["1", "2", "3"], True: ["1", "1", "2"]}


# Changes ------------------------------------------------------------------------------------------


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
