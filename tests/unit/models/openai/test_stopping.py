"""Streams that are closed, cancelled, or out of time."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from nanobot.core.errors import ModelTimeout, ModelUnreachable
from nanobot.core.event import TextDelta
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from tests.asgi import BOUND_S
from tests.clock import PausedClock
from tests.unit.models.asking import HELLO, failure, heard
from tests.unit.models.openai.asking import model_at
from tests.upstream import COMMENT, HANG, Gate, Reply, Upstream, silent, spoken, streamed, text

# Stopping -----------------------------------------------------------------------------------------


async def test_closing_the_stream_cuts_the_connection(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("a"), HANG))
    async with aclosing(model.stream(HELLO)) as stream:
        assert await anext(stream) == TextDelta("a")
    await upstream.deserted()


@pytest.mark.parametrize("reply", [silent(), streamed(HANG), streamed(text("a"), HANG)])
async def test_cancelling_cuts_the_connection(upstream: Upstream, model: OpenAIChat, reply: Reply) -> None:
    upstream.then(reply)
    task = asyncio.create_task(heard(model))
    await upstream.asked(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.deserted()


async def test_a_slow_listener_is_no_idle_provider(upstream: Upstream, clock: PausedClock) -> None:
    """The provider's time-outs run only while it is waited for."""
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=1.0))
    gate = Gate()
    upstream.then(streamed(text("a"), gate, text("b")))
    stream = model.stream(HELLO)
    assert await anext(stream) == TextDelta("a")
    timer_passed = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, timer_passed.set)
    await timer_passed.wait()
    gate.open()
    assert await anext(stream) == TextDelta("b")
    await stream.aclose()
    await model.close()


@pytest.mark.parametrize("reply", [silent(), streamed(HANG), streamed(text("a"), HANG)])
async def test_close_ends_the_wait_of_whoever_listens(
    upstream: Upstream, model: OpenAIChat, reply: Reply
) -> None:
    upstream.then(reply)
    task = asyncio.create_task(failure(model))
    await upstream.asked(1)
    await model.close()
    async with asyncio.timeout(BOUND_S):
        assert isinstance(await task, ModelUnreachable)
    await upstream.deserted()


async def test_close_ends_what_runs_and_may_come_twice(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("a"), HANG))
    stream = model.stream(HELLO)
    await anext(stream)
    await model.close()
    await model.close()
    with pytest.raises(ModelUnreachable, match="closed"):
        await anext(stream)
    assert isinstance(await failure(model), ModelUnreachable)
    with pytest.raises(ModelUnreachable):
        await model.warm()


# Time-outs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [silent(), spoken(HANG), spoken(COMMENT, HANG)])
async def test_an_answer_that_does_not_begin_times_out(
    upstream: Upstream, hasty: OpenAIChat, reply: Reply
) -> None:
    upstream.then(reply)
    error = await failure(hasty)
    assert isinstance(error, ModelTimeout)
    assert error.message == "test:test-model: no answer began within 0.5 s"
    assert len(upstream.requests) == 1
    await upstream.deserted()


async def test_an_answer_that_stops_in_the_middle_times_out(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=0.3))
    upstream.then(streamed(text("a"), HANG))
    async with asyncio.timeout(BOUND_S):
        error = await failure(model)
    assert isinstance(error, ModelTimeout)
    assert "nothing came for 0.3 s" in error.message
    await upstream.deserted()
    await model.close()


class Ticking:
    """A gate opened again and again by a timer: the server sends one piece per tick."""

    def __init__(self, count: int, every_s: float) -> None:
        self.gates = [Gate() for _ in range(count)]
        loop = asyncio.get_running_loop()
        for number, gate in enumerate(self.gates, 1):
            loop.call_later(number * every_s, gate.open)

    def steps(self, piece: bytes) -> list[Any]:
        return [step for gate in self.gates for step in (gate, piece)]


async def test_keep_alive_comments_hold_an_answer_that_has_begun(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=1.0))
    upstream.then(streamed(text("a"), *Ticking(15, 0.08).steps(COMMENT), text("b")))
    assert (await heard(model))[1].text == "ab"
    await model.close()


async def test_keep_alive_comments_do_not_stand_for_a_first_chunk(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(first_chunk_s=0.3))
    upstream.then(spoken(*Ticking(12, 0.05).steps(COMMENT), HANG))
    assert "no answer began within 0.3 s" in (await failure(model)).message
    await model.close()
