"""A turn that has used up its tokens, its money or its time answers with what it has reached."""

from typing import Any

import msgspec
import pytest

from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import FakeClock, ScriptedModel, call
from tests.harness import OpenHarness


class NoArguments(msgspec.Struct, frozen=True):
    """None."""


def working(request: ModelRequest) -> Any:
    """Call a tool as long as there are tools: 10 tokens of prompt and 5 of answer each time."""
    return call("work", id=f"c{len(request.messages)}") if request.tools else "Half of it is done."


def slow(clock: FakeClock) -> Tool:
    async def run(arguments: NoArguments, context: ToolContext) -> str:
        clock.advance(10)
        return "worked"

    return Tool("work", "Work.", NoArguments, run)


@pytest.mark.parametrize(
    ("agent", "steps", "said"),
    [
        ({"max_turn_tokens": 45}, 3, "the 45 tokens of this turn"),
        ({"max_turn_cost": 0.00006}, 3, "the 6e-05 dollars of this turn"),
        ({"max_turn_s": 25}, 3, "the 25 seconds of this turn"),
        ({"max_steps": 4}, 4, "all 4 steps of this turn"),
    ],
)
async def test_it_answers_without_tools(
    open_harness: OpenHarness, agent: dict[str, float], steps: int, said: str
) -> None:
    clock = FakeClock()
    model = ScriptedModel(working)
    prices = {"scripted": {"input": 1.0, "output": 2.0}}
    harness = await open_harness(model, clock=clock, tools=[slow(clock)], agent=agent, prices=prices)
    answer = await harness.door.chat("k", "Do all of it.")
    assert answer.said == "Half of it is done."
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert len(model.requests) == steps + 1
    assert f"You have used up {said}" in model.requests[-1].notes
    assert all("used up" not in request.notes for request in model.requests[:-1])


async def test_the_next_turn_has_a_budget_of_its_own(open_harness: OpenHarness) -> None:
    model = ScriptedModel(working)
    harness = await open_harness(model, tools=[slow(FakeClock())], agent={"max_turn_tokens": 20})
    await harness.door.chat("k", "Do all of it.")
    await harness.door.chat("k", "Go on.")
    assert [bool(request.tools) for request in model.requests] == [True, True, False] * 2


async def test_what_has_no_price_costs_nothing(open_harness: OpenHarness) -> None:
    model = ScriptedModel(working)
    harness = await open_harness(
        model, tools=[slow(FakeClock())], agent={"max_turn_cost": 0.00001, "max_steps": 3}
    )
    await harness.door.chat("k", "Do all of it.")
    assert "all 3 steps" in model.requests[-1].notes
