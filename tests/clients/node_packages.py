"""The packages for Node that the tests need, fetched once as the lock file has them."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"
_LOCK = NODE / "package-lock.json"
_PLACE = NODE / "node_modules"
_BOUND_S = 300
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH")


def node() -> str:
    """Return the path of node, with the packages in place; skip the test where there is no node, no npm or no
    registry.
    """
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not on this machine")
    if not _is_installed():
        _install(npm)
    return found


def _is_installed() -> bool:
    mark = _PLACE / ".of-lock-file"
    return mark.exists() and mark.read_bytes() == _LOCK.read_bytes()


def _install(npm: str) -> None:
    """Run `npm ci` beside the place and move the result there, as another process may be about the same."""
    with tempfile.TemporaryDirectory(dir=NODE, prefix="node_modules.") as beside:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, beside)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=beside, capture_output=True, text=True, timeout=_BOUND_S, check=False
        )
        if done.returncode != 0 and any(sign in done.stderr for sign in _UNREACHABLE):
            pytest.skip(f"npm cannot reach its registry: {done.stderr.strip()[-300:]}")
        assert done.returncode == 0, done.stderr
        made = Path(beside) / "node_modules"
        shutil.copy(_LOCK, made / ".of-lock-file")
        shutil.rmtree(_PLACE, ignore_errors=True)
        made.rename(_PLACE)
