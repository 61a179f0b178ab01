"""The tool by which the model keeps a plan for long work."""

import re
from typing import Annotated

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.plan import NO_PLAN, PlanStep, StepStatus, TaskPlan
from nanobot.core.tool import Tool, ToolContext, ToolOutput

UPDATE_PLAN = "update_plan"
MOST_STEPS = 40
MOST_CHARACTERS = 4_000
_LONGEST_GOAL = 300
_STEP = LatePattern(r"\s*(?:[-*•]\s+|\d{1,3}[.)]\s+)?(?:\[(.?)\]\s*)?(.*)", re.DOTALL)
_MARKS: dict[str, StepStatus] = {
    "x": "done",
    "X": "done",
    "✓": "done",
    ">": "doing",
    "~": "doing",
    "-": "dropped",
}


class UpdatePlanArguments(msgspec.Struct, frozen=True):
    steps: Annotated[
        list[str],
        msgspec.Meta(description='each "[ ] open", "[>] doing", "[x] done" or "[-] dropped"'),
    ]
    goal: str = ""


def update_plan() -> Tool:
    """Return the tool that puts a new plan in place of the one that the session has."""

    async def run(arguments: UpdatePlanArguments, context: ToolContext) -> ToolOutput:
        steps = tuple(step for text in arguments.steps if (step := _read(text)).text)
        _check(arguments.goal, steps)
        if not steps:
            return ToolOutput("There is no plan any more.", plan=NO_PLAN)
        done = sum(1 for step in steps if step.status == "done")
        plan = TaskPlan(" ".join(arguments.goal.split()), steps)
        return ToolOutput(f"The plan is kept: {done} of {len(steps)} steps are done.", plan=plan)

    return Tool(
        UPDATE_PLAN,
        "Keep a check-list for work of many steps: send all of it each time, [] drops it.",
        UpdatePlanArguments,
        run,
        repeatable=True,
        # The last of several in one step is to be the one that counts.
        concurrent=False,
        demanding=True,
        brings=None,
        group="plan",
    )


def _read(text: str) -> PlanStep:
    found = _STEP.fullmatch(text)
    mark, said = (found[1], found[2]) if found is not None else ("", text)
    return PlanStep(" ".join(said.split()), _MARKS.get(mark or "", "open"))


def _check(goal: str, steps: tuple[PlanStep, ...]) -> None:
    """Return where a plan is not too long: it stands in every prompt.

    Raises:
        ToolError
    """
    if len(steps) > MOST_STEPS:
        raise ToolError(f"the plan has {len(steps)} steps, at most {MOST_STEPS} are kept: join some of them")
    if len(goal) > _LONGEST_GOAL:
        raise ToolError(f"the goal has {len(goal)} characters, at most {_LONGEST_GOAL} are kept: shorten it")
    size = sum(len(step.text) for step in steps)
    if size > MOST_CHARACTERS:
        raise ToolError(f"the steps have {size} characters, at most {MOST_CHARACTERS} are kept: shorten them")
