"""What people have decided about calls that they were asked about: by words, or elsewhere."""

import json
from collections.abc import Mapping, Sequence

from nanobot.agent import question
from nanobot.agent.consent import Consent, consent_in
from nanobot.agent.tool_answers import content_in
from nanobot.agent.toolset import Toolset
from nanobot.core.approvals import Approval, ApprovalAnswer, Approvals
from nanobot.core.errors import ApprovalClosed, ApprovalNotFound
from nanobot.core.message import AskedCall, Message

_ANSWERS: Mapping[Consent, ApprovalAnswer] = {"yes": "once", "always": "session", "no": "deny"}


class Decisions:
    """The decisions in one session. Words that count are put into effect when they are read."""

    def __init__(self, approvals: Approvals, session_key: str, toolset: Toolset) -> None:
        self._approvals = approvals
        self._session_key = session_key
        self._toolset = toolset

    async def on(self, asked: AskedCall, said: Sequence[Message]) -> Approval | None:
        """Return what became of the question, after what users `said` to it; None where the session has no
        such question.
        """
        try:
            approval = await self._approvals.approval(asked.id)
        except ApprovalNotFound:
            return None
        if approval.session_key != self._session_key:
            # The message came from another session with a fork.
            return None
        is_open = approval.state == "pending" or (approval.state == "approved" and not approval.is_used)
        if is_open and self._toolset.digest_of(approval.tool) not in (None, approval.digest):
            # What somebody reads of a tool must be what it is when it runs.
            return await self._decide(approval, "deny", by=question.CHANGED_BY)
        consent = consent_in(said, asked.asker)
        if approval.question is not None:
            return await self._answered_in(approval, consent, said)
        if consent is None or not is_open or (approval.state == "approved" and consent != "no"):
            return approval
        by = "words" if asked.asker is None else f"words of {asked.asker}"
        # A participant speaks for nobody else in the conversation.
        answer = "once" if consent == "always" and asked.asker is not None else _ANSWERS[consent]
        return await self._decide(approval, answer, by=by)

    async def _answered_in(
        self, approval: Approval, consent: Consent | None, said: Sequence[Message]
    ) -> Approval:
        """Return the approval of a question that a tool asks, once the words that were said count."""
        assert approval.question is not None  # noqa: S101 - the caller has looked
        content = content_in(approval.question, said, approval.asker, consent)
        by = "words" if approval.asker is None else f"words of {approval.asker}"
        if approval.state == "pending" and content is not None:
            text = json.dumps(content, ensure_ascii=False)
            return await self._decide(approval, "once", by=by, content=text)
        if content is None and consent == "no" and approval.state in ("pending", "approved"):
            return await self._decide(approval, "deny", by=by)
        return approval

    async def _decide(
        self,
        approval: Approval,
        answer: ApprovalAnswer,
        *,
        by: str,
        content: str | None = None,
    ) -> Approval:
        try:
            return await self._approvals.decide_approval(approval.id, answer, by=by, content=content)
        except ApprovalClosed:
            # It was decided elsewhere meanwhile, or has just expired.
            return await self._approvals.approval(approval.id)
