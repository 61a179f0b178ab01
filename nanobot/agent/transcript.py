"""The transcript of a turn under way: what was said before it, and what it adds."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from nanobot.context.build import with_added
from nanobot.context.history import ends_of
from nanobot.context.prompt import STEPS_SUMMARY
from nanobot.core.compaction import StepSummary
from nanobot.core.cut_result import cut_result
from nanobot.core.cut_result import result_tokens as size_of
from nanobot.core.dispatch import History, TurnPart
from nanobot.core.event import Fact, MessageAdded, ToolFinished
from nanobot.core.message import Message, SeenResult, ToolResult, estimate_tokens, user
from nanobot.core.turn import Turn

Emit = Callable[[tuple[Fact, ...]], Awaitable[tuple[Message, ...]]]
"""Commits facts; returns the users' messages that joined the turn meanwhile, as `Dispatch.append` does."""
_ROUND = 2
"""A result that is not longer than so many times what it would be shortened to stays as it is."""


class TurnTranscript:
    """What a turn shows of its conversation, at its end what it has added itself; `emit` commits that.

    `history` ends with the turn's input and what it has `produced` before a restart. `state`: what the agent
    keeps beside it. `asker`: the name of the participant who spoke last; None where they have none.
    `folded`: what stands for the turn's first messages.
    """

    def __init__(
        self,
        turn: Turn,
        history: History,
        emit: Emit,
        *,
        produced: int = 0,
        folded: StepSummary | None = None,
    ) -> None:
        self._known = history
        # The parts of the turn's work that others do, and that are not answered.
        self._parts: dict[str, None] = {}
        for message in history.messages[len(history.messages) - produced :]:
            self._note_parts(message.tool_results)
        self._added: list[Message] = []
        self._emit = emit
        self.state = history.state
        self.asker: str | None = None
        for message in reversed(history.messages):
            if message.role == "user":
                self.asker = message.name
                break
        # Where the turn's own messages begin.
        self._own_from = len(history.messages) - produced
        first = self._own_from - len(turn.input)
        # Results of a client's calls are no question: that stands in an earlier turn.
        if first >= 0 and {message.role for message in turn.input} == {"user"}:
            self._known = msgspec.structs.replace(history, turn=TurnPart(first, self._own_from))
        self.folded: StepSummary | None = None
        # What was shortened, as it was, by the ids of the calls.
        self._whole: dict[str, Message] = {}
        if folded is not None and self.may_fold and folded.messages <= produced:
            self.fold(folded)

    def history(self) -> History:
        """Return the transcript so far; what was added since the last time is joined to it at once."""
        if self._added:
            self._known = with_added(self._known, tuple(self._added))
            self._added.clear()
        return self._known

    async def commit(self, *facts: Fact) -> bool:
        """Commit facts, with the messages that they bring; return whether users' messages joined the turn."""
        joined = await self._emit(facts)
        for fact in facts:
            # Two types at most, and each turn passes here.
            if type(fact) is MessageAdded:
                self._added.append(fact.message)
            elif type(fact) is ToolFinished:
                self._added.append(fact.message)
                results = fact.message.tool_results
                for result in results:
                    self.state = self.state.after(result.plan, result.found)
                self._note_parts(results)
        if joined:
            self._added += joined
            self.asker = joined[-1].name
        return bool(joined)

    def _note_parts(self, results: Sequence[ToolResult]) -> None:
        for result in results:
            self._parts.update(dict.fromkeys(result.begun))
            for name in result.answered:
                self._parts.pop(name, None)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of the turn's work that others do, and that are not answered."""
        return tuple(self._parts)

    async def add_results(self, results: Sequence[ToolResult]) -> None:
        """Commit results of calls."""
        messages = (
            result.message() if isinstance(result, SeenResult) else Message("tool", (result,))
            for result in results
        )
        await self.commit(*map(ToolFinished, messages))

    # Where the turn is long -----------------------------------------------------------------------

    @property
    def own(self) -> tuple[Message, ...]:
        """What the turn has added itself, but for what is folded."""
        return self.history().messages[self._own_from :]

    @property
    def own_tokens(self) -> int:
        """How many tokens that has."""
        ends = self.history().ends
        before = self._own_from - 1
        return ends[-1] - (ends[before] if before >= 0 else self._known.skipped_tokens) if ends else 0

    @property
    def folded_messages(self) -> int:
        """How many of the turn's own messages are folded."""
        return self.folded.messages if self.folded is not None else 0

    @property
    def may_fold(self) -> bool:
        """Whether a summary may stand for what the turn has added."""
        return self._known.turn is not None

    def oldest_steps(self, keep_tokens: int) -> tuple[Message, ...]:
        """Return the oldest whole steps of the turn as they were, without the newest ones that have
        `keep_tokens` as they are shown, and without its last step.
        """
        return tuple(map(self._as_it_was, self.own[: self._before_newest(keep_tokens)]))

    def _as_it_was(self, message: Message) -> Message:
        if message.role != "tool" or not self._whole:
            return message
        return next(
            (self._whole[result.call_id] for result in message.tool_results if result.call_id in self._whole),
            message,
        )

    def _before_newest(self, keep_tokens: int) -> int:
        """Return how many of the turn's own messages are whole steps before the newest `keep_tokens`."""
        own = self.own
        room = keep_tokens
        first = len(own)
        while first and (room := room - estimate_tokens(own[first - 1])) >= 0:
            first -= 1
        return max(
            (at for at in range(first + 1) if at < len(own) and own[at].role == "assistant"), default=0
        )

    def fold(self, summary: StepSummary) -> None:
        """Show the summary in place of the first messages that the turn has added, right behind its input."""
        known = self.history()
        gone = summary.messages - self.folded_messages
        start = self._own_from - (1 if self.folded is not None else 0)
        for message in known.messages[self._own_from : self._own_from + gone]:
            for result in message.tool_results:
                self._whole.pop(result.call_id, None)
        stands = user(STEPS_SUMMARY.format(number=summary.messages, text=summary.text))
        self._replace(start, (stands, *known.messages[self._own_from + gone :]))
        self._own_from = start + 1
        self.folded = summary
        self._note(folded=summary.messages, is_shortened=True)

    def shorten_results(
        self, *, keep_tokens: int, result_tokens: int, least_saved_tokens: int, can_read_on: bool
    ) -> None:
        """Show the beginning and the end alone, of `result_tokens`, of the results that stand before the
        newest `keep_tokens` of the turn, where that saves enough.
        """
        messages = list(self.own)
        whole: dict[str, Message] = {}
        saved = 0
        for at in range(self._before_newest(keep_tokens)):
            message = messages[at]
            long = [
                result
                for result in message.tool_results
                if result.call_id not in self._whole and size_of(result) > _ROUND * result_tokens
            ]
            if not long:
                continue
            parts = tuple(
                msgspec.structs.replace(
                    part, content=cut_result(part, result_tokens, can_read_on=can_read_on)
                )
                if isinstance(part, ToolResult) and part in long
                else part
                for part in message.parts
            )
            messages[at] = msgspec.structs.replace(message, parts=parts)
            whole |= dict.fromkeys((result.call_id for result in long), message)
            saved += estimate_tokens(message) - estimate_tokens(messages[at])
        if saved >= least_saved_tokens:
            self._whole |= whole
            self._replace(self._own_from, tuple(messages))
            self._note(is_shortened=True)

    def _note(self, **changes: int) -> None:
        part = self._known.turn
        if part is not None:
            self._known = msgspec.structs.replace(self._known, turn=msgspec.structs.replace(part, **changes))

    def _replace(self, start: int, messages: tuple[Message, ...]) -> None:
        """Let the transcript go on with `messages` from the place `start`."""
        known = self.history()
        ends = known.ends[:start]
        before = ends[-1] if ends else known.skipped_tokens
        self._known = msgspec.structs.replace(
            known,
            messages=(*known.messages[:start], *messages),
            ends=ends + ends_of(messages, before),
            is_text=False,
        )
