"""Running the tool calls of a turn, step by step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nanobot.agent.permissions import Settled, TurnPermissions
from nanobot.agent.question import ASKED_BACK, NOBODY_TO_ASK, NOT_ASKED, OTHER_ASKED, WAITING
from nanobot.agent.toolset import MalformedCall, Toolset
from nanobot.core.errors import NanobotError
from nanobot.core.event import ToolProgress
from nanobot.core.message import AskedCall, AskingResult, File, Image, Message, ToolCall, ToolResult
from nanobot.core.origin import READ_ORIGINS, ReadOrigin
from nanobot.core.parts import is_collecting
from nanobot.core.tool import NONE_DEFERRED, DeferredTools
from nanobot.core.turn import Turn

OUTCOME_UNKNOWN = (
    "Error: this call was cut off while it was running; its outcome is unknown. Check before you repeat it."
)


Finish = Callable[[Sequence[ToolResult]], Awaitable[None]]
"""Commits results of calls, one after another and at once."""
_FILES = frozenset((File, Image))
_MOST_AT_ONCE = 64
"""Results that are committed together where there is nothing to wait for: others use the store meanwhile."""


def what_was_read(turn: Turn, produced: Sequence[Message], toolset: Toolset) -> frozenset[ReadOrigin]:
    """Return what a turn has read that nobody in it said: its files and pictures, the results that it
    answers, and those of the calls that it `produced` before a restart.
    """
    read: set[ReadOrigin] = set()
    for message in turn.input:
        if message.tool_results:
            read.add("tool")
        for part in message.parts:
            if type(part) in _FILES:
                read.add("file")
    if not produced:
        return frozenset(read)
    calls = {call.id: call for message in produced for call in message.tool_calls}
    for message in produced:
        for result in message.tool_results:
            brought = toolset.brings(calls[result.call_id]) if result.call_id in calls else None
            if brought is not None:
                read.add(brought)
    return frozenset(read)


class ToolCalls:
    """Runs the server's calls of one turn, as far as the `permissions` let it.

    `max_calls`: how many of one message are run. `result_tokens`, `sees_images`: as in `ToolContext`.
    `malformed_steps`: how many of the last steps had nothing but malformed calls, or too many of them.
    `read`: what the turn has read already. `deferred`: what may be looked for now.
    `show`: shows what a running call tells.
    """

    def __init__(
        self,
        toolset: Toolset,
        turn: Turn,
        max_calls: int,
        result_tokens: int,
        permissions: TurnPermissions,
        read: frozenset[ReadOrigin] = frozenset(),
        *,
        sees_images: bool = False,
        deferred: Callable[[], DeferredTools] = lambda: NONE_DEFERRED,
        show: Callable[[ToolProgress], None] = lambda _: None,
    ) -> None:
        self._show = show
        self._permissions = permissions
        self._deferred = deferred
        self._read = set(read)
        self._result_tokens = result_tokens
        self._sees_images = sees_images
        self._toolset = toolset
        self._turn = turn
        self._max_calls = max_calls
        self.malformed_steps = 0
        self._asking: list[tuple[ToolCall, AskingResult]] = []

    def take_up(self, parts: Sequence[str], produced: Sequence[Message]) -> None:
        """Tell the tools that the turn goes on after a restart, before which it `produced` these messages;
        `parts`: as in `Tool`.
        """
        calls = [call for message in produced for call in message.tool_calls]
        self._toolset.take_up(self._turn.id, parts, calls)

    async def settle(self, produced: tuple[Message, ...], finish: Finish) -> None:
        """Answer the calls in `produced` that a restart left without a result: those that may be repeated run
        again, of the others the model is told that their outcome is unknown.
        """
        answered = {result.call_id for message in produced for result in message.tool_results}
        for message in produced:
            own, too_many = self.split(message)
            await self.refuse([call for call in too_many if call.id not in answered], finish)
            for call in own:
                if call.id not in answered:
                    await self._settle_call(call, finish)

    async def _settle_call(self, call: ToolCall, finish: Finish) -> None:
        if call.is_withheld:
            self._permissions.note(call, "not_run")
            await finish((ToolResult(call.id, NOT_ASKED, is_error=True, is_withheld=True),))
        elif await self._permissions.may_run_again(call) and self._toolset.is_repeatable(call):
            await self._run(call, finish)
        else:
            self._permissions.note(call, "unknown")
            await finish((ToolResult(call.id, OUTCOME_UNKNOWN, is_error=True),))

    async def judge(self, message: Message, asker: str | None) -> Message:
        """Decide which of the message's calls run; see `TurnPermissions.judge`."""
        own, _ = self.split(message)
        return await self._permissions.judge(message, own, asker)

    def ask(self, calls: Sequence[ToolCall]) -> tuple[tuple[AskedCall, ...], tuple[ToolResult, ...]]:
        """Return what a person is to be asked about calls that are withheld, and their results until then."""
        for call in calls:
            self._permissions.note(call, "waiting")
        results = tuple(ToolResult(call.id, WAITING, is_withheld=True) for call in calls)
        return self._permissions.asks(calls), results

    @property
    def is_asking(self) -> bool:
        """Whether calls that ran ask something, and have no result yet."""
        return bool(self._asking)

    async def ask_back(
        self, waiting: Sequence[ToolCall], asker: str | None, *, can_ask: bool
    ) -> tuple[tuple[AskedCall, ...], tuple[ToolResult, ...]]:
        """Return what a person is to be asked before a call that ran goes on, and the results until then of
        all calls that ask, and of those that are `waiting` for an approval. One question is asked at a time.
        """
        asking, self._asking = self._asking, []
        asks: list[AskedCall] = []
        results: list[ToolResult] = []
        for call, result in asking:
            assert result.question is not None  # noqa: S101 - it asks
            if asks:
                results.append(ToolResult(call.id, OTHER_ASKED, is_error=True))
                continue
            asked = await self._permissions.ask_for(call, result.question, asker) if can_ask else None
            if asked is None:
                text = f"Error: {result.content}\n{NOBODY_TO_ASK}"
                results.append(ToolResult(call.id, text, is_error=True))
                continue
            asks.append(asked)
            results.append(ToolResult(call.id, ASKED_BACK))
        if asks:
            results += [ToolResult(call.id, OTHER_ASKED, is_error=True, is_withheld=True) for call in waiting]
        return tuple(asks), tuple(results)

    async def answered(self, asking: Message, said: Sequence[Message]) -> Settled | None:
        """Return what becomes of the calls that `asking` asked about; see `TurnPermissions.settle`."""
        settled = await self._permissions.settle(asking, said)
        for call in settled.message.tool_calls if settled is not None else ():
            if call.is_withheld:
                self._permissions.note(call, "not_run")
        return settled

    def split(self, message: Message) -> tuple[tuple[ToolCall, ...], tuple[ToolCall, ...]]:
        """Return the server's calls of a message: those to run, and those that are too many. Those that wait
        for the answers of parts run, however many the model has made.
        """
        own = tuple(call for call in message.tool_calls if not call.for_client)
        if len(own) <= self._max_calls:
            return own, ()
        collecting = tuple(call for call in own if is_collecting(self._turn.id, call))
        made = tuple(call for call in own if call not in collecting)
        return (*made[: self._max_calls], *collecting), made[self._max_calls :]

    async def refuse(self, calls: Sequence[ToolCall], finish: Finish) -> None:
        """Answer calls that are too many for one step."""
        text = f"Error: too many calls at once, not run: at most {self._max_calls} are."
        for call in calls:
            self._permissions.note(call, "not_run")
        for first in range(0, len(calls), _MOST_AT_ONCE):
            some = calls[first : first + _MOST_AT_ONCE]
            await finish([ToolResult(call.id, text, is_error=True) for call in some])

    async def run(self, calls: tuple[ToolCall, ...], too_many: tuple[ToolCall, ...], finish: Finish) -> None:
        """Refuse the calls of a step that are `too_many`, and run the others: side by side those whose tools
        allow it, then the rest one by one. Each result is committed as soon as it is there.

        Raises:
            NanobotError: what `finish` raises.
        """
        await self.refuse(too_many, finish)
        # The window may not hold such a step, so that the model would make it again and again.
        is_malformed = bool(too_many) or all(self._is_malformed(call) for call in calls)
        self.malformed_steps = self.malformed_steps + 1 if is_malformed else 0
        together = [call for call in calls if self._toolset.is_concurrent(call)]
        # A single call needs no task of its own.
        if len(together) > 1:
            await self._run_together(together, finish)
        else:
            for call in together:
                await self._run(call, finish)
        for call in calls:
            if not self._toolset.is_concurrent(call):
                await self._run(call, finish)
        # Only now: the model wrote all calls of the step before it saw a result.
        self._read.update(brought for call in calls if (brought := self._toolset.brings(call)))

    async def _run_together(self, calls: list[ToolCall], finish: Finish) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    group.create_task(self._run(call, finish))
        except ExceptionGroup as failures:
            # The engine decides by the class of the error how the turn ends. Not with `except*`: Python
            # 3.11.2, which Debian has, puts what is raised in it into a group again.
            errors, bugs = failures.split(NanobotError)
            if errors is None or bugs is not None:
                raise
            raise errors.exceptions[0] from None

    async def _run(self, call: ToolCall, finish: Finish) -> None:
        turn = self._turn
        refusal = self._permissions.refusal(call)
        if refusal:
            result = ToolResult(call.id, refusal, is_error=True)
        else:
            result = await self._toolset.run(
                call,
                turn_id=turn.id,
                session_key=turn.session_key,
                result_tokens=self._result_tokens,
                origin=next((each for each in READ_ORIGINS if each in self._read), "conversation"),
                sees_images=self._sees_images,
                leaves_trace=turn.trace,
                deferred=self._deferred(),
                turn=turn,
                answered=self._permissions.answer_to(call),
                tell=lambda text: self._show(ToolProgress(call.id, text)),
            )
        if isinstance(result, AskingResult):
            # Its result is stored with the question: after a restart between them nobody would be asked.
            self._permissions.note(call, "waiting")
            self._asking.append((call, result))
            return
        self._permissions.note(call, "error" if result.is_error else "ok")
        await finish((result,))

    def _is_malformed(self, call: ToolCall) -> bool:
        try:
            self._toolset.check(call)
        except MalformedCall:
            return True
        return False
