"""Asking the users of a turn whether calls may run, and taking their answer."""

from collections.abc import Callable, Sequence

from nanobot.agent.question import question
from nanobot.agent.tool_calls import ToolCalls
from nanobot.agent.transcript import TurnTranscript
from nanobot.core.errors import ApprovalChanged
from nanobot.core.event import Fact, MessageAdded, ToolFinished, TurnEnded, starts_of
from nanobot.core.message import Message, ToolCall, ToolResult

MOST_TRIES = 3
"""How often what is to run is decided where what a person had agreed to is taken back at that moment."""


class Consultation:
    """The questions of one turn to its users."""

    def __init__(self, transcript: TurnTranscript, tool_calls: ToolCalls) -> None:
        self._transcript = transcript
        self._tool_calls = tool_calls

    async def ask(self, calls: tuple[ToolCall, ...], step: Message | None, end: TurnEnded) -> bool:
        """End the turn with a question about calls that are withheld, and return whether it has ended: not
        where users' messages joined it. `step`: the message that makes them, unless it is committed already.
        """
        asks, results = self._tool_calls.ask(calls)
        facts: tuple[Fact, ...] = (
            *((MessageAdded(step),) if step is not None else ()),
            *(ToolFinished(Message("tool", (result,))) for result in results),
            MessageAdded(question(asks)),
            end,
        )
        return not await self._transcript.commit(*facts)

    async def ask_back(
        self,
        waiting: tuple[ToolCall, ...],
        end: TurnEnded,
        collect: Callable[[], tuple[ToolCall, ...]],
        *,
        can_ask: bool = True,
    ) -> bool | None:
        """Where a call that ran asks something, end the turn with that question, and return whether it has
        ended; None: nobody is asked. The calls that are `waiting` for an approval then have to be made again.
        `collect`: returns the calls to be made before the turn ends.
        """
        if not self._tool_calls.is_asking:
            return None
        asks, results = await self._tool_calls.ask_back(
            waiting if can_ask else (), self._transcript.asker, can_ask=can_ask
        )
        if not asks:
            await self._transcript.add_results(results)
            return None
        collected = await self._collected(collect())
        return not await self._transcript.commit(
            *(ToolFinished(Message("tool", (result,))) for result in results),
            *collected,
            MessageAdded(question(asks)),
            end,
        )

    async def _collected(self, calls: tuple[ToolCall, ...]) -> tuple[Fact, ...]:
        """Make the calls, and return the step that they are. It can be committed only behind results that
        stand with the question, which is why it is not committed while they run.
        """
        if not calls:
            return ()
        results: list[ToolResult] = []

        async def keep(some: Sequence[ToolResult]) -> None:
            results.extend(some)

        await self._tool_calls.run(calls, (), keep)
        step = Message("assistant", calls, "tool_calls")
        return (
            MessageAdded(step),
            *starts_of(step),
            *(ToolFinished(Message("tool", (result,))) for result in results),
        )

    async def take_answer(self) -> None:
        """Where the newest messages answer a question about calls, run those that were agreed to."""
        for tries_left in reversed(range(MOST_TRIES)):
            asked = _open_question(self._transcript.history().messages)
            settled = await self._tool_calls.answered(*asked) if asked is not None else None
            if settled is None:
                return
            try:
                await self._transcript.commit(
                    MessageAdded(settled.message),
                    *starts_of(settled.message),
                    *(ToolFinished(Message("tool", (result,))) for result in settled.results),
                )
            except ApprovalChanged:
                if not tries_left:
                    raise
                continue
            if settled.calls:
                await self._tool_calls.run(settled.calls, (), self._transcript.add_results)
            return


def _open_question(messages: Sequence[Message]) -> tuple[Message, tuple[Message, ...]] | None:
    """Return the newest question about calls and the messages of users after it; None where something else
    was said since, or nothing was asked.
    """
    at = len(messages)
    while at and messages[at - 1].role == "user":
        at -= 1
    if not 0 < at < len(messages) or not messages[at - 1].asks:
        return None
    return messages[at - 1], tuple(messages[at:])
