"""One fuzzing run: the time is spread over the targets, one process at a time; what made a target crash is
kept and the rest goes on.
"""

import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import msgspec

from tests.fuzz.target import LONGEST_INPUT_BYTES, Target

_INPUT_TIMEOUT_S = 25
_MOST_MEMORY_MB = 2048
_MOST_CRASHES = 10
_NO_CRASH = 0
_ERROR = re.compile(r"=== Uncaught Python exception: ===\n(.*)")
_FAILED = re.compile(r"ERROR: libFuzzer: (.*)")


class Result(msgspec.Struct, frozen=True):
    """What became of a target.

    `whole`: the inputs that were long enough to stand for an example; `crashes` in words.
    """

    name: str
    executions: int
    whole: int
    seconds: float
    corpus: int
    crashes: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.name:22}{self.executions:12}{self.whole:12}{self.seconds:10.1f}"
            f"{self.corpus:8}{len(self.crashes):9}"
        )


HEADING = f"{'target':22}{'executions':>12}{'whole':>12}{'seconds':>10}{'corpus':>8}{'crashes':>9}"


def total(results: Sequence[Result]) -> Result:
    """Return the sum of all."""
    return Result(
        "total",
        sum(result.executions for result in results),
        sum(result.whole for result in results),
        sum(result.seconds for result in results),
        sum(result.corpus for result in results),
        tuple(crash for result in results for crash in result.crashes),
    )


def fuzz(target: Target, seconds: float, directory: Path, out: TextIO) -> Result:
    """Fuzz one target for that long and return what became of it.

    `directory` keeps its corpus, its log, and inputs that crashed it.
    """
    place = directory / target.name
    corpus, crashed = place / "corpus", place / "crashes"
    for needed in (corpus, crashed):
        needed.mkdir(parents=True, exist_ok=True)
    _plant(target, corpus, place)
    counts = place / "counts"
    counts.write_bytes(struct.pack("QQ", 0, 0))
    crashes: list[str] = []
    began = time.monotonic()
    with (
        (place / "log").open("w", encoding="utf-8") as log,
        TemporaryDirectory(prefix="nanobot-fuzz-") as scratch,
    ):
        while (left := began + seconds - time.monotonic()) >= 1 and len(crashes) < _MOST_CRASHES:
            start = log.tell()
            command = _command(target, counts, corpus, crashed, place, left)
            status = subprocess.run(
                command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": scratch}, check=False
            ).returncode
            if status == _NO_CRASH:
                break
            log.flush()
            log.seek(0, 2)
            crashes.append(_words((place / "log").read_text("utf-8", "replace")[start:], status))
            print(f"{target.name}: {crashes[-1]} (inputs that crashed it: {crashed})", file=out, flush=True)
    executions, whole = struct.unpack("QQ", counts.read_bytes())
    return Result(
        target.name, executions, whole, time.monotonic() - began, len(list(corpus.iterdir())), tuple(crashes)
    )


def _plant(target: Target, corpus: Path, place: Path) -> None:
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words)
    (place / "words").write_text("".join(lines), encoding="ascii")


def _command(
    target: Target, counts: Path, corpus: Path, crashed: Path, place: Path, seconds: float
) -> list[str]:
    words = [f"-dict={place / 'words'}"] if target.words else []
    return [
        sys.executable,
        "-m",
        "tests.fuzz.one",
        target.name,
        str(counts),
        f"-max_total_time={max(1, round(seconds))}",
        f"-timeout={_INPUT_TIMEOUT_S}",
        f"-rss_limit_mb={_MOST_MEMORY_MB}",
        f"-max_len={LONGEST_INPUT_BYTES}",
        f"-artifact_prefix={crashed}/",
        "-print_final_stats=1",
        "-verbosity=1",
        *(["-len_control=0"] if target.drawn else []),
        *words,
        str(corpus),
    ]


def _words(log: str, status: int) -> str:
    found = _ERROR.search(log) or _FAILED.search(log)
    return (found[1] if found else f"ended with status {status}, see its log")[:300]
