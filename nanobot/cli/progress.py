"""Downloads of local models, shown as a bar on a terminal, and as a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click
import rich.progress
from rich.console import Console

from nanobot.app import missing_openmp, missing_weights, weights_directory
from nanobot.cli.terminal import is_rich, size
from nanobot.config import Config
from nanobot.core.errors import ConfigError
from nanobot.models.local import openmp
from nanobot.models.weights.fetch import WeightsSource, fetch_weights
from nanobot.models.weights.installed import Progress, Weights, find, parse

_LINE_EVERY_S = 10.0
_SHORT_COLUMNS = 76


def ensure_weights(config: Config, environment: Mapping[str, str]) -> None:
    """Download what the default model and the presets lack to run on this machine.

    Says on the standard error what it downloads, and how far it has come.

    Raises:
        ConfigError: the name of a model is not valid.
        ModelUnavailable: a download failed; the message says what was tried.
    """
    for name in missing_weights(config, environment):
        pull(name, weights_directory(config, name))
    for folder in missing_openmp(config, environment):
        click.echo(
            f"fetching {openmp.LIBRARY}, which this machine lacks "
            "(GPL with the GCC Runtime Library Exception)",
            err=True,
        )
        openmp.fetch(folder)


def pull(
    name: str, directory: Path, stream: TextIO | None = None, sources: Sequence[WeightsSource] | None = None
) -> Path:
    """Return the path of the weights of `name`, downloaded first if they are missing.

    `stream`: where the progress is shown; None: the standard error. `sources`: None: the known ones.

    Raises:
        ConfigError, ModelUnavailable: see `ensure_weights`.
    """
    path = find(name, directory)
    if path is not None:
        return path
    stream = stream or sys.stderr
    weights = parse(name)
    if not isinstance(weights, Weights):
        raise ConfigError(f"model {name}: there is no file {weights}")
    stream.write(_announcement(weights, directory) + "\n")
    stream.flush()
    with _bar(stream) if is_rich(stream) else _lines(stream) as progress:
        return fetch_weights(weights, directory, progress, sources=sources)


def _announcement(weights: Weights, directory: Path) -> str:
    """Return what is downloaded, how large it is, and under which licence."""
    return (
        f"fetching the model {weights.name}: {weights.title} by {weights.maker},\n"
        f"{size(weights.size_bytes)}, licence {weights.licence}, into {directory} "
        "(once; an interrupted download goes on at the next start)"
    )


@contextlib.contextmanager
def _bar(stream: TextIO) -> Iterator[Progress]:
    console = Console(file=stream)
    columns: list[str | rich.progress.ProgressColumn] = [
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
    ]
    if console.width >= _SHORT_COLUMNS:
        columns += [rich.progress.TransferSpeedColumn(), rich.progress.TimeRemainingColumn(compact=True)]
    with rich.progress.Progress(
        "[progress.description]{task.description}", *columns, console=console
    ) as bars:
        task = bars.add_task("", total=None)

        def progress(what: str, done_bytes: int, total_bytes: int, /) -> None:
            bars.update(task, description=_short(what), completed=done_bytes, total=total_bytes)

        yield progress


def _short(what: str) -> str:
    """Return the step in few words; the model has been named before the bar."""
    part = what.rpartition("(")[2].removesuffix(")") if what.endswith(")") else ""
    return part or what.partition(" ")[0]


@contextlib.contextmanager
def _lines(stream: TextIO, now: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    # So that the first step is shown at once.
    last = ("", now() - _LINE_EVERY_S)

    def progress(what: str, done_bytes: int, total_bytes: int, /) -> None:
        nonlocal last
        verb = what.partition(" ")[0]
        if verb == last[0] and now() - last[1] < _LINE_EVERY_S:
            return
        last = (verb, now())
        stream.write(f"{what}: {size(done_bytes)} of {size(total_bytes)}\n")
        stream.flush()

    yield progress
