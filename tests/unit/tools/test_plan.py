"""update_plan keeps a check-list as the model wrote it, and refuses one that is too long for every prompt."""

import pytest

from nanobot.core.errors import ToolError
from nanobot.core.plan import NO_PLAN, PlanStep, StepStatus, TaskPlan
from nanobot.core.tool import ToolContext, ToolOutput
from nanobot.tools.plan import MOST_CHARACTERS, MOST_STEPS, UpdatePlanArguments, update_plan

STATUSES: tuple[StepStatus, ...] = ("done", "done", "doing", "open", "open", "dropped", "doing")


async def kept(*steps: str, goal: str = "") -> TaskPlan:
    output = await update_plan().run(UpdatePlanArguments(list(steps), goal), ToolContext("t", "k", "c"))
    assert isinstance(output, ToolOutput) and output.plan is not None
    return output.plan


async def test_marks_of_check_lists_are_read_however_they_are_written() -> None:
    plan = await kept("[x] a", "- [X] b", "1. [>] c", "[ ] d", "e", "* [-] f", "[~] g", goal="Do it")
    assert plan == TaskPlan(
        "Do it",
        tuple(PlanStep(text, status) for text, status in zip("abcdefg", STATUSES, strict=True)),
    )
    assert plan.is_open


async def test_a_plan_of_which_nothing_is_left_is_not_open() -> None:
    assert not (await kept("[x] a", "[-] b")).is_open


async def test_an_empty_list_drops_the_plan() -> None:
    assert await kept() == NO_PLAN


async def test_line_breaks_do_not_make_further_steps() -> None:
    assert (await kept("[ ] a\n[x] b")).steps == (PlanStep("a [x] b"),)


@pytest.mark.parametrize(
    ("steps", "goal", "said"),
    [
        (["a"] * (MOST_STEPS + 1), "", f"has {MOST_STEPS + 1} steps"),
        (["a" * (MOST_CHARACTERS + 1)], "", f"have {MOST_CHARACTERS + 1} characters"),
        (["a"], "g" * 301, "has 301 characters"),
    ],
)
async def test_one_that_is_too_long_is_refused(steps: list[str], goal: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await kept(*steps, goal=goal)
