"""The transcript of a turn under way: what was said before it, and what it adds."""

from collections.abc import Awaitable, Callable, Sequence

from nanobot.context.build import with_added
from nanobot.core.dispatch import History
from nanobot.core.event import Fact, MessageAdded, ToolFinished
from nanobot.core.message import Message, SeenResult, ToolResult

Emit = Callable[[tuple[Fact, ...]], Awaitable[tuple[Message, ...]]]
"""Commits facts; returns the users' messages that joined the turn meanwhile, as `Dispatch.append` does."""


class TurnTranscript:
    """What a turn shows of its conversation, at its end what it has added itself; `emit` commits that.
    `state`: what the agent keeps beside it.
    """

    def __init__(self, history: History, emit: Emit) -> None:
        self._known = history
        self._added: list[Message] = []
        self._emit = emit
        self.state = history.state

    def history(self) -> History:
        """Return the transcript so far; what was added since the last time is joined to it at once."""
        if self._added:
            self._known = with_added(self._known, tuple(self._added))
            self._added.clear()
        return self._known

    async def commit(self, *facts: Fact) -> bool:
        """Commit facts, with the messages that they bring; return whether users' messages joined the turn."""
        joined = await self._emit(facts)
        self._added += (fact.message for fact in facts if isinstance(fact, MessageAdded | ToolFinished))
        self._added += joined
        for fact in facts:
            if isinstance(fact, ToolFinished):
                for result in fact.message.tool_results:
                    self.state = self.state.after(result.plan, result.found)
        return bool(joined)

    async def add_results(self, results: Sequence[ToolResult]) -> None:
        """Commit results of calls."""
        messages = (
            result.message() if isinstance(result, SeenResult) else Message("tool", (result,))
            for result in results
        )
        await self.commit(*map(ToolFinished, messages))
