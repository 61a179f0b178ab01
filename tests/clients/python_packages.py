"""Packages for Python that cannot share this environment, as they pin what they need: they get environments
of their own, each made once as its lock file has it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.clients.serving import ROOT

PYTHON = Path(__file__).parent / "python"
_PLACES = ROOT / ".clients"
_MARK = ".of-lock-file"
_BOUND_S = 300
_UNREACHABLE = ("No matching distribution", "Failed to fetch", "dns error", "client error (Connect)")


def programs(name: str) -> Path:
    """Return the directory of the programs that python/NAME.txt brings, with `python` among them; skip the
    test where the registry cannot be reached.
    """
    place, lock = _PLACES / name, PYTHON / f"{name}.txt"
    mark = place / _MARK
    if not (mark.exists() and mark.read_bytes() == lock.read_bytes()):
        _install(place, lock)
    return place / ("Scripts" if sys.platform == "win32" else "bin")


def _install(place: Path, lock: Path) -> None:
    """Install beside the place and move the result there, as another process may be about the same.

    uv does it in a tenth of pip's time; pip brings uv, for this alone.
    """
    exactly = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r"]
    _PLACES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_PLACES) as beside:
        tool, made = Path(beside, "uv"), Path(beside, "venv")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        _run(*pip, "--target", str(tool), *exactly, str(PYTHON / "uv.txt"))
        uv = str(tool / "bin" / "uv")
        _run(uv, "venv", "-q", "--relocatable", "--python", sys.executable, str(made))
        _run(uv, "pip", "install", "-q", "--no-cache", "--python", str(made), *exactly, str(lock))
        shutil.copy(lock, made / _MARK)
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BOUND_S, check=False)
    if done.returncode != 0 and any(sign in done.stderr for sign in _UNREACHABLE):
        pytest.skip(f"the registry of packages cannot be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
