"""A request that is sent again gets the answer of the first."""

import asyncio
import gc
from typing import Any

import pytest

from nanobot.api.recent_answers import RecentAnswers
from nanobot.core.errors import IdempotencyMismatch, ModelBadAnswer
from nanobot.core.turn import Identity

ONE, OTHER = b"1" * 32, b"2" * 32


class Asked:
    """Work that is done when the test says so."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.begun = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self) -> str:
        self.begun.set()
        await self.release.wait()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def given_up(answers: RecentAnswers[str], identity: Identity, asked: Asked) -> None:
    """Ask, and go when the work has begun."""
    waiting = asyncio.ensure_future(answers.once(identity, "a", asked))
    await asked.begun.wait()
    waiting.cancel()
    await asyncio.wait((waiting,))


async def test_a_client_that_comes_again_finds_what_it_asked_for() -> None:
    answers, asked, identity = RecentAnswers[str](), Asked("first"), Identity(ONE, "key")
    await given_up(answers, identity, asked)
    asked.release.set()
    assert await answers.once(identity, "a", Asked("second")) == "first"


async def test_work_that_fails_when_nobody_waits_any_more_is_no_complaint() -> None:
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: unseen.append(problem))
    answers, asked = RecentAnswers[str](), Asked(ModelBadAnswer("no summary came"))
    await given_up(answers, Identity(ONE, "key"), asked)
    asked.release.set()
    again = Asked("second")
    again.release.set()
    # The first one is not asked what became of it by one that comes with the same key.
    assert await answers.once(Identity(OTHER, "another"), "a", again) == "second"
    del answers
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_what_failed_is_done_again() -> None:
    answers, asked = RecentAnswers[str](), Asked(ModelBadAnswer("no summary came"), "second")
    asked.release.set()
    with pytest.raises(ModelBadAnswer):
        await answers.once(Identity(ONE, "key"), "a", asked)
    assert await answers.once(Identity(ONE, "key"), "a", asked) == "second"


async def test_a_key_is_bound_to_its_body_within_its_scope() -> None:
    answers, asked = RecentAnswers[str](), Asked("first", "second")
    asked.release.set()
    assert await answers.once(Identity(ONE, "key"), "a", asked) == "first"
    with pytest.raises(IdempotencyMismatch):
        await answers.once(Identity(OTHER, "key"), "a", asked)
    assert await answers.once(Identity(OTHER, "key"), "b", asked) == "second"
