"""What all tests share: the house, opened in process on a directory of its own."""

import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nanobot.app import Models, open_app
from nanobot.core.clock import Clock
from nanobot.core.model import Model
from nanobot.reading.fetch import Fetcher
from nanobot.testing import ScriptedModel
from tests.asgi import Door
from tests.house import House, OpenHouse, configured

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
async def open_house(tmp_path: Path) -> AsyncIterator[OpenHouse]:
    """Opens houses; all are closed after the test."""
    houses: list[House] = []

    async def open_(
        model: Model | None = None,
        *,
        data: Path | None = None,
        clock: Clock | None = None,
        presets: Mapping[str, Model] | None = None,
        seed: int | None = None,
        fetcher: Fetcher | None = None,
        **tables: dict[str, Any] | list[dict[str, Any]],
    ) -> House:
        directory = data or tmp_path / f"house-{len(houses)}"
        stack = contextlib.AsyncExitStack()
        randomness = random.Random(seed) if seed is not None else None
        models = Models(model or ScriptedModel(), presets or {})
        app = await stack.enter_async_context(
            open_app(
                configured(directory, tables), models, clock=clock, randomness=randomness, fetcher=fetcher
            )
        )
        houses.append(House(app, directory, stack))
        return houses[-1]

    yield open_
    for house in reversed(houses):
        await house.close()


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """The app with a model that always says ok."""
    return await open_house()


@pytest.fixture
def door(house: House) -> Door:
    """The HTTP side of an app whose model always says ok."""
    return house.door
