"""Earlier messages that the model does not see any more come back when a new one is about them."""

import pytest

from nanobot.core.errors import StoreError
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.flow.test_compaction import WINDOW, fillers, talk
from tests.harness import Harness, OpenHarness

TOLD = "By the way, the code of my garage is CANARY-4711."
ASKED = "What was the code of the garage?"
OFF = {"enabled": False}


class Answering:
    """A script that answers with a long text, and calls `search_history` where it is asked for the garage."""

    def __init__(self, *, searches: bool = False) -> None:
        self.searches = searches

    def __call__(self, request: ModelRequest) -> str | Say:
        if self.searches and request.messages[-1].text == ASKED:
            return call("search_history", '{"query": "garage code"}')
        return "The weather is fine. " * 40


async def long_talk(harness: Harness, key: str = "a") -> None:
    await talk(harness, key, TOLD, *fillers(9))


async def test_what_was_told_long_ago_stands_at_the_end_of_the_prompt(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Answering())
    harness = await open_harness(model, agent=WINDOW, compaction=OFF)
    await long_talk(harness)
    await talk(harness, "a", ASKED)
    request = model.requests[-1]
    assert not any(TOLD in message.text for message in request.messages)
    assert request.messages[-1].text == ASKED
    today, introduction, *lines = request.notes.splitlines()
    assert today.startswith("Today is ")
    assert "no instructions" in introduction
    assert any(line.startswith("- ") and TOLD in line for line in lines)


async def test_what_the_model_sees_is_not_recalled(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    await talk(harness, "a", TOLD, ASKED)
    assert "CANARY" in model.requests[-1].messages[0].text
    assert "CANARY" not in model.requests[-1].notes


async def test_a_turn_that_shows_all_of_its_conversation_searches_nothing(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    searched: list[str] = []
    search = harness.app.store.search_messages

    async def noted(text: str, *args: object, **options: object) -> object:
        searched.append(text)
        return await search(text, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(harness.app.store, "search_messages", noted)
    await talk(harness, "a", TOLD, ASKED, ASKED)
    assert searched == []


@pytest.mark.parametrize("settings", [{"tokens": 0}, {}])
async def test_other_sessions_and_switched_off(open_harness: OpenHarness, settings: dict[str, int]) -> None:
    """Nothing of another session comes back, and nothing at all where the settings say so."""
    model = ScriptedModel(Answering())
    harness = await open_harness(model, agent=WINDOW, compaction=OFF, recall=settings)
    await long_talk(harness, "wx:dm:alice")
    await talk(harness, "wx:dm:alic", *fillers(9), ASKED)
    assert not any("CANARY" in request.notes for request in model.requests)
    assert not any("CANARY" in message.text for message in model.requests[-1].messages)
    await talk(harness, "wx:dm:alice", ASKED)
    assert ("CANARY" in model.requests[-1].notes) == (not settings)


async def test_a_turn_without_a_trace_recalls_nothing(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Answering())
    harness = await open_harness(model, agent=WINDOW, compaction=OFF)
    await long_talk(harness)
    await harness.door.chat("a", ASKED, store=False)
    assert "CANARY" not in model.requests[-1].notes


async def test_the_model_may_search_where_messages_are_out_of_view(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Answering(searches=True))
    harness = await open_harness(model, agent=WINDOW, compaction=OFF, recall={"tokens": 0})
    first = await harness.door.chat("a", TOLD)
    assert "search_history" not in [tool.name for tool in model.requests[-1].tools]
    await talk(harness, "a", *fillers(9), ASKED)
    assert "search_history" in [tool.name for tool in model.requests[-1].tools]
    (result,) = model.requests[-1].messages[-1].tool_results
    assert TOLD in result.content and first.turn_id in result.content
    assert not result.is_error


async def test_what_is_recalled_stays_the_same_in_all_steps_of_a_turn(open_harness: OpenHarness) -> None:
    """What the provider has cached of the first step must fit the second."""
    model = ScriptedModel(Answering(searches=True))
    harness = await open_harness(model, agent=WINDOW, compaction=OFF)
    await long_talk(harness)
    await talk(harness, "a", ASKED)
    one, two = model.requests[-2:]
    assert [message.role for message in two.messages[-2:]] == ["assistant", "tool"]
    assert one.notes == two.notes and "CANARY" in one.notes


async def test_a_search_that_fails_does_not_fail_the_turn(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = ScriptedModel(Answering())
    harness = await open_harness(model, agent=WINDOW, compaction=OFF)
    await long_talk(harness)

    async def failing(*args: object, **options: object) -> object:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(harness.app.store, "search_messages", failing)
    (reply,) = await talk(harness, "a", ASKED)
    assert reply.status == 200
    assert "CANARY" not in model.requests[-1].notes
    assert "the disk is gone" in caplog.text


async def test_after_an_erasure_nothing_comes_back(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Answering())
    harness = await open_harness(model, agent=WINDOW, compaction=OFF)
    await long_talk(harness)
    await harness.door.call("DELETE", "/v1/sessions/a")
    await talk(harness, "a", *fillers(9), ASKED)
    assert "CANARY" not in model.requests[-1].notes
