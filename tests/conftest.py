"""Fixtures for all tests: the app, opened in process on a directory of its own."""

import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nanobot.app import Models, open_app
from nanobot.core.clock import Clock
from nanobot.core.model import Model
from nanobot.core.tool import Tool
from nanobot.reading.fetch import Fetcher
from nanobot.stores.sqlite import database
from nanobot.testing import ScriptedModel
from tests.asgi import Door
from tests.harness import Harness, OpenHarness, configured, with_new_database
from tests.watchdog import (
    pytest_configure,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_unconfigure,
)

__all__ = ["pytest_configure", "pytest_runtest_setup", "pytest_runtest_teardown", "pytest_unconfigure"]

settings.register_profile(
    "nanobot",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("nanobot")


@pytest.fixture
def no_spare_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer leaves its spare work to the test, which does it by hand.

    By itself it would begin a second after the last job: on a busy machine in the middle of the test.
    """
    monkeypatch.setattr(database, "Upkeep", lambda path: lambda db: None)


@pytest.fixture
async def open_harness(tmp_path: Path) -> AsyncIterator[OpenHarness]:
    """Opens apps; all are closed after the test."""
    harnesses: list[Harness] = []

    async def open_(
        model: Model | None = None,
        *,
        data: Path | None = None,
        clock: Clock | None = None,
        presets: Mapping[str, Model] | None = None,
        seed: int | None = None,
        fetcher: Fetcher | None = None,
        tools: Sequence[Tool] = (),
        **tables: dict[str, Any] | list[dict[str, Any]],
    ) -> Harness:
        directory = data or with_new_database(tmp_path / f"data-{len(harnesses)}")
        stack = contextlib.AsyncExitStack()
        randomness = random.Random(seed) if seed is not None else None
        models = Models(model or ScriptedModel(), presets or {})
        app = await stack.enter_async_context(
            open_app(
                configured(directory, tables),
                models,
                clock=clock,
                randomness=randomness,
                fetcher=fetcher,
                tools=tools,
            )
        )
        harnesses.append(Harness(app, directory, stack))
        return harnesses[-1]

    yield open_
    for harness in reversed(harnesses):
        await harness.close()


@pytest.fixture
async def harness(open_harness: OpenHarness) -> Harness:
    """The app with a model that always says ok."""
    return await open_harness()


@pytest.fixture
def door(harness: Harness) -> Door:
    """The HTTP side of an app whose model always says ok."""
    return harness.door
