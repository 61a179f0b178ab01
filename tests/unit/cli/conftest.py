"""The command line, run in this process."""

import sys
from pathlib import Path

import pytest

from nanobot.cli.main import main
from tests.unit.cli.commandline import Nanobot, Ran


@pytest.fixture
def nanobot(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Nanobot:
    """Runs `nanobot ARGUMENTS` in a directory without settings, and without a provider in the environment."""
    monkeypatch.chdir(tmp_path)
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "NANOBOT_MODEL", "NANOBOT_DATA", "NANOBOT_API_KEY"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["nanobot", *arguments])
        capfdbinary.readouterr()
        status = 0
        try:
            main()
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 0
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ran(status, out.decode(), err.decode())

    return run
