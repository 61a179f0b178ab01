"""The commands that install an extra."""

import importlib.util
import sys

import pytest

from nanobot.core.distribution import install_command, install_hint


def test_the_command_is_that_of_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/srv/nanobot/bin/python")
    assert install_command("local") == '/srv/nanobot/bin/python -m pip install "nanobot-server[local]"'


def test_a_path_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/srv/my agent/bin/python")
    assert install_command("local").startswith('"/srv/my agent/bin/python" -m pip ')


def test_without_pip_the_command_is_uvs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/tools/bin/python")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert install_command("local") == 'uv pip install --python /tools/bin/python "nanobot-server[local]"'


def test_a_hint_for_strangers_shows_no_path_of_the_machine() -> None:
    assert install_hint("documents") == 'pip install "nanobot-server[documents]"'
