"""One turn from claim to end, whatever happens in between."""

import asyncio
import contextlib
import gc
import logging
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from types import FrameType

import pytest

from nanobot.agent.model_call import MOST_CALLS_KEPT
from nanobot.context.build import with_added
from nanobot.core.dispatch import History
from nanobot.core.errors import ModelOverloaded, StaleAttempt, StoreCorrupt, StoreError
from nanobot.core.event import Delta, MessageAdded, TextDelta, ThinkingDelta, ToolStarted, TurnEnded
from nanobot.core.message import Message, Text, Thinking, ToolCall, ToolResult, Usage
from nanobot.core.model import ModelRequest
from nanobot.engine.run import Run
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.unit.engine.stage import Stage, is_end, is_step, within_bounds


class Shown(ScriptedModel):
    """Says when its first words are with the followers: it is asked for more only then."""

    def __init__(self, *deltas: Delta) -> None:
        super().__init__()
        self._deltas = deltas
        self.shown = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.requests.append(request)
        self.asked.set()
        for delta in self._deltas:
            yield delta
        self.shown.set()
        await asyncio.Event().wait()


class Broken(ScriptedModel):
    """A model with a bug."""

    def __init__(self, bug: Exception) -> None:
        super().__init__()
        self._bug = bug

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        yield TextDelta("It ")
        raise self._bug


class Held:
    """Something large that is there while a model is asked."""


class Unreachable(ScriptedModel):
    """A model that is not there. What has failed and the error that says so hold each other, as they do where
    a provider is asked again.
    """

    held: weakref.ref[Held]

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        held = Held()
        self.held = weakref.ref(held)
        error = ModelOverloaded("no connection")
        yield TextDelta("It ")
        raise error from ConnectionRefusedError(error)


def started(run: Run) -> "asyncio.Task[None]":
    return asyncio.create_task(run())


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(BOUND_S):
        await event.wait()


# Ends that are answers ----------------------------------------------------------------------------


async def test_an_answer_is_stored_with_the_end_of_its_turn(stage: Stage) -> None:
    claim = await stage.claimed()
    await stage.run(claim, ScriptedModel("Here."))()
    answer = await stage.ended(claim.turn.id)
    assert [message.text for message in answer.messages] == ["Here."]
    assert answer.end.outcome == "done"
    assert answer.end.usage == Usage(10, 5)


async def test_a_stop_while_the_end_is_being_written_comes_too_late(stage: Stage) -> None:
    claim = await stage.claimed()
    run = stage.run(claim, ScriptedModel("Here."))
    stage.store.hold(is_end)
    task = started(run)
    await happened(stage.store.handed)
    run.stop("enough")
    stage.store.let_go.set()
    await within_bounds(task)
    assert (await stage.ended(claim.turn.id)).end.outcome == "done"
    assert await stage.transcript() == [("user", "Where?"), ("assistant", "Here.")]


# Stops --------------------------------------------------------------------------------------------


async def test_a_turn_that_is_stopped_keeps_what_was_said_marked_incomplete(stage: Stage) -> None:
    claim = await stage.claimed()
    model = Shown(TextDelta("It is "), TextDelta("he"))
    run = stage.run(claim, model)
    task = started(run)
    await happened(model.shown)
    run.stop("the user asked")
    await within_bounds(task)
    answer = await stage.ended(claim.turn.id)
    assert [(message.text, message.stop_reason) for message in answer.messages] == [
        ("It is he", "incomplete")
    ]
    assert answer.end.outcome == "cancelled"
    assert answer.end.error is not None
    assert (answer.end.error.code, answer.end.error.message) == ("turn_cancelled", "the user asked")


async def test_what_followers_saw_of_a_stopped_turn_is_what_is_stored(stage: Stage) -> None:
    """Thoughts included: a cursor of the live stream must fit on the stored line."""
    claim = await stage.claimed()
    model = Shown(ThinkingDelta("Hm. "), ThinkingDelta("Well."), TextDelta("It "))
    run = stage.run(claim, model)
    task = started(run)
    await happened(model.shown)
    run.stop("enough")
    await within_bounds(task)
    (message,) = (await stage.ended(claim.turn.id)).messages
    assert message.parts == (Thinking("Hm. Well."), Text("It "))


