"""Approvals: calls of tools that wait for a person to agree to them, and what was agreed to for longer.

An approval belongs to one session: nobody finds it by the key of another. It is asked for with the message
that asks (`Message.asks`), decided by a person, and used up at most once, by the turn that runs the call or
tells the model that it was refused: that turn's message has it as `ToolCall.approval`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from nanobot.core.sessions import ALL, Direction, SessionFilter
from nanobot.core.tool_question import ToolQuestion

ApprovalState = Literal["pending", "approved", "denied", "expired"]
ApprovalAnswer = Literal["once", "session", "rule", "deny"]
"""What a person says to a call: run it once; run it, and any call of this tool in this conversation; the same
in all conversations of a pattern; or do not run it.
"""
MAX_ARGUMENTS_CHARS = 4_000
"""What is agreed to must be read: calls with longer arguments are not asked for."""


class Approval(msgspec.Struct, frozen=True):
    """A call that was asked for.

    `turn_id`: the turn that asked; `arguments`: JSON, exactly as it is run; `asker`, `digest`, `question`: as
    in `AskedCall`. `content`: what was answered to the question, as JSON. `answer`: what was decided, at
    `decided_at` by `decided_by` (`words`, an API key, a command). `is_used`: a turn has run the call, or has
    told the model that it was not run. Times are seconds since the epoch.
    """

    id: str
    session_key: str
    turn_id: str
    call_id: str
    tool: str
    arguments: str
    asker: str | None
    created_at: float
    expires_at: float
    state: ApprovalState = "pending"
    answer: ApprovalAnswer | None = None
    decided_at: float | None = None
    decided_by: str | None = None
    digest: str = ""
    question: ToolQuestion | None = None
    content: str | None = None
    is_used: bool = False


class ApprovalRule(msgspec.Struct, frozen=True):
    """What was agreed to for longer: calls of `tool`, as long as it is the tool that people were asked about,
    run without a question in the session, or in all whose key matches `pattern`, whichever is set.
    """

    id: str
    tool: str
    session_key: str | None
    pattern: str | None
    created_at: float
    created_by: str


class WantedCall(NamedTuple):
    """A call that the model has made. `digest`: as in `AskedCall`."""

    tool: str
    arguments: str
    digest: str = ""


class Standing(msgspec.Struct, frozen=True):
    """How a call stands before it is asked for. `rule`: the id of the rule that lets it run. `approval`: the
    one for exactly this call that is not used up, and either given or still waiting.
    """

    rule: str | None = None
    approval: Approval | None = None


class ApprovalFilter(msgspec.Struct, frozen=True):
    """Which approvals are asked for: those of sessions that `sessions` matches, and of `session_key` where it
    is set, in the `state` (None: in any).
    """

    sessions: SessionFilter = ALL
    session_key: str | None = None
    state: ApprovalState | None = None


class Approvals(Protocol):
    """Where approvals and rules are kept. They end with their session."""

    async def approval(self, approval_id: str) -> Approval:
        """Return the approval; one that nobody has decided in time is `expired`.

        Raises:
            ApprovalNotFound
        """
        ...

    async def approvals(
        self, matching: ApprovalFilter, *, limit: int, after: str | None = None, order: Direction = "desc"
    ) -> tuple[Approval, ...]:
        """Return a page of approvals, newest first (`asc`: last).

        Raises:
            ApprovalNotFound: there is none `after` among them.
        """
        ...

    async def decide_approval(
        self,
        approval_id: str,
        answer: ApprovalAnswer,
        *,
        by: str,
        pattern: str | None = None,
        content: str | None = None,
    ) -> Approval:
        """Decide on the approval, and return it as it is then; with `rule` for the sessions of `pattern`,
        with `content` where it has a question. The same answer again changes nothing. What was agreed to may
        be refused until it is used up, and must be used up within as long again as there was to decide.

        Raises:
            ApprovalNotFound
            ApprovalClosed: it is used up, has expired, or another answer was given.
        """
        ...

    async def standing_of(
        self, session_key: str, calls: Sequence[WantedCall], asker: str | None = None
    ) -> tuple[tuple[Standing, ...], int]:
        """Return how each call stands in the session, and how many approvals of it
        wait. Those that were asked for another participant than `asker` are not for these calls.
        """
        ...

    async def approval_rules(self, sessions: SessionFilter = ALL) -> tuple[ApprovalRule, ...]:
        """Return the rules of sessions that `sessions` matches, and all those for patterns, oldest first."""
        ...

    async def revoke_approval_rule(self, rule_id: str) -> ApprovalRule:
        """Take back a rule, and return it.

        Raises:
            ApprovalRuleNotFound
        """
        ...

    async def delete_old_approvals(self, decided_before: float) -> int:
        """Delete approvals that were closed before then, and return how many."""
        ...
