"""`core.approvals.Approvals`: what waits for a person to agree to it."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.approvals import (
    Approval,
    ApprovalAnswer,
    ApprovalFilter,
    ApprovalRule,
    Standing,
    WantedCall,
)
from nanobot.core.ids import Randomness, SystemRandomness, new_id
from nanobot.core.sessions import ALL, Direction, SessionFilter
from nanobot.stores.sql import approvals
from nanobot.stores.sql.ports.shared import Shared


class SqlApprovals:
    """Approvals in an SQL database."""

    def __init__(self, shared: Shared, randomness: Randomness | None = None) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._randomness = randomness or SystemRandomness()

    async def approval(self, approval_id: str) -> Approval:
        return await self._database.read(lambda db: approvals.find(db, approval_id, self._clock.now()))

    async def approvals(
        self, matching: ApprovalFilter, *, limit: int, after: str | None = None, order: Direction = "desc"
    ) -> tuple[Approval, ...]:
        asked = partial(approvals.page, matching=matching, limit=limit, after=after, order=order)
        return await self._database.read(lambda db: asked(db, now=self._clock.now()))

    async def decide_approval(
        self,
        approval_id: str,
        answer: ApprovalAnswer,
        *,
        by: str,
        pattern: str | None = None,
        content: str | None = None,
    ) -> Approval:
        now = self._clock.now()
        rule_id = new_id("rule", now, self._randomness)
        return await self._database.write(
            partial(
                approvals.decide,
                approval_id=approval_id,
                answer=answer,
                by=by,
                rule_id=rule_id,
                pattern=pattern,
                now=now,
                content=content,
            )
        )

    async def standing_of(
        self, session_key: str, calls: Sequence[WantedCall], asker: str | None = None
    ) -> tuple[tuple[Standing, ...], int]:
        return await self._database.read(
            lambda db: approvals.standing(db, session_key, calls, asker, self._clock.now())
        )

    async def approval_rules(self, sessions: SessionFilter = ALL) -> tuple[ApprovalRule, ...]:
        return await self._database.read(partial(approvals.rules, sessions=sessions))

    async def revoke_approval_rule(self, rule_id: str) -> ApprovalRule:
        return await self._database.write(partial(approvals.revoke_rule, rule_id=rule_id))

    async def delete_old_approvals(self, decided_before: float) -> int:
        return await self._database.write(partial(approvals.delete_old, before=decided_before))
