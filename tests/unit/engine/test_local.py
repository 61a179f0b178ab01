"""The engine of one process: many turns at once, each in its own task, and an orderly end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from nanobot.core.errors import ModelOverloaded
from nanobot.core.model import Model, ModelRequest
from nanobot.engine.local import LocalEngine
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.unit.engine.stage import Stage, is_end, is_step

FOR_EVER_S = 10**6


@contextlib.asynccontextmanager
async def running(engine: LocalEngine) -> AsyncIterator[LocalEngine]:
    """Let the engine take orders; at the end it must still have been doing so."""
    task = asyncio.create_task(engine.run())
    try:
        yield engine
        assert not task.done(), "the engine has ended by itself"
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.001)


class GatedModel:
    """A model that waits, for each question, until the test lets it answer."""

    def __init__(self, *questions: str) -> None:
        self.gates = {question: asyncio.Event() for question in questions}
        self.model = ScriptedModel(self.answer)

    def answer(self, request: ModelRequest) -> Say:
        asked = next(message.text for message in reversed(request.messages) if message.role == "user")
        return Say((f"re: {asked}",), before=self.gates[asked])

    @property
    def asked(self) -> list[str]:
        return [request.messages[-1].text for request in self.model.requests]


async def test_turns_of_different_sessions_run_side_by_side(stage: Stage) -> None:
    gated = GatedModel("one", "two")
    async with running(stage.engine(gated.model)) as engine:
        first, second = await stage.ask("one", key="a"), await stage.ask("two", key="b")
        await until(lambda: len(gated.asked) == 2)
        assert engine.running == 2
        gated.gates["two"].set()
        assert (await stage.ended(second)).messages[0].text == "re: two"
        gated.gates["one"].set()
        assert (await stage.ended(first)).messages[0].text == "re: one"


async def test_turns_of_one_session_run_one_by_one_in_order(stage: Stage) -> None:
    gated = GatedModel("one", "two", "three")
    for gate in gated.gates.values():
        gate.set()
    async with running(stage.engine(gated.model)):
        turns = [await stage.ask(text) for text in gated.gates]
        for turn_id in turns:
            await stage.ended(turn_id)
    assert [text for role, text in await stage.transcript()] == [
        "one",
        "re: one",
        "two",
        "re: two",
        "three",
        "re: three",
    ]


async def test_no_more_turns_run_than_are_allowed(stage: Stage) -> None:
    gated = GatedModel(*"abcde")
    async with running(stage.engine(gated.model, max_running_turns=2)) as engine:
        turns = [await stage.ask(key, key=key) for key in gated.gates]
        await until(lambda: len(gated.asked) == 2)
        assert engine.running == 2
        most = 0
        for number, key in enumerate(gated.gates):
            gated.gates[key].set()
            await stage.ended(turns[number])
            most = max(most, engine.running)
        assert most <= 2
    assert sorted(gated.asked) == list("abcde")


async def test_a_turn_that_is_taken_up_again_before_its_last_run_has_quite_ended_costs_the_engine_nothing(
    stage: Stage,
) -> None:
    model = ScriptedModel(ModelOverloaded("overloaded"), "fine")
    stage.store.hold(is_end)
    async with running(stage.engine(model)) as engine:
        turn_id = await stage.ask("one")
        async with asyncio.timeout(BOUND_S):
            await stage.store.handed.wait()
        assert await stage.ask_again() == turn_id
        await until(lambda: len(model.requests) == 2)
        stage.store.let_go.set()
        assert (await stage.ended(turn_id)).messages[0].text == "fine"
        await until(lambda: engine.running == 0)


async def test_a_cancelled_turn_stops_and_the_next_of_its_session_starts(stage: Stage) -> None:
    gated = GatedModel("one", "two")
    async with running(stage.engine(gated.model)):
        first, second = await stage.ask("one"), await stage.ask("two")
        await until(lambda: gated.asked == ["one"])
        assert await stage.store.cancel(first, "enough")
        assert (await stage.ended(first)).end.outcome == "cancelled"
        gated.gates["two"].set()
        assert (await stage.ended(second)).end.outcome == "done"


async def test_an_interrupting_turn_takes_the_place_of_the_running_one(stage: Stage) -> None:
    gated = GatedModel("one", "two")
    gated.gates["two"].set()
    async with running(stage.engine(gated.model)):
        first = await stage.ask("one")
        await until(lambda: gated.asked == ["one"])
        second = await stage.ask("two", when_busy="interrupt")
        assert (await stage.ended(first)).end.outcome == "cancelled"
        assert (await stage.ended(second)).end.outcome == "done"


async def test_a_steering_turn_joins_the_running_one(stage: Stage) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("It is ", "here."), before=gate), "Blue.")
    async with running(stage.engine(model)):
        first = await stage.ask("Where?")
        await until(lambda: bool(model.requests))
        joined = await stage.ask("And its colour?", when_busy="steer")
        gate.set()
        answer, own = [await stage.ended(turn_id) for turn_id in (first, joined)]
    assert [(m.role, m.text) for m in answer.messages] == [
        ("assistant", "It is here."),
        ("user", "And its colour?"),
        ("assistant", "Blue."),
    ]
    assert (own.messages, own.end.outcome) == ((), "done")
    assert len(model.requests) == 2


@pytest.mark.parametrize("bug", [TimeoutError(), KeyError("inside"), OSError("inside")])
async def test_a_bug_in_one_turn_leaves_the_others_running(stage: Stage, bug: Exception) -> None:
    gated = GatedModel("fine")

    def answer(request: ModelRequest) -> Say:
        if request.messages[-1].text == "broken":
            raise bug
        return gated.answer(request)

    gated.model = ScriptedModel(answer)
    async with running(stage.engine(gated.model)):
        fine = await stage.ask("fine", key="a")
        await until(lambda: gated.asked == ["fine"])
        broken = await stage.ask("broken", key="b")
        assert (await stage.ended(broken)).end.outcome == "failed"
        gated.gates["fine"].set()
        assert (await stage.ended(fine)).end.outcome == "done"


async def settled() -> None:
    """Return when whatever could go on without anything from outside has done so."""
    for _ in range(20):
        await asyncio.sleep(0)


# The end of the server ----------------------------------------------------------------------------


async def drained(engine: LocalEngine, grace_s: float) -> None:
    async with asyncio.timeout(BOUND_S):
        await engine.drain(grace_s)


async def test_an_idle_engine_is_drained_at_once(stage: Stage) -> None:
    async with running(stage.engine(ScriptedModel())) as engine:
        await drained(engine, FOR_EVER_S)


async def test_turns_that_end_within_the_grace_end(stage: Stage) -> None:
    gated = GatedModel("one")
    async with running(stage.engine(gated.model)) as engine:
        turn_id = await stage.ask("one")
        await until(lambda: gated.asked == ["one"])
        drain = asyncio.create_task(engine.drain(FOR_EVER_S))
        await settled()
        gated.gates["one"].set()
        assert (await stage.ended(turn_id)).end.outcome == "done"
        async with asyncio.timeout(BOUND_S):
            await drain


async def goes_on_after_a_restart(stage: Stage, turn_id: str, model: Model) -> None:
    await stage.reopen()
    async with running(stage.engine(model)):
        assert (await stage.ended(turn_id)).end.outcome == "done"


async def test_what_does_not_end_is_given_back_and_goes_on_at_the_next_start(stage: Stage) -> None:
    gated = GatedModel("one", "two")
    async with running(stage.engine(gated.model)) as engine:
        first, second = await stage.ask("one", key="a"), await stage.ask("two", key="b")
        await until(lambda: len(gated.asked) == 2)
        await drained(engine, 0.01)
        assert engine.running == 0
        assert {(await stage.state(turn_id)).status for turn_id in (first, second)} == {"queued"}
    await goes_on_after_a_restart(stage, first, ScriptedModel("Here."))


async def test_a_stop_of_the_server_costs_a_turn_no_attempt(stage: Stage) -> None:
    """However often the server is restarted in an orderly way, its turns are not given up."""
    turn_id = await stage.ask("one")
    for _ in range(5):
        gated = GatedModel("one")
        async with running(stage.engine(gated.model)) as engine:
            async with asyncio.timeout(BOUND_S):
                await gated.model.asked.wait()
            await drained(engine, 0)
        await stage.reopen()
    await goes_on_after_a_restart(stage, turn_id, ScriptedModel("Here."))


async def test_turns_that_wait_are_not_started_any_more(stage: Stage) -> None:
    gated = GatedModel("one", "two")
    async with running(stage.engine(gated.model)) as engine:
        first, second = await stage.ask("one"), await stage.ask("two")
        await until(lambda: gated.asked == ["one"])
        drain = asyncio.create_task(engine.drain(FOR_EVER_S))
        await settled()
        gated.gates["one"].set()
        async with asyncio.timeout(BOUND_S):
            await drain
        assert (await stage.state(first)).status == "done"
        assert (await stage.state(second)).status == "queued"
    assert gated.asked == ["one"]
    await goes_on_after_a_restart(stage, second, ScriptedModel("Here."))


async def test_a_turn_that_is_writing_its_end_when_the_grace_is_over_ends_and_nothing_follows_it(
    stage: Stage,
) -> None:
    gated = GatedModel("one", "two")
    gated.gates["one"].set()
    stage.store.hold(is_end)
    async with running(stage.engine(gated.model)) as engine:
        first, second = await stage.ask("one"), await stage.ask("two")
        async with asyncio.timeout(BOUND_S):
            await stage.store.handed.wait()
        drain = asyncio.create_task(engine.drain(0))
        await settled()
        stage.store.let_go.set()
        async with asyncio.timeout(BOUND_S):
            await drain
        assert (await stage.state(first)).status == "done"
    await goes_on_after_a_restart(stage, second, ScriptedModel("Here."))


async def test_a_turn_that_is_writing_a_step_when_the_grace_is_over_goes_on_from_that_step(
    stage: Stage,
) -> None:
    stage.store.hold(is_step)
    async with running(stage.engine(ScriptedModel(call("look"), Say(before=asyncio.Event())))) as engine:
        turn_id = await stage.ask()
        async with asyncio.timeout(BOUND_S):
            await stage.store.handed.wait()
        drain = asyncio.create_task(engine.drain(0))
        await settled()
        stage.store.let_go.set()
        async with asyncio.timeout(BOUND_S):
            await drain
        assert (await stage.state(turn_id)).status == "queued"
    model = ScriptedModel("Here.")
    await goes_on_after_a_restart(stage, turn_id, model)
    assert [message.role for message in model.requests[0].messages] == ["user", "assistant", "tool"]


async def test_a_store_that_refuses_every_end_does_not_keep_the_server_from_stopping(stage: Stage) -> None:
    stage.store.fail(10**6)
    async with running(stage.engine(ScriptedModel("Here."))) as engine:
        turn_id = await stage.ask()
        await until(lambda: bool(stage.clock.sleepers))
        await drained(engine, 0.01)
    await goes_on_after_a_restart(stage, turn_id, ScriptedModel("Here."))
