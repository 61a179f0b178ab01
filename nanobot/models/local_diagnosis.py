"""What the local model needs of this machine, and how to get what is missing; for `nanobot doctor`."""

import ctypes
import importlib.util
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.models.local_process import AVX2, INSTALL
from nanobot.models.openmp import REMEDY as LIBGOMP
from nanobot.models.weights import Weights, find, matches, parse

_WINDOWS_HAS_AVX2 = 40


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `remedy` says what to do where it is not `ok`."""

    subject: str
    ok: bool
    text: str
    remedy: str = ""


def diagnose(name: str, models_dir: Path, *, whole_hash: bool = False) -> tuple[Finding, ...]:
    """Return what stands for and against running `name` here. `whole_hash` reads the weights to the end: seconds. Blocks."""
    return (engine(), processor(), openmp(), weights(name, models_dir, whole_hash=whole_hash))


def engine(find_spec: Callable[[str], object | None] = importlib.util.find_spec) -> Finding:
    if find_spec("xllamacpp") is None:
        return Finding("engine", False, "xllamacpp is not installed", INSTALL)
    return Finding("engine", True, "xllamacpp is installed")


def processor(machine: str = platform.machine(), has_avx2: Callable[[], bool | None] | None = None) -> Finding:
    """Say whether this processor can run the engine; on Intel and AMD it must have AVX2."""
    if machine.lower() not in ("x86_64", "amd64"):
        return Finding("processor", True, f"{machine} needs no extension")
    found = (has_avx2 or _has_avx2)()
    if found is None:
        return Finding("processor", True, "whether the processor has AVX2 cannot be seen here")
    return Finding("processor", True, "has AVX2") if found else Finding("processor", False, "has no AVX2", AVX2)


def openmp(system: str = sys.platform, load: Callable[[str], object] = ctypes.CDLL) -> Finding:
    """Say whether the OpenMP runtime is there, which the engine takes from the system on Linux."""
    if system != "linux":
        return Finding("libgomp", True, "not needed on this system")
    try:
        load("libgomp.so.1")
    except OSError:
        return Finding("libgomp", False, "libgomp.so.1 is missing", LIBGOMP)
    return Finding("libgomp", True, "libgomp.so.1 is there")


def weights(name: str, models_dir: Path, *, whole_hash: bool) -> Finding:
    """Say whether the weights of `name` are there and verified."""
    fetch = f"nanobot models fetch {name}"
    try:
        path = find(name, models_dir)
        wanted = parse(name)
    except ConfigError as error:
        return Finding("weights", False, error.message, "name another model with --model")
    if path is None:
        return Finding("weights", False, f"the weights of {name} are not in {models_dir}", fetch)
    if whole_hash and isinstance(wanted, Weights) and not matches(path, wanted):
        return Finding("weights", False, f"{path} is damaged: its SHA-256 is not the recorded one", f"delete it, then {fetch}")
    return Finding("weights", True, str(path))


def _has_avx2() -> bool | None:
    """Return whether the processor has AVX2; None where the system does not tell."""
    if sys.platform == "win32":
        return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(_WINDOWS_HAS_AVX2))
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    except OSError:
        return None
