"""Changed rules of the policy hold for the turns that begin afterwards, without a restart."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.app import Models, open_app
from nanobot.app.app import App
from nanobot.app.personas import SettingsSource
from nanobot.config import Config, load
from nanobot.testing import ScriptedModel, call
from tests.asgi import Door

BASE = "[skills]\nown = false\n[store]\nsynchronous = 'normal'\n[agent]\nname = 'Ada'\n"


class Running:
    """A server whose settings are in a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "nanobot.toml"
        self._data = folder / "data"
        self._changes = 0
        self.model = ScriptedModel("ok", "ok", call("calculate", '{"expression": "1 + 1"}'), "ok")

    def write(self, rules: str) -> None:
        self._file.write_text(f"{BASE}{rules}")
        # Two changes within the resolution of the file system's clock are still two.
        self._changes += 1
        os.utime(self._file, (self._changes, self._changes))

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[App]:
        def read() -> Config:
            return load(self._file, {}, {"server": {"data": str(self._data), "shutdown_grace_s": 0}})

        source = SettingsSource(self._file, read)
        async with open_app(source.read(), Models(self.model, {}), source=source) as app:
            yield app

    async def offered(self, app: App) -> set[str]:
        """Return the tools that the model is offered in the next turn."""
        await Door(app.asgi).chat("k", "hi")
        return {tool.name for tool in self.model.requests[-1].tools}


async def test_a_changed_rule_holds_from_the_next_turn_on(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.write("")
    async with running.open() as app:
        assert "calculate" in await running.offered(app)
        running.write('[[policy]]\ntools = { calculate = "deny" }\n')
        await app.personas.refresh()
        assert "calculate" not in await running.offered(app)
        running.write('[[policy]]\ntools = { calculate = "ask" }\n')
        await app.personas.refresh()
        assert "May I make this call?" in (await Door(app.asgi).chat("j", "hi")).said
        running.write("")
        await app.personas.refresh()
        assert "calculate" in await running.offered(app)


async def test_a_rule_that_is_not_valid_changes_nothing_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(tmp_path)
    running.write('[[policy]]\ntools = { calculate = "deny" }\n')
    async with running.open() as app:
        running.write('[[policy]]\ntools = { calculat = "allow" }\n[[agents]]\npattern = "k"\nname = "Bo"\n')
        await app.personas.refresh()
        assert "there is no tool 'calculat'" in caplog.text
        assert "calculate" not in await running.offered(app)
        assert running.model.requests[-1].system.startswith("You are Ada")
