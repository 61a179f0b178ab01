"""The tools of MCP servers: which sessions have them, under which names, and who is asked before a call."""

import re
from pathlib import Path

import pytest

from nanobot.core.errors import ConfigError
from nanobot.testing import ScriptedModel, call
from tests import mcp_server
from tests.flow.mcp_tools import (
    AGAIN,
    ASK,
    ERAS,
    WIDE,
    ask,
    called,
    connected,
    results,
    servers,
    table,
    until,
)
from tests.harness import Harness, OpenHarness


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