async def test_a_turn_stopped_before_a_word_was_said_keeps_nothing(stage: Stage) -> None:
    claim = await stage.claimed()
    model = Shown()
    run = stage.run(claim, model)
    task = started(run)
    await happened(model.shown)
    run.stop("enough")
    await within_bounds(task)
    assert (await stage.ended(claim.turn.id)).messages == ()


async def test_a_turn_stopped_before_it_began_never_asks_the_model(stage: Stage) -> None:
    claim = await stage.claimed()
    model = ScriptedModel("Here.")
    run = stage.run(claim, model)
    run.stop("enough")
    await within_bounds(started(run))
    assert model.requests == []
    assert (await stage.ended(claim.turn.id)).end.outcome == "cancelled"


async def test_a_turn_stopped_before_it_began_ends_also_where_its_model_is_gone(stage: Stage) -> None:
    claim = await stage.claimed(model="gone")
    run = stage.run(claim, ScriptedModel())
    run.stop("enough")
    await within_bounds(started(run))
    assert (await stage.ended(claim.turn.id)).end.outcome == "cancelled"


async def test_a_stop_while_a_step_is_being_written_does_not_store_its_words_twice(stage: Stage) -> None:
    claim = await stage.claimed()
    run = stage.run(claim, ScriptedModel(call("look", text="Let me see."), "Here."))
    stage.store.hold(is_step)
    task = started(run)
    await happened(stage.store.handed)
    run.stop("enough")
    stage.store.let_go.set()
    await within_bounds(task)
    answer = await stage.ended(claim.turn.id)
    assert answer.end.outcome == "cancelled"
    assert [message.text for message in answer.messages if message.text] == ["Let me see."]


async def test_of_two_stops_the_first_gives_the_reason(stage: Stage) -> None:
    claim = await stage.claimed()
    model = Shown()
    run = stage.run(claim, model)
    task = started(run)
    await happened(model.shown)
    run.stop("first")
    run.stop("second")
    await within_bounds(task)
    error = (await stage.ended(claim.turn.id)).end.error
    assert error is not None
    assert error.message == "first"


async def test_a_stop_ends_a_tool_that_runs(stage: Stage) -> None:
    claim = await stage.claimed()
    model = Shown()
    never: list[asyncio.Event] = [asyncio.Event()]
    begun = asyncio.Event()

    async def hang(*_: object) -> str:
        begun.set()
        await never[0].wait()
        return ""

    stage.look = hang
    run = stage.run(claim, ScriptedModel(call("look"), "Here."))
    task = started(run)
    await happened(begun)
    run.stop("enough")
    await within_bounds(task)
    assert (await stage.ended(claim.turn.id)).end.outcome == "cancelled"
    assert model.requests == []


async def test_a_turn_given_back_waits_for_the_next_start(stage: Stage) -> None:
    claim = await stage.claimed()
    model = Shown(TextDelta("It is "))
    run = stage.run(claim, model)
    task = started(run)
    await happened(model.shown)
    run.stop(None)
    await within_bounds(task)
    state = await stage.state(claim.turn.id)
    assert (state.status, state.messages) == ("queued", ())
    await stage.reopen()
    again = await stage.claim()
    assert (again.turn.id, again.attempt) == (claim.turn.id, 2)
    await stage.run(again, ScriptedModel("Here."))()
    assert await stage.transcript() == [("user", "Where?"), ("assistant", "Here.")]


async def test_a_turn_given_back_before_it_began_waits_for_the_next_start(stage: Stage) -> None:
    claim = await stage.claimed()
    run = stage.run(claim, ScriptedModel())
    run.stop(None)
    await within_bounds(started(run))
    assert (await stage.state(claim.turn.id)).status == "queued"


# Failures -----------------------------------------------------------------------------------------


async def test_a_turn_that_takes_too_long_is_ended(stage: Stage) -> None:
    claim = await stage.claimed()
    await within_bounds(started(stage.run(claim, Shown(TextDelta("It ")), timeout_s=0.01)))
    answer = await stage.ended(claim.turn.id)
    assert answer.end.outcome == "failed"
    assert answer.end.error is not None
    assert answer.end.error.code == "turn_timed_out"
    assert answer.end.error.http_status == 504
    assert answer.end.error.message == "the turn took longer than 0.01 s (engine.turn_timeout_s)"


