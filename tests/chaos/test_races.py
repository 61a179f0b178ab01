"""Two things at once that must not meet: each test stops one of them at the point where the other passes."""

import asyncio
from pathlib import Path

from nanobot.core.dispatch import Claim
from nanobot.core.errors import ModelOverloaded
from nanobot.core.event import Fact, ToolFinished, TurnEnded
from nanobot.core.message import Message
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.chaos.harness import Through, open_harness
from tests.chaos.launch import NOTED, NoteArguments

KEY = "chaos:dm:1"
WITHIN_S = 20.0
TURN_TIMEOUT_S = 2.0
"""Far longer than the turn takes until it is held."""


def note() -> Tool:
    async def run(arguments: NoteArguments, context: ToolContext) -> str:
        return f"{NOTED} {arguments.id}"

    return Tool("note", "Note an id.", NoteArguments, run)


async def test_a_steered_input_is_not_lost_when_the_turn_it_joined_fails_and_is_sent_again(
    tmp_path: Path,
) -> None:
    """Whoever is answered was heard: the joined turn's failure must not take another's input along."""
    gate = asyncio.Event()
    model = ScriptedModel(Say(before=gate, error=ModelOverloaded("busy")), "heard")
    async with asyncio.timeout(WITHIN_S), open_harness(tmp_path, model) as harness:
        first = await harness.submit(KEY, "one", dedupe_key="1")
        await model.asked.wait()
        second = await harness.submit(KEY, "two", when_busy="steer", dedupe_key="2")
        gate.set()
        await harness.store.ended(first.turn_id)
        assert (await harness.ask(KEY, "one", dedupe_key="1")).end.outcome == "done"
        again = await harness.submit(KEY, "two", when_busy="steer", dedupe_key="2")
        assert again.turn_id == second.turn_id
        assert (await harness.store.ended(again.turn_id)).end.outcome == "done"
        said = [line for line in await harness.transcript(KEY) if line.startswith("user")]
        assert sorted(said) == ["user: one", "user: two"]


async def test_a_steered_input_is_stored_behind_the_results_of_the_step_it_came_in(tmp_path: Path) -> None:
    """Every reader of the stored transcript may rely on it: a call's result follows the call."""
    gate = asyncio.Event()
    calls = call("note", '{"id": "1"}').message
    model = ScriptedModel(Say(before=gate, message=calls), "heard")
    async with asyncio.timeout(WITHIN_S), open_harness(tmp_path, model, [note()]) as harness:
        first = await harness.submit(KEY, "one")
        await model.asked.wait()
        await harness.submit(KEY, "two", when_busy="steer")
        gate.set()
        await harness.store.ended(first.turn_id)
        assert await harness.transcript(KEY) == [
            "user: one",
            "assistant:  [note call_1]",
            "tool call_1: noted 1",
            "user: two",
            "assistant: heard",
        ]


async def test_a_turn_taken_up_again_never_starts_beside_the_one_that_runs(tmp_path: Path) -> None:
    """It was first to be admitted, and is second now: the end of any other turn must not let it pass."""
    gate = asyncio.Event()
    model = ScriptedModel(ModelOverloaded("busy"), Say(("to two",), before=gate), "elsewhere", "to one")
    async with asyncio.timeout(WITHIN_S), open_harness(tmp_path, model) as harness:
        assert (await harness.ask(KEY, "one", dedupe_key="1")).end.outcome == "failed"
        model.asked.clear()
        await harness.submit(KEY, "two")
        await model.asked.wait()
        first = await harness.submit(KEY, "one", dedupe_key="1")
        assert first.joined
        await harness.ask("chaos:dm:2", "three")
        assert (await harness.store.turn(first.turn_id)).status == "queued"
        gate.set()
        assert (await harness.store.ended(first.turn_id)).end.outcome == "done"
        assert await harness.transcript(KEY) == [
            "user: two",
            "assistant: to two",
            "user: one",
            "assistant: to one",
        ]


class HeldAfterCommit(Through):
    """Holds the first append after it was committed, before its caller hears of it."""

    committed: asyncio.Event
    go_on: asyncio.Event

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        joined = await self._store.append(claim, facts)
        if not self.committed.is_set():
            self.committed.set()
            await self.go_on.wait()
        return joined


