"""The checks of `nanobot doctor` that need no settings: Python and what is installed beside it."""

import importlib
import platform
import sys
from importlib import metadata

from nanobot import __version__
from nanobot.cli.check_result import CheckResult
from nanobot.cli.terminal import one_line
from nanobot.core.offline import DatabaseLibrary

_OLDEST_PYTHON = (3, 11)
_PACKAGES = ("aiohttp", "click", "httptools", "msgspec", "prompt_toolkit", "rich", "starlette", "uvicorn")
_PACKAGES_BUT_WINDOWS = ("uvloop",)


def python() -> CheckResult:
    """Check the version of Python."""
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        return CheckResult("python", "fail", f"{version} is too old", "install Python 3.11 or newer")
    machine = f"{platform.system()} {platform.machine()}"
    return CheckResult("python", "ok", f"{version}, nanobot {__version__}, {machine}")


def sqlite(library: DatabaseLibrary) -> CheckResult:
    """Check the SQLite that this Python was built with."""
    if library.problem:
        text = f"{library.version}: {library.problem}"
        remedy = (
            "run nanobot with another Python (those of python.org, uv and the large distributions will do)"
        )
        return CheckResult("sqlite", "fail", text, remedy)
    return CheckResult("sqlite", "ok", library.version)


def packages() -> CheckResult:
    """Check that the packages of a plain installation can be imported."""
    required = _PACKAGES if sys.platform == "win32" else (*_PACKAGES, *_PACKAGES_BUT_WINDOWS)
    problems = {name: problem for name in required if (problem := _import_problem(name))}
    if problems:
        text = ", ".join(f"{name} ({problem})" for name, problem in problems.items())
        remedy = f"{sys.executable} -m pip install {' '.join(problems)}"
        return CheckResult("packages", "fail", f"cannot be imported: {text}", remedy)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in required)
    return CheckResult("packages", "ok", versions)


def _import_problem(name: str) -> str:
    """Return why the package cannot be imported, an empty text where it can."""
    try:
        importlib.import_module(name)
        metadata.version(name)
    except (ImportError, metadata.PackageNotFoundError) as error:
        return one_line(str(error))
    return ""
