"""Whether the calls of a turn run: by the policy, by what a person has agreed to, or after a question."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

import msgspec

from nanobot.agent import question
from nanobot.agent.decisions import Decisions
from nanobot.agent.toolset import MalformedCall, Toolset
from nanobot.core.approvals import Approval, Approvals, Standing, WantedCall
from nanobot.core.audit_log import AuditedCall, AuditEntry, AuditSink, CallDecision, CallOutcome
from nanobot.core.clock import Clock
from nanobot.core.ids import Randomness, SystemRandomness, call_id, new_id
from nanobot.core.masking import masked
from nanobot.core.message import AskedCall, Message, ToolCall, ToolResult
from nanobot.core.persona import Persona
from nanobot.core.policy import Policy, Ruling
from nanobot.core.tool_question import AnsweredQuestion, ToolQuestion
from nanobot.core.turn import Turn

MOST_ASKED_AT_ONCE = 8
_AUDITED_CHARS = 4_000


class ApprovalSettings(msgspec.Struct, frozen=True):
    """How long a question stands, and how many may be open in one session. `audits_arguments`: the audit log
    has the arguments of calls.
    """

    timeout_s: float = 3_600.0
    max_pending: int = 32
    audits_arguments: bool = True


class Verdict(msgspec.Struct, frozen=True):
    """What was decided about a call, and by whom. `refusal`: what the model is told instead of a result;
    empty: the call runs.
    """

    decision: CallDecision
    decided_by: str | None = None
    approval: str | None = None
    refusal: str = ""


class Settled(msgspec.Struct, frozen=True):
    """What becomes of calls that a person was asked about: `message` makes them again, those of `calls` run,
    and `results` tell of the others.
    """

    message: Message
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]


class Permissions:
    """Decides about calls, asks, and writes each call into the audit log.

    `approvals` None: nobody can be asked, so that such calls are refused.
    """

    def __init__(
        self,
        policy: Policy,
        approvals: Approvals | None,
        clock: Clock,
        randomness: Randomness | None = None,
        settings: ApprovalSettings | None = None,
        audit: AuditSink | None = None,
    ) -> None:
        self.policy = policy
        self.approvals = approvals
        self.clock = clock
        self.randomness = randomness or SystemRandomness()
        self.settings = settings or ApprovalSettings()
        self.audit = audit
        self._made: WeakValueDictionary[str, Counter[str]] = WeakValueDictionary()

    def made_by(self, turn: Turn) -> Counter[str]:
        """Return how often each tool has run in the turn, to be counted on: one number for the turn and for
        those that do a part of its work.
        """
        turn_id = turn.id if turn.delegation is None else turn.delegation.turn_id
        return self._made.setdefault(turn_id, Counter())


class TurnPermissions:
    """What may be called in one turn. `made`: the calls that it made before a restart."""

    def __init__(
        self, permissions: Permissions, turn: Turn, toolset: Toolset, made: Sequence[ToolCall] = ()
    ) -> None:
        self._permissions = permissions
        # What a delegated turn may not do without consent, the turn that waits for it can ask for.
        self._approvals = permissions.approvals if turn.delegation is None else None
        self._turn = turn
        self._toolset = toolset
        self._policy = permissions.policy.of(turn.account_key, turn.origin)
        self._verdicts: dict[str, Verdict] = {}
        self._asked: dict[str, AskedCall] = {}
        self._answered: dict[str, AnsweredQuestion] = {}
        self._made: Counter[str] | None = None
        if made:
            own = (call.name for call in made if not call.for_client and not call.is_withheld)
            self._made_so_far().update(own)

    def limited(self, persona: Persona) -> Persona:
        """Return the persona without the tools that the policy denies."""
        if self._toolset.is_for_all and not self._policy.has_rules:
            # The usual case, in every turn.
            return persona
        allowed = self._policy.allowed(self._toolset.tools)
        return persona if allowed is None else msgspec.structs.replace(persona, tools=allowed)

    # Before a call runs ---------------------------------------------------------------------------

    async def judge(self, message: Message, calls: Sequence[ToolCall], asker: str | None) -> Message:
        """Decide about the server's `calls` of a new message of the model, and return the message with those
        withheld that a person is to be asked about. `asker`: as in `AskedCall`.
        """
        open_: dict[str, tuple[ToolCall, Ruling]] = {}
        for call in calls:
            ruling = self._ruling(call)
            if ruling is None:
                self._verdicts[call.id] = Verdict("allow")
            elif ruling.decision == "ask":
                open_[call.id] = (call, ruling)
            else:
                self._verdicts[call.id] = self._by_policy(call, ruling)
        if not open_:
            return message
        changed = await self._judge_open(message, open_, asker)
        parts = tuple(
            changed.get(part.id, part) if isinstance(part, ToolCall) else part for part in message.parts
        )
        return msgspec.structs.replace(message, parts=parts)

    def _ruling(self, call: ToolCall) -> Ruling | None:
        """Return what the policy says of the call; None where the call fits no tool."""
        try:
            tool, _ = self._toolset.check(call)
        except MalformedCall:
            return None
        return self._policy.ruling(tool)

    def _by_policy(self, call: ToolCall, ruling: Ruling) -> Verdict:
        if ruling.decision == "deny":
            return Verdict(
                "deny",
                ruling.rule,
                refusal=f"Error: not run: {call.name} is not allowed in this conversation.",
            )
        return self._within_limit(call, ruling, Verdict("allow", ruling.rule))

    def _within_limit(self, call: ToolCall, ruling: Ruling, verdict: Verdict) -> Verdict:
        """Return the verdict, which lets the call run, unless as many have run in this turn as may."""
        most, made = ruling.calls_per_turn, self._made_so_far()
        if most is not None and made[call.name] >= most:
            refusal = f"Error: not run: {call.name} may be called {most} times in one turn, and has been."
            return Verdict("limit", ruling.rule, refusal=refusal)
        made[call.name] += 1
        return verdict

    def _made_so_far(self) -> Counter[str]:
        """Return the count of the turn's calls, which most turns never need. A turn that delegates has called
        a tool, so that its count is there before those that do a part of its work count on it.
        """
        if self._made is None:
            self._made = self._permissions.made_by(self._turn)
        return self._made

    async def _judge_open(
        self, message: Message, open_: Mapping[str, tuple[ToolCall, Ruling]], asker: str | None
    ) -> Mapping[str, ToolCall]:
        """Decide about calls that need somebody's consent; return those that are changed, by their ids."""
        if (why := self._why_nobody_is_asked(message)) is not None:
            for id_, (call, ruling) in open_.items():
                self._verdicts[id_] = Verdict("deny", ruling.rule, refusal=why.format(call.name))
            return {}
        arguments: dict[str, str] = {}
        for id_, (call, ruling) in open_.items():
            try:
                arguments[id_] = question.canonical_arguments(call.arguments)
            except (ValueError, RecursionError) as error:
                self._verdicts[id_] = Verdict("deny", ruling.rule, refusal=f"Error: not run: {error}.")
        assert self._approvals is not None  # noqa: S101 - otherwise nobody is asked
        standing, waiting = await self._approvals.standing_of(
            self._turn.session_key,
            [self._wanted(open_[id_][0], text) for id_, text in arguments.items()],
            asker,
        )
        changed: dict[str, ToolCall] = {}
        given: set[str] = set()
        asked: dict[tuple[str, str], AskedCall] = {}
        for (id_, text), stands in zip(arguments.items(), standing, strict=True):
            call, ruling = open_[id_]
            verdict = _given(stands, given)
            if verdict is not None:
                self._verdicts[id_] = verdict = self._within_limit(call, ruling, verdict)
                if verdict.approval is not None:
                    given.add(verdict.approval)
                    self._note_answer(id_, stands.approval)
                    changed[id_] = msgspec.structs.replace(call, arguments=text, approval=verdict.approval)
                continue
            ask = asked.get((call.name, text))
            if ask is None:
                is_new = stands.approval is None or stands.approval.state != "pending"
                if (full := self._too_many(len(asked), waiting, is_new=is_new)) is not None:
                    self._verdicts[id_] = Verdict("limit", ruling.rule, refusal=full)
                    continue
                waiting += is_new
                ask = asked[call.name, text] = self._ask(call, text, stands, asker)
            self._asked[id_] = ask
            self._verdicts[id_] = Verdict("ask", ruling.rule, ask.id)
            changed[id_] = msgspec.structs.replace(call, is_withheld=True)
        return changed

    def _why_nobody_is_asked(self, message: Message) -> str | None:
        if self._approvals is None or not self._turn.trace:
            return "Error: not run: {} needs the user's approval, and there is nobody to ask in this turn."
        if message.client_calls:
            return "Error: not run: {} needs the user's approval: call it in a step of its own."
        return None

    def _too_many(self, asked: int, waiting: int, *, is_new: bool) -> str | None:
        if asked >= MOST_ASKED_AT_ONCE:
            return f"Error: not run: the user is asked about at most {MOST_ASKED_AT_ONCE} calls at once."
        most = self._permissions.settings.max_pending
        if is_new and waiting >= most:
            return (
                f"Error: not run: {waiting} calls of this conversation wait for approval already, {most} may"
                " (approvals.max_pending)."
            )
        return None

    def _ask(self, call: ToolCall, arguments: str, stands: Standing, asker: str | None) -> AskedCall:
        known = stands.approval
        if known is not None and known.state == "pending":
            return AskedCall(
                known.id,
                call.id,
                known.tool,
                known.arguments,
                known.expires_at,
                known.asker,
                known.digest,
                known.question,
            )
        return self._new_ask(call, arguments, asker)

    def _new_ask(
        self, call: ToolCall, arguments: str, asker: str | None, asks: ToolQuestion | None = None
    ) -> AskedCall:
        now = self._permissions.clock.now()
        id_ = new_id("appr", now, self._permissions.randomness)
        expires_at = now + self._permissions.settings.timeout_s
        digest = self._toolset.digest_of(call.name) or ""
        return AskedCall(id_, call.id, call.name, arguments, expires_at, asker, digest, asks)

    def _wanted(self, call: ToolCall, arguments: str) -> WantedCall:
        return WantedCall(call.name, arguments, self._toolset.digest_of(call.name) or "")

    async def ask_for(self, call: ToolCall, asks: ToolQuestion, asker: str | None) -> AskedCall | None:
        """Return what a person is to be asked before the call, which has begun, goes on; None where nobody
        can be.
        """
        if self._approvals is None or not self._turn.trace:
            return None
        try:
            arguments = question.canonical_arguments(call.arguments)
        except (ValueError, RecursionError):
            return None
        _, waiting = await self._approvals.standing_of(self._turn.session_key, ())
        if waiting >= self._permissions.settings.max_pending:
            return None
        return self._new_ask(call, arguments, asker, asks)

    def answer_to(self, call: ToolCall) -> AnsweredQuestion | None:
        """Return what the call has asked before, and what was answered."""
        return self._answered.get(call.id)

    def _note_answer(self, call: str, approval: Approval | None) -> None:
        if approval is not None and approval.question is not None:
            self._answered[call] = AnsweredQuestion(approval.question, approval.content or "{}")

    def asks(self, calls: Iterable[ToolCall]) -> tuple[AskedCall, ...]:
        """Return what a person is to be asked about, for calls that are withheld."""
        return tuple({ask.id: ask for ask in (self._asked[call.id] for call in calls)}.values())

    def refusal(self, call: ToolCall) -> str:
        """Return what the model is told of the call instead of a result; empty: it runs."""
        verdict = self._verdicts.get(call.id)
        return verdict.refusal if verdict is not None else ""

    async def may_run_again(self, call: ToolCall) -> bool:
        """Return whether a call that was cut off by a restart is still allowed."""
        ruling = self._ruling(call)
        if ruling is None:
            return True
        verdict = Verdict(ruling.decision, ruling.rule)
        if call.approval is not None and ruling.decision != "deny":
            verdict = Verdict("approved", approval=call.approval)
            if self._approvals is not None:
                self._note_answer(call.id, await self._approvals.approval(call.approval))
        elif ruling.decision == "ask" and self._approvals is not None:
            try:
                wanted = self._wanted(call, question.canonical_arguments(call.arguments))
            except (ValueError, RecursionError):
                return False
            (stands,), _ = await self._approvals.standing_of(self._turn.session_key, [wanted])
            if stands.rule is not None:
                verdict = Verdict("rule", stands.rule)
        self._verdicts[call.id] = verdict
        return verdict.decision in ("allow", "rule", "approved")

    # Once a person has answered -------------------------------------------------------------------

    async def settle(self, asking: Message, said: Sequence[Message]) -> Settled | None:
        """Return what becomes of the calls that the message `asking` asked about, by what users `said` to it
        and by what was decided elsewhere; None where they go on waiting, or are settled.
        """
        if self._approvals is None or not self._turn.trace:
            return None
        decisions = Decisions(self._approvals, self._turn.session_key, self._toolset)
        calls: list[ToolCall] = []
        results: list[ToolResult] = []
        for asked in asking.asks:
            approval = await decisions.on(asked, said)
            if approval is None or approval.is_used or approval.state == "pending":
                continue
            call = ToolCall(
                call_id(f"{self._turn.id} {approval.id}"),
                approval.tool,
                approval.arguments,
                is_withheld=approval.state != "approved",
                approval=approval.id,
            )
            calls.append(call)
            self._verdicts[call.id] = self._verdict_on(call, approval)
            if call.is_withheld:
                why = question.why_not_run(approval)
                results.append(ToolResult(call.id, why, is_error=True, is_withheld=True))
            else:
                self._note_answer(call.id, approval)
        if not calls:
            return None
        run = tuple(call for call in calls if not call.is_withheld)
        return Settled(Message("assistant", tuple(calls), "tool_calls"), run, tuple(results))

    def _verdict_on(self, call: ToolCall, approval: Approval) -> Verdict:
        if approval.state != "approved":
            decision: CallDecision = "denied" if approval.state == "denied" else "expired"
            return Verdict(decision, approval.decided_by, approval.id)
        ruling = self._ruling(call)
        if ruling is not None and ruling.decision == "deny":
            return msgspec.structs.replace(self._by_policy(call, ruling), approval=approval.id)
        return Verdict("approved", approval.decided_by, approval.id)

    # The audit log --------------------------------------------------------------------------------

    def note(self, call: ToolCall, outcome: CallOutcome) -> None:
        """Write the call into the audit log."""
        audit, turn = self._permissions.audit, self._turn
        if audit is None:
            return
        verdict = self._verdicts.get(call.id) or Verdict("limit")
        audited = AuditedCall(
            call.name[:100],
            masked(call.arguments, _AUDITED_CHARS) if self._permissions.settings.audits_arguments else "",
            verdict.decision,
            "not_run" if verdict.refusal else outcome,
            verdict.decided_by,
            verdict.approval,
        )
        now = self._permissions.clock.now()
        audit.note(
            AuditEntry(now, "tool call", None, turn.key_id, None, turn.session_key, turn.id, call=audited)
        )


def _given(stands: Standing, used: set[str]) -> Verdict | None:
    """Return the verdict on a call that a person has agreed to already, by a rule or for this once."""
    if stands.rule is not None:
        return Verdict("rule", stands.rule)
    approval = stands.approval
    if approval is None or approval.state != "approved" or approval.id in used:
        return None
    return Verdict("approved", approval.decided_by, approval.id)
