"""The packages for Node that the tests need, fetched once as the lock files have them."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.clients.serving import ROOT

NODE = Path(__file__).parent / "node"
"""The packages that scripts of ours import."""
_AGENTS = Path(__file__).parent / "agents"
"""The lock file of programs that come as packages; they are large, and stand beside the sources."""
_BOUND_S = 300
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH")


def node() -> str:
    """Return the path of node, with the packages of `NODE` in place; skip the test where there is no node, no
    npm or no registry.
    """
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not on this machine")
    prepare(NODE, NODE)
    return found


def agents() -> Path:
    """Return the directory with the packages of coding agents; skip the test as `node` does."""
    node()
    place = ROOT / ".clients" / "agents"
    place.mkdir(parents=True, exist_ok=True)
    prepare(_AGENTS, place)
    return place / "node_modules"


def prepare(wanted: Path, place: Path) -> None:
    """Have the packages of the lock file in `wanted` below `place`.

    Skip the test where there is no npm, or no registry.
    """
    lock, mark = wanted / "package-lock.json", place / "node_modules" / ".of-lock-file"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on this machine")
    _install(npm, wanted, place)


def _install(npm: str, wanted: Path, place: Path) -> None:
    """Run npm beside the place and move the result there, as another process may be about the same.

    `npm ci` would want the packages of all platforms in the lock file; `npm install` takes what it has.
    """
    with tempfile.TemporaryDirectory(dir=place, prefix="node_modules.") as beside:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(wanted / name, beside)
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=beside, capture_output=True, text=True, timeout=_BOUND_S, check=False
        )
        if done.returncode != 0 and any(sign in done.stderr for sign in _UNREACHABLE):
            pytest.skip(f"npm cannot reach its registry: {done.stderr.strip()[-300:]}")
        assert done.returncode == 0, done.stderr
        made = Path(beside) / "node_modules"
        shutil.copy(wanted / "package-lock.json", made / ".of-lock-file")
        shutil.rmtree(place / "node_modules", ignore_errors=True)
        made.rename(place / "node_modules")
