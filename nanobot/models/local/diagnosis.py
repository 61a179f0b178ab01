"""What the engine of the local model needs of this machine, and how to get what is missing.

For `nanobot doctor`: it looks, and starts nothing.
"""

import ctypes
import importlib.util
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from nanobot.core.distribution import install_command
from nanobot.models.local import openmp
from nanobot.models.local.process import AVX2

_WINDOWS_HAS_AVX2 = 40


class Diagnosis(msgspec.Struct, frozen=True):
    """One requirement of the engine. `remedy` says what to do where it is not `ok`."""

    subject: str
    ok: bool
    text: str
    remedy: str = ""


def diagnose(models_dir: Path) -> tuple[Diagnosis, ...]:
    """Return each requirement of the engine, and whether this machine meets it. Blocks."""
    return (engine(), processor(), runtime(models_dir))


def engine(find_spec: Callable[[str], object | None] = importlib.util.find_spec) -> Diagnosis:
    """Return whether the engine is installed."""
    if find_spec("xllamacpp") is None:
        text = "the engine of local models (xllamacpp) is not installed"
        return Diagnosis("engine", False, text, install_command("local"))
    return Diagnosis("engine", True, "xllamacpp is installed")


def processor(
    machine: str = platform.machine(), has_avx2: Callable[[], bool | None] | None = None
) -> Diagnosis:
    """Return whether this processor can run the engine; one of Intel or AMD must have AVX2."""
    if machine.lower() not in ("x86_64", "amd64"):
        return Diagnosis("processor", True, f"{machine} needs no extension")
    is_capable = (has_avx2 or _has_avx2)()
    if is_capable is None:
        return Diagnosis("processor", True, "whether the processor has AVX2 cannot be seen here")
    if is_capable:
        return Diagnosis("processor", True, "has AVX2")
    return Diagnosis("processor", False, "has no AVX2", AVX2)


def runtime(models_dir: Path, is_missing: Callable[[Path], bool] = openmp.is_missing) -> Diagnosis:
    """Return whether there is an OpenMP runtime: the system's, or a fetched one."""
    if is_missing(models_dir):
        remedy = f"the first start of a local model fetches it; or {openmp.REMEDY}"
        return Diagnosis("openmp", False, f"{openmp.LIBRARY} is not on this machine", remedy)
    return Diagnosis("openmp", True, "the OpenMP runtime is there")


def _has_avx2() -> bool | None:
    """Return whether the processor has AVX2; None where the system does not tell."""
    if sys.platform == "win32":
        return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(_WINDOWS_HAS_AVX2))
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    except OSError:
        return None
