"""Whether `/ready` notices that the folders beside the database have gone, or cannot be used."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nanobot.testing import ScriptedModel, call
from tests.forms import upload
from tests.harness import OpenHarness


def _delete(folder: Path) -> None:
    shutil.rmtree(folder)


def _replace(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()


def _turn_into_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("")


def _lead_nowhere(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("nowhere")


@pytest.mark.parametrize("damage", [_delete, _replace, _turn_into_a_file, _lead_nowhere])
@pytest.mark.parametrize("name", ["files", "workspaces"])
async def test_a_server_whose_folders_are_not_what_they_were_is_not_ready(
    open_harness: OpenHarness, name: str, damage: Callable[[Path], None]
) -> None:
    model = ScriptedModel(call("write_file", '{"path": "a.txt", "content": "mine"}'), "Written.")
    harness = await open_harness(model)
    await upload(harness.door, b"mine", key="a")
    assert (await harness.door.chat("a", "Write.")).said == "Written."
    assert (await harness.door.get("/ready")).status == 200
    damage(harness.data / name)
    for _ in range(2):
        reply = await harness.door.get("/ready")
        assert (reply.status, reply.json["store"]) == (503, "the server's store failed: its log says why")


async def test_a_folder_that_the_server_had_to_make_again_was_lost(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await upload(harness.door, b"mine")
    shutil.rmtree(harness.data / "files")
    await upload(harness.door, b"mine")
    assert (await harness.door.get("/ready")).status == 503


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders are others there")
@pytest.mark.parametrize("name", ["files", "workspaces"])
async def test_a_server_that_cannot_write_into_its_folders_is_not_ready(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    harness = await open_harness()
    folder = harness.data / name
    folder.mkdir(exist_ok=True)
    assert (await harness.door.get("/ready")).status == 200
    # A disk that is mounted read-only says so to root, too, whom no permissions stop.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    reply = await harness.door.get("/ready")
    assert reply.status == 503
    assert f"{folder} cannot be written to" in caplog.text
