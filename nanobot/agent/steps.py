"""The agent loop: ask the model, run the tool calls of the step, repeat; every fact goes to one sink."""

import msgspec

from nanobot.agent.budget import TurnBudget
from nanobot.agent.consultation import MOST_TRIES, Consultation
from nanobot.agent.limits import AgentSettings
from nanobot.agent.long_turn import LongTurn
from nanobot.agent.model_call import ModelCall
from nanobot.agent.tool_calls import ToolCalls
from nanobot.agent.transcript import TurnTranscript
from nanobot.core.errors import ApprovalChanged
from nanobot.core.event import MessageAdded, TurnEnded, starts_of
from nanobot.core.message import Message, ToolCall
from nanobot.core.parts import call_for
from nanobot.core.turn import Turn


class TurnSteps:
    """One turn under way: which of its steps comes next, and how many are used up. `produced`: the messages
    that it added before a restart.
    """

    def __init__(
        self,
        turn: Turn,
        transcript: TurnTranscript,
        produced: tuple[Message, ...],
        model_call: ModelCall,
        tool_calls: ToolCalls,
        budget: TurnBudget,
        limits: AgentSettings,
        long_turn: LongTurn | None = None,
    ) -> None:
        self._long_turn = long_turn
        self._turn = turn
        self._budget = budget
        self._transcript = transcript
        self._produced = produced
        self._model_call = model_call
        self._tool_calls = tool_calls
        self._consultation = Consultation(transcript, tool_calls)
        self._limits = limits
        self._continuations = 0
        # Asked for once, whatever comes of it.
        self._collected: set[str] = set()

    async def run(self) -> None:
        """Run the steps to the turn's end.

        Raises:
            ModelError: the model failed.
            NanobotError: what the transcript's `emit` raises.
        """
        transcript = self._transcript
        if self._produced:
            # Before the model is asked: it must read what became of the calls that the restart cut off.
            self._tool_calls.take_up(transcript.parts, self._produced)
            await self._tool_calls.settle(self._produced, transcript.add_results)
            waits_for_client = self._waits_for_client()
            if await self._ask_back((), can_ask=not waits_for_client):
                return
            if waits_for_client:
                await transcript.commit(self._end())
                return
        while True:
            await self._consultation.take_answer()
            if await self._ask_back(()):
                return
            if self._long_turn is not None:
                await self._long_turn.make_room(self._model_call.budget_tokens)
            used_up = self._used_up()
            message = await self._model_call.ask(transcript.history(), transcript.state, used_up=used_up)
            self._budget.steps += 1
            if message.client_calls:
                await self._hand_over(message)
                return
            if message.tool_calls:
                if await self._run_calls(message):
                    return
            elif self._goes_on(message):
                self._continuations += 1
                await transcript.commit(MessageAdded(message))
            elif used_up is None and (calls := self._collect()):
                # It goes on once it has read the answers.
                collecting = Message("assistant", calls, "tool_calls")
                added = MessageAdded(message), MessageAdded(collecting)
                await transcript.commit(*added, *starts_of(collecting))
                await self._tool_calls.run(calls, (), transcript.add_results)
            elif not await transcript.commit(MessageAdded(message), self._end()):
                # Otherwise users' messages joined: the store has dropped the end, and the turn goes on.
                return

    def _collect(self) -> tuple[ToolCall, ...]:
        """Return calls that wait for the parts of the turn's work that others do: a turn does not end before
        it has their answers.
        """
        names = [name for name in self._transcript.parts if name not in self._collected]
        self._collected.update(names)
        return tuple(call_for(self._turn.id, name) for name in names)

    async def _ask_back(self, waiting: tuple[ToolCall, ...], *, can_ask: bool = True) -> bool | None:
        return await self._consultation.ask_back(waiting, self._end(), self._collect, can_ask=can_ask)

    def _end(self) -> TurnEnded:
        return TurnEnded("done", self._budget.usage)

    def _waits_for_client(self) -> bool:
        """Whether all that was left to do before a restart was to hand over the client's calls."""
        last = next((message for message in reversed(self._produced) if message.role == "assistant"), None)
        return last is not None and bool(last.client_calls)

    def _used_up(self) -> str | None:
        """Return why the next message may call no tools; None where it may."""
        if self._tool_calls.malformed_steps >= self._limits.max_malformed_steps:
            return "your tries to call tools"
        return self._budget.used_up()

    def _goes_on(self, message: Message) -> bool:
        """Whether the message was cut off by a limit that the asker did not set, and is to be continued."""
        return (
            message.stop_reason == "length"
            and not self._model_call.was_stopped
            and self._turn.sampling.max_output_tokens is None
            and self._continuations < self._limits.max_continuations
        )

    async def _hand_over(self, message: Message) -> None:
        """End the turn with calls that the client is to run, once the server's own calls of the same step
        have their results.
        """
        end = self._end()
        if all(call.for_client for call in message.tool_calls) and not self._transcript.parts:
            await self._transcript.commit(MessageAdded(message), end)
            return
        await self._run_calls(message)
        # Nothing joins here: while a client's call is open, no steered input does.
        await self._transcript.commit(end)

    async def _run_calls(self, message: Message) -> bool:
        """Commit a message of the model, and run the server's calls in it; return whether the turn has ended
        with a question to its user about some of them.
        """
        collecting: tuple[ToolCall, ...] = ()
        for tries_left in reversed(range(MOST_TRIES)):
            judged = await self._tool_calls.judge(message, self._transcript.asker)
            if judged.client_calls or any(call.is_withheld for call in judged.tool_calls):
                # The turn ends with this step.
                collecting = collecting or self._collect()
                judged = msgspec.structs.replace(judged, parts=(*judged.parts, *collecting))
            calls, too_many = self._tool_calls.split(judged)
            run = tuple(call for call in calls if not call.is_withheld)
            waiting = tuple(call for call in calls if call.is_withheld)
            if waiting and not run and not too_many:
                return await self._consultation.ask(waiting, judged, self._end())
            try:
                # Also those that are refused: they are open until their results say so.
                await self._transcript.commit(MessageAdded(judged), *starts_of(judged))
                break
            except ApprovalChanged:
                # What a person had agreed to was taken back a moment ago.
                if not tries_left:
                    raise
        await self._tool_calls.run(run, too_many, self._transcript.add_results)
        has_ended = await self._ask_back(waiting, can_ask=not message.client_calls)
        if has_ended is not None:
            return has_ended
        return bool(waiting) and await self._consultation.ask(waiting, None, self._end())