async def test_a_model_that_fails_in_mid_stream_leaves_nothing_behind(stage: Stage) -> None:
    claim = await stage.claimed()
    error = ModelOverloaded("the provider is busy", retry_after_s=7)
    await stage.run(claim, ScriptedModel(Say(("It is ",), error=error)))()
    answer = await stage.ended(claim.turn.id)
    assert answer.messages == ()
    assert answer.end.error is not None
    assert (answer.end.error.code, answer.end.error.http_status, answer.end.error.retry_after_s) == (
        "model_overloaded",
        503,
        7,
    )
    assert answer.end.error.retryable
    assert await stage.transcript() == []


async def test_what_a_turn_that_failed_held_is_free_at_its_end(stage: Stage) -> None:
    model = Unreachable()
    claim = await stage.claimed()
    gc.collect()
    gc.disable()
    try:
        await stage.run(claim, model)()
        assert model.held() is None
    finally:
        gc.enable()


async def test_a_model_that_is_gone_is_told_by_name(stage: Stage) -> None:
    claim = await stage.claimed(model="gone")
    await stage.run(claim, ScriptedModel())()
    error = (await stage.ended(claim.turn.id)).end.error
    assert error is not None
    assert error.code == "model_not_found"
    assert "gone" in error.message


@pytest.mark.parametrize(
    "bug",
    [KeyError("secret"), TimeoutError("secret"), OSError("secret"), ExceptionGroup("secret", [ValueError()])],
)
async def test_a_bug_ends_the_turn_and_tells_nothing_of_the_inside(
    stage: Stage, bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await stage.claimed()
    with caplog.at_level(logging.ERROR):
        await within_bounds(started(stage.run(claim, Broken(bug), timeout_s=3_600)))
    answer = await stage.ended(claim.turn.id)
    assert answer.end.error is not None
    assert (answer.end.error.code, answer.end.error.message) == ("internal_error", "Internal server error")
    assert answer.messages == ()
    assert any(record.exc_info and record.exc_info[1] is bug for record in caplog.records)


async def test_an_end_that_cannot_be_stored_is_tried_again_until_it_can(stage: Stage) -> None:
    claim = await stage.claimed()
    stage.store.fail(8)
    task = started(stage.run(claim, ScriptedModel(ModelOverloaded("the provider is busy"))))
    await slept_through(stage, task)
    answer = await stage.ended(claim.turn.id)
    assert answer.end.error is not None
    assert (answer.end.outcome, answer.end.error.code) == ("failed", "model_overloaded")
    assert stage.clock.slept == [0.5, 1, 1, 1, 1, 1, 1, 1]


async def slept_through(stage: Stage, task: "asyncio.Task[None]") -> None:
    """Return when the task is done; let the time pass that it sleeps."""
    async with asyncio.timeout(BOUND_S):
        while not task.done():
            if stage.clock.sleepers:
                stage.clock.advance(30)
            await asyncio.sleep(0)
    await task


async def test_an_answer_that_cannot_be_stored_is_kept_until_it_can(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It was shown whole: it is neither thrown away nor asked for again."""
    claim = await stage.claimed()
    stage.store.fail(8)
    model = ScriptedModel("Here.")
    with caplog.at_level(logging.ERROR):
        await slept_through(stage, started(stage.run(claim, model)))
    answer = await stage.ended(claim.turn.id)
    assert [message.text for message in answer.messages] == ["Here."]
    assert answer.end == TurnEnded("done", Usage(10, 5))
    # It goes on within a second of there being space again, and tells the log less and less of it.
    assert stage.clock.slept == [0.5, 1, 1, 1, 1, 1, 1, 1]
    assert caplog.text.count("the disk is full") == 4
    assert len(model.requests) == 1


async def test_a_step_that_cannot_be_stored_is_kept_until_it_can(stage: Stage) -> None:
    claim = await stage.claimed()
    stage.store.fail(2, is_step)
    model = ScriptedModel(call("look", '{"at": "home"}'), "Here.")
    await slept_through(stage, started(stage.run(claim, model)))
    assert (await stage.ended(claim.turn.id)).end == TurnEnded("done", Usage(20, 10))
    assert stage.looked == 1
    assert stage.clock.slept == [0.5, 1]


async def test_a_stop_does_not_wait_for_an_answer_that_cannot_be_stored(stage: Stage) -> None:
    claim = await stage.claimed()
    stage.store.fail(1)
    run = stage.run(claim, ScriptedModel(Say(("Here.",))))
    task = started(run)
    async with asyncio.timeout(BOUND_S):
        while not stage.clock.sleepers:
            await asyncio.sleep(0)
    run.stop("enough")
    await within_bounds(task)
    answer = await stage.ended(claim.turn.id)
    assert [(message.text, message.stop_reason) for message in answer.messages] == [("Here.", "incomplete")]
    assert answer.end.outcome == "cancelled"


async def test_the_time_limit_of_the_turn_bounds_the_tries_to_store_an_answer(stage: Stage) -> None:
    claim = await stage.claimed()
    stage.store.fail(1)
    await within_bounds(started(stage.run(claim, ScriptedModel("Here."), timeout_s=0.01)))
    error = (await stage.ended(claim.turn.id)).end.error
    assert error is not None
    assert error.code == "turn_timed_out"


@pytest.mark.parametrize("problem", [StoreCorrupt("damaged"), StaleAttempt("over")])
async def test_a_commit_that_can_never_succeed_is_not_tried_again(stage: Stage, problem: StoreError) -> None:
    claim = await stage.claimed()
    stage.store.fail(1, problem=problem)
    await within_bounds(started(stage.run(claim, ScriptedModel("Here."))))
    assert stage.clock.slept == []


async def test_an_end_that_cannot_be_stored_does_not_hold_up_the_end_of_the_server(stage: Stage) -> None:
    claim = await stage.claimed()
    stage.store.fail(10**6)
    run = stage.run(claim, ScriptedModel("Here."))
    task = started(run)
    async with asyncio.timeout(BOUND_S):
        while not stage.clock.sleepers:
            await asyncio.sleep(0)
    run.stop(None)
    await within_bounds(task)
    await stage.reopen()
    again = await stage.claim()
    assert (again.turn.id, again.attempt) == (claim.turn.id, 2)


async def test_a_writer_whose_attempt_is_over_falls_silent(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Two engines on one turn: only the newer one may write."""
    gate = asyncio.Event()
    claim = await stage.claimed()
    task = started(stage.run(claim, (old := ScriptedModel(Say(("Old",), before=gate)))))
    await happened(old.asked)
    await stage.store.release(claim)
    await stage.stop_taking()
    newer = await stage.claim()
    assert newer.attempt == 2
    with caplog.at_level(logging.WARNING):
        gate.set()
        await within_bounds(task)
    assert caplog.records == []
    assert (await stage.state(claim.turn.id)).status == "running"
    await stage.run(newer, ScriptedModel("New"))()
    assert await stage.transcript() == [("user", "Where?"), ("assistant", "New")]


# Steps with many calls ----------------------------------------------------------------------------

MANY = 4_000


def many_calls() -> Say:
    """Return a step with calls that all have one id, as some providers send them."""
    calls = tuple(ToolCall("c", "look", '{"at": "shelf"}') for _ in range(MANY))
    return Say((), Message("assistant", calls, "tool_calls", Usage(1, 1)))


async def test_the_work_for_calls_without_number_is_bounded(stage: Stage) -> None:
    claim = await stage.claimed()
    model = ScriptedModel(many_calls(), "There.")
    with copies_counted() as copied:
        await stage.run(claim, model)()
    answer = await stage.ended(claim.turn.id)
    assert answer.messages[-1].text == "There."
    assert stage.looked == stage.settings.max_calls_per_step == 64
    assert {result.call_id for message in answer.messages for result in message.tool_results} == {
        call.id for call in answer.messages[0].tool_calls
    }
    assert len(answer.messages) == MOST_CALLS_KEPT + 2
    # The step, a commit for each call that is run, the others in pieces, the end.
    assert stage.store.appends <= 2 + 64 + MOST_CALLS_KEPT // 64 + 1
    # The transcript is put together once for each request, not for each result.
    assert copied() <= 3 * MOST_CALLS_KEPT


@contextlib.contextmanager
def copies_counted() -> Iterator[Callable[[], int]]:
    """Count how many messages are put into histories meanwhile."""
    sizes: list[int] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "return" and frame.f_code is with_added.__code__ and isinstance(argument, History):
            sizes.append(len(argument.messages))

    sys.setprofile(note)
    try:
        yield lambda: sum(sizes)
    finally:
        sys.setprofile(None)


async def test_calls_that_were_too_many_are_not_run_after_a_crash_either(stage: Stage) -> None:
    """The tool may be repeated: those that had been started run again."""
    lost = await stage.claimed()
    calls = tuple(ToolCall(f"c{number}", "look", "{}") for number in range(MANY))
    step = Message("assistant", calls, "tool_calls")
    await stage.store.append(lost, (MessageAdded(step), *(ToolStarted(call) for call in calls[:64])))
    await stage.reopen()
    await stage.run(await stage.claim(), ScriptedModel("There."))()
    assert stage.looked == 64
    results = [
        result for message in (await stage.ended(lost.turn.id)).messages for result in message.tool_results
    ]
    assert len(results) == MANY
    assert sum("too many calls" in result.content for result in results) == MANY - 64


# Going on after a crash ---------------------------------------------------------------------------


async def crashed_after(stage: Stage, *script: Say | str, text: str = "Where?") -> str:
    """Run a turn with `script` until the model is asked once more, then lose the process; return the turn's
    id.
    """
    claim = await stage.claimed(text)
    model = ScriptedModel(*script, Say(before=asyncio.Event()))
    task = started(stage.run(claim, model))
    async with asyncio.timeout(BOUND_S):
        while len(model.requests) <= len(script):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled(), (
        "only a stop of ours is dealt with: to be cancelled from outside is the end of the process"
    )
    await stage.reopen()
    return claim.turn.id


async def test_a_turn_goes_on_from_its_last_stored_step(stage: Stage) -> None:
    turn_id = await crashed_after(stage, call("look", '{"at": "shelf"}', text="Let me see."))
    claim = await stage.claim()
    assert (claim.turn.id, claim.attempt) == (turn_id, 2)
    model = ScriptedModel("There.")
    await stage.run(claim, model)()
    assert stage.looked == 1, "a finished call is not run again"
    assert [message.role for message in model.requests[0].messages] == ["user", "assistant", "tool"]
    answer = await stage.ended(turn_id)
    assert [message.text for message in answer.messages] == ["Let me see.", "", "There."]
    assert answer.end.usage == Usage(20, 11)


async def test_a_turn_whose_steps_fill_the_window_still_shows_its_question_after_a_crash(
    stage: Stage,
) -> None:
    stage.settings = type(stage.settings)(window_tokens=1_024)
    steps = [call("look", f'{{"at": "{"x" * 600}"}}', id=str(number)) for number in range(8)]
    turn_id = await crashed_after(stage, *steps, text="Where is the key?")
    model = ScriptedModel("There.")
    await stage.run(await stage.claim(), model)()
    assert model.requests[0].messages[0].text == "Where is the key?"
    assert (await stage.ended(turn_id)).end.outcome == "done"


async def test_a_call_that_was_under_way_in_the_crash_is_settled_before_the_model_is_asked(
    stage: Stage,
) -> None:
    claim = await stage.claimed()
    begun = asyncio.Event()

    async def hang(*_: object) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    stage.look = hang
    task = started(stage.run(claim, ScriptedModel(call("look", '{"at": "shelf"}', id="c1"))))
    await happened(begun)
    task.cancel()
    await asyncio.wait((task,))
    stage.look = stage.see
    await stage.reopen()
    model = ScriptedModel("There.")
    await stage.run(await stage.claim(), model)()
    assert model.requests[0].messages[-1] == Message("tool", (ToolResult("c1", "saw shelf"),))
    assert model.requests[0].messages[-2].tool_calls == (ToolCall("c1", "look", '{"at": "shelf"}'),)
