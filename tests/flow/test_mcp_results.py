"""What the tools of MCP servers return, and how the model is shown it."""

import re

import pytest

from nanobot.core.message import Image
from nanobot.core.model import Ability
from nanobot.testing import ScriptedModel
from tests import mcp_server
from tests.flow.mcp_tools import ASK, ERAS, WIDE, ask, called, connected, results, table
from tests.harness import OpenHarness

SEEING: frozenset[Ability] = frozenset({"tools", "reading_on", "images"})


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
