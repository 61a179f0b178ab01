"""The plan of a session: at the end of its prompts, in its events, through restarts and rewinds."""

from pathlib import Path
from typing import Any

import msgspec

from nanobot.core.model import ModelRequest
from nanobot.testing import ScriptedModel, call
from tests.harness import OpenHarness

ASK = {"role": "user", "content": "Move the archive to the new server."}


def plan(*steps: str, id: str = "p1") -> Any:  # noqa: A002
    return call("update_plan", msgspec.json.encode({"goal": "Archive moved", "steps": steps}).decode(), id)


def last_text(request: ModelRequest) -> str:
    message = request.messages[-1]
    return message.tool_results[-1].content if message.tool_results else message.text


async def test_the_plan_stands_at_the_end_of_each_prompt_and_nowhere_before(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        plan("[>] copy", "[ ] check"), call("current_time", id="c1"), call("current_time", id="c2"), "Done."
    )
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK])
    first, second, third, fourth = model.requests
    for request in (second, third, fourth):
        assert last_text(request).endswith("Goal: Archive moved\n[>] copy\n[ ] check)")
        assert all("[>] copy" not in message.text for message in request.messages)
        assert sum("Goal: Archive moved" in str(message.parts) for message in request.messages) == 1
    assert first.notes == second.notes == third.notes
    # Only the newest result of a step differs in the next one.
    assert fourth.messages[: len(third.messages) - 1] == third.messages[:-1]


async def test_a_later_turn_is_told_of_what_is_left_also_after_a_restart(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    model = ScriptedModel(plan("[x] copy", "[ ] check"), "Half of it.", "ok")
    harness = await open_harness(model, data=tmp_path / "data")
    await harness.door.chat("k", [ASK])
    await harness.close()
    again = await open_harness(model, data=tmp_path / "data")
    await again.door.chat("k", "Go on.")
    assert "[x] copy\n[ ] check" in model.requests[-1].notes
    await again.door.chat("other", "Hello.")
    assert "copy" not in model.requests[-1].notes


async def test_a_plan_that_is_done_or_dropped_is_not_shown_any_more(open_harness: OpenHarness) -> None:
    model = ScriptedModel(plan("[ ] copy"), "ok", plan("[x] copy", id="p2"), "ok", "ok")
    harness = await open_harness(model)
    for number in range(3):
        await harness.door.chat("k", f"Go on with {number}.")
    assert "[ ] copy" in model.requests[2].notes
    assert "[x] copy" in last_text(model.requests[3])
    assert "copy" not in model.requests[-1].notes


async def test_followers_of_the_tools_see_the_plan(open_harness: OpenHarness) -> None:
    model = ScriptedModel(plan("[>] copy"), "ok")
    harness = await open_harness(model)
    exchange = await harness.door.chat("k", [ASK], stream=True, headers={"x-events": "tools"})
    assert '"plan":{"goal":"Archive moved","steps":[{"text":"copy","status":"doing"}]}' in exchange.text


async def test_a_rewind_takes_the_plan_back(open_harness: OpenHarness) -> None:
    model = ScriptedModel("Hello.", plan("[ ] copy"), "ok", "ok", "ok")
    harness = await open_harness(model)
    hello = {"role": "user", "content": "Hello."}
    said = {"role": "assistant", "content": "Hello."}
    await harness.door.chat("k", [hello])
    await harness.door.chat("k", [hello, said, ASK])
    await harness.door.chat("k", [hello, said, {"role": "user", "content": "Something else."}])
    assert "copy" not in model.requests[-1].notes
    done = {"role": "assistant", "content": "ok"}
    await harness.door.chat("k", [hello, said, ASK, done, {"role": "user", "content": "Go on."}])
    assert "[ ] copy" in model.requests[-1].notes


async def test_a_fork_goes_on_with_the_plan(open_harness: OpenHarness) -> None:
    model = ScriptedModel(plan("[ ] copy"), "ok", "ok")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK])
    forked = await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key": "k2"}')
    assert forked.status < 300, forked.text
    await harness.door.chat("k2", "Go on.")
    assert "[ ] copy" in model.requests[-1].notes
