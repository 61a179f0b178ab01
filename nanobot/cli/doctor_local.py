"""What `nanobot doctor` finds of a model that runs on this machine: looked at, not started, as it takes a gigabyte of memory."""

import ctypes
import importlib.util
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from nanobot.cli.finding import Finding
from nanobot.cli.terminal import size
from nanobot.core.errors import ConfigError
from nanobot.models.local_process import AVX2, INSTALL
from nanobot.models.openmp import REMEDY as LIBGOMP
from nanobot.models.weights import Weights, find, parse

_CPU = Path("/proc/cpuinfo")


def examine(check: str, name: str, why: str, models_dir: Path) -> Iterator[Finding]:
    """Check the weights of `name`, then what the engine needs."""
    yield _weights(check, name, why, models_dir)
    if importlib.util.find_spec("xllamacpp") is None:
        yield Finding("engine", "fail", "the engine of local models is not installed", INSTALL)
        return
    if lacks_avx2(platform.machine(), _CPU):
        yield Finding("engine", "fail", f"this processor ({platform.machine()}) lacks AVX2", AVX2)
    elif lacks_libgomp():
        yield Finding("engine", "fail", "the system library libgomp is missing", LIBGOMP)
    else:
        yield Finding("engine", "ok", "installed, with what it needs of processor and system")


def _weights(check: str, name: str, why: str, models_dir: Path) -> Finding:
    try:
        path = find(name, models_dir)
        wanted = parse(name)
    except ConfigError as error:
        return Finding(check, "fail", error.message)
    if path is not None:
        return Finding(check, "ok", f"{name}{why}, weights in {path}")
    length = f" ({size(wanted.size_bytes)})" if isinstance(wanted, Weights) else ""
    return Finding(
        check, "warn", f"{name}{why}, weights not here yet", f"the first start fetches them{length}, or: nanobot model pull {name}"
    )


def lacks_avx2(machine: str, cpu: Path) -> bool:
    """Return whether the processor is known to lack AVX2; where nobody can tell it is taken to have it."""
    if machine.lower() not in ("x86_64", "amd64") or not cpu.exists():
        return False
    flags = [line.partition(":")[2].split() for line in cpu.read_text(errors="replace").splitlines() if line.startswith("flags")]
    return bool(flags) and any("avx2" not in line for line in flags)


def lacks_libgomp() -> bool:
    """Return whether the library that the engine's threads need is missing; only Linux has it as a package of its own."""
    if sys.platform != "linux":
        return False
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return True
    return False
