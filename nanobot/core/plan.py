"""Plans: what a long task consists of, and how far it is."""

from typing import Literal

import msgspec

StepStatus = Literal["open", "doing", "done", "dropped"]


class PlanStep(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A part of a task, and how it stands."""

    text: str
    status: StepStatus = "open"


class TaskPlan(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the agent wants to do for the `goal`, in order; without steps it has no plan."""

    goal: str = ""
    steps: tuple[PlanStep, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        # In most turns there is none, and each asks for it.
        return bool(self.steps) and any(step.status in ("open", "doing") for step in self.steps)


NO_PLAN = TaskPlan()


class AgentState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent of a session keeps for its work beside the transcript: its plan, and the names of the
    tools that it has found (`find_tools`), in the order in which they are offered.
    """

    plan: TaskPlan = NO_PLAN
    found: tuple[str, ...] = ()

    def after(self, plan: TaskPlan | None, found: tuple[str, ...]) -> "AgentState":
        """Return the state after a result that has changed it: what it does not bring stays."""
        return AgentState(plan if plan is not None else self.plan, found or self.found)


NO_STATE = AgentState()
