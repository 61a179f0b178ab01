"""The OpenMP runtime that the engine needs: the system's, else one taken out of a wheel of the package
registry.

Linux only, where container images often come without it; elsewhere the engine's wheel brings what it needs.
"""

import ctypes
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from nanobot.core.errors import ModelUnavailable
from nanobot.models.weights.wheels import download

LIBRARY = "libgomp.so.1"
REMEDY = (
    "install the OpenMP runtime: `apt install libgomp1` (Debian, Ubuntu), `dnf install libgomp` (Fedora), "
    "`apk add libgomp` (Alpine)"
)
_PINS = Path(__file__).with_name("openmp.requirements.txt")


def folder(models_dir: Path) -> Path:
    """Return where a fetched runtime is kept."""
    return models_dir / "lib"


def is_missing(models_dir: Path) -> bool:
    """Return whether neither the system nor `models_dir` has the runtime."""
    if sys.platform != "linux" or (folder(models_dir) / LIBRARY).exists():
        return False
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return True
    return False


def fetch(models_dir: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Fetch the runtime, verified by the wheel's hash, and return its path. Blocks.

    Raises:
        ModelUnavailable: it cannot be fetched; the message says how to install it.
    """
    target = folder(models_dir) / LIBRARY
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            wheel = download(_PINS.read_text("utf-8"), Path(work) / "wheel", environment, lambda _: None)
            part = Path(work) / LIBRARY
            _extract(wheel, part)
            # Last, so that no other process loads half a library.
            part.rename(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(
            f"the local model needs {LIBRARY}, which is not on this machine and could not be fetched "
            f"({error}); {REMEDY}"
        ) from error
    return target


def _extract(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.rpartition("/")[2].startswith("libgomp")]
        if len(names) != 1:
            raise OSError(f"{wheel.name} holds {len(names)} such libraries, expected one")
        with archive.open(names[0]) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def search_path(models_dir: Path, own: str | None) -> str | None:
    """Return the engine's search path for libraries: `own`, then the folder of a fetched runtime."""
    fetched = folder(models_dir)
    if not (fetched / LIBRARY).exists():
        return own
    return f"{own}{os.pathsep}{fetched}" if own else str(fetched)
