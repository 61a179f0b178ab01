"""The plan in the prompt: at its end, since it changes while the turn runs."""

import msgspec

from nanobot.core.message import Message, ToolResult
from nanobot.core.plan import TaskPlan

_HEADING = "(Your plan as you keep it with update_plan; nobody else said this."
_STALE = " Drop it if it is no longer wanted."
_MARKS = {"open": "[ ]", "doing": "[>]", "done": "[x]", "dropped": "[-]"}


def plan_lines(plan: TaskPlan, *, is_new: bool) -> str:
    """Return the plan as the model is shown it. `is_new`: it was made in this turn."""
    goal = [f"Goal: {plan.goal}"] if plan.goal else []
    steps = (f"{_MARKS[step.status]} {step.text}" for step in plan.steps)
    return "\n".join((f"{_HEADING}{'' if is_new else _STALE}", *goal, *steps)) + ")"


def with_plan(shown: tuple[Message, ...], plan: TaskPlan) -> tuple[Message, ...]:
    """Return the messages with the plan below the newest result; as they are where none is newest. What
    stands before that result stays in the caches of providers from step to step.
    """
    at = len(shown) - 1
    while at >= 0 and shown[at].role == "user":
        at -= 1
    if at < 0 or shown[at].role != "tool":
        return shown
    message = shown[at]
    parts = list(message.parts)
    place, result = next(
        (place, part) for place, part in reversed(list(enumerate(parts))) if isinstance(part, ToolResult)
    )
    text = plan_lines(plan, is_new=True) if plan.steps else f"{_HEADING} It is empty now.)"
    parts[place] = msgspec.structs.replace(result, content=f"{result.content}\n\n{text}")
    noted = msgspec.structs.replace(message, parts=tuple(parts))
    return (*shown[:at], noted, *shown[at + 1 :])