async def test_a_turn_cancelled_while_its_step_is_being_stored_says_nothing_twice(tmp_path: Path) -> None:
    """Neither the model's words nor the result of a call: each call is answered exactly once."""
    HeldAfterCommit.committed, HeldAfterCommit.go_on = asyncio.Event(), asyncio.Event()
    model = ScriptedModel(call("note", '{"id": "1"}', text="let me look"), "end")
    async with (
        asyncio.timeout(WITHIN_S),
        open_harness(tmp_path, model, [note()], store_as=HeldAfterCommit) as harness,
    ):
        turn = await harness.submit(KEY, "one")
        await HeldAfterCommit.committed.wait()
        await harness.store.cancel(turn.turn_id, "stop")
        await asyncio.sleep(0)
        HeldAfterCommit.go_on.set()
        assert (await harness.store.ended(turn.turn_id)).end.outcome == "cancelled"
        question, step, *results = await harness.transcript(KEY)
        assert (question, step) == ("user: one", "assistant: let me look [note call_1]")
        assert len(results) == 1
        assert results[0].startswith("tool call_1: ")


class HeldResult(Through):
    """Holds the first result of a call after it was committed, before its caller hears of it."""

    committed: asyncio.Event

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        joined = await self._store.append(claim, facts)
        if isinstance(facts[-1], ToolFinished) and not self.committed.is_set():
            self.committed.set()
            timed_out = asyncio.Event()
            asyncio.get_running_loop().call_later(TURN_TIMEOUT_S, timed_out.set)
            await timed_out.wait()
        return joined


async def test_a_turn_that_times_out_while_a_result_is_being_stored_answers_the_call_once(
    tmp_path: Path,
) -> None:
    HeldResult.committed = asyncio.Event()
    model = ScriptedModel(call("note", '{"id": "1"}'), "end")
    async with (
        asyncio.timeout(WITHIN_S),
        open_harness(
            tmp_path, model, [note()], store_as=HeldResult, turn_timeout_s=TURN_TIMEOUT_S
        ) as harness,
    ):
        turn = await harness.submit(KEY, "one")
        end = (await harness.store.ended(turn.turn_id)).end
        assert end.error is not None
        assert end.error.code == "turn_timed_out"
        assert await harness.transcript(KEY) == [
            "user: one",
            "assistant:  [note call_1]",
            "tool call_1: noted 1",
        ]


class HeldEnd(Through):
    """Holds the first end before it is committed."""

    ending: asyncio.Event
    go_on: asyncio.Event

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        if isinstance(facts[-1], TurnEnded) and not self.ending.is_set():
            self.ending.set()
            await self.go_on.wait()
        return await self._store.append(claim, facts)


async def test_a_server_that_stops_begins_no_further_turn_of_a_session(tmp_path: Path) -> None:
    """The end of one turn starts the next in the same commit; a server whose grace is over must not wait for
    that one too.
    """
    HeldEnd.ending, HeldEnd.go_on = asyncio.Event(), asyncio.Event()
    model = ScriptedModel("first", Say(("never",), before=asyncio.Event()))
    async with asyncio.timeout(WITHIN_S), open_harness(tmp_path, model, store_as=HeldEnd) as harness:
        first = await harness.submit(KEY, "one", dedupe_key="1")
        await harness.submit(KEY, "two", dedupe_key="2")
        await HeldEnd.ending.wait()
        draining = asyncio.create_task(harness.engine.drain(0))
        await asyncio.sleep(0)
        HeldEnd.go_on.set()
        await draining
        assert (await harness.store.ended(first.turn_id)).end.outcome == "done"
    async with asyncio.timeout(WITHIN_S), open_harness(tmp_path, ScriptedModel("second")) as harness:
        second = await harness.submit(KEY, "two", dedupe_key="2")
        assert second.joined
        assert (await harness.store.ended(second.turn_id)).end.outcome == "done"
        assert (await harness.store.turn(second.turn_id)).attempt <= 2
