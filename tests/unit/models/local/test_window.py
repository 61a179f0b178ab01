"""Requests share one pool of the engine's memory; who does not fit waits for their turn."""

import asyncio

import pytest

from nanobot.core.message import user
from nanobot.core.model import ModelRequest
from nanobot.models.local.window import Window, estimate_tokens
from tests.asgi import BOUND_S


class Guest:
    """A request that holds `tokens` until it is told to go."""

    def __init__(self, window: Window, tokens: int) -> None:
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._run(window, tokens))

    async def _run(self, window: Window, tokens: int) -> None:
        async with window.reserve(tokens):
            self.inside.set()
            await self.go.wait()

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_fits_goes_in_together_and_what_does_not_waits_in_order() -> None:
    window = Window(100)
    first, second, large, small = (Guest(window, tokens) for tokens in (40, 40, 90, 10))
    await settle()
    assert [guest.inside.is_set() for guest in (first, second, large, small)] == [True, True, False, False]
    await first.leave()
    await second.leave()
    await asyncio.wait_for(large.inside.wait(), BOUND_S)
    await asyncio.wait_for(small.inside.wait(), BOUND_S)
    await large.leave()
    await small.leave()


async def test_a_request_larger_than_the_pool_gets_all_of_it() -> None:
    window = Window(100)
    giant, next_one = Guest(window, 10_000), Guest(window, 1)
    await settle()
    assert (giant.inside.is_set(), next_one.inside.is_set()) == (True, False)
    await giant.leave()
    await asyncio.wait_for(next_one.inside.wait(), BOUND_S)
    await next_one.leave()


@pytest.mark.parametrize("is_let_in", [False, True])
async def test_who_is_cancelled_while_waiting_leaves_nothing_behind(is_let_in: bool) -> None:
    """Also at the very moment in which the room was given to them."""
    window = Window(100)
    holder = Guest(window, 100)
    await settle()
    waiting = Guest(window, 100)
    await settle()
    if is_let_in:
        holder.go.set()
        while not holder.task.done():
            await asyncio.sleep(0)
    waiting.task.cancel()
    await asyncio.gather(waiting.task, return_exceptions=True)
    await holder.leave()
    after = Guest(window, 100)
    await asyncio.wait_for(after.inside.wait(), BOUND_S)
    await after.leave()


def test_the_estimate_is_above_what_tokenizers_count() -> None:
    """Digits and other scripts cost more than English; counted with Qwen's tokenizer."""
    for text, counted in (
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("1234567890" * 10, 100),
        ("今天天气很好，我们去公园散步吧。", 10),
    ):
        assert estimate_tokens(ModelRequest("", (user(text),))) >= counted
