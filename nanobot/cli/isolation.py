"""`nanobot audit isolation|people`"""

import asyncio
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, settings
from nanobot.cli.serve import loop_factory
from nanobot.cli.terminal import neutral
from nanobot.isolation.audit import IsolationOptions
from nanobot.isolation.layer_audit import LayerOptions
from nanobot.isolation.layers import LayerReport, layer_lines, run_layer_audit
from nanobot.isolation.report import Report, lines
from nanobot.isolation.run import run_isolation_audit

_LARGEST_SEED = 2**32
_PARALLEL = click.option(
    "--parallel",
    type=click.IntRange(min=1, max=1_000),
    default=32,
    metavar="N",
    help="How many requests run at a time [32].",
)
_SEED = click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Repeat the secrets and the order of an earlier run [random].",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")


@click.group("audit", cls=Group)
def command() -> None:
    """Check that nothing of one session reaches another."""


@command.command("isolation")
@click.option(
    "--sessions",
    type=click.IntRange(min=2, max=10_000),
    default=200,
    metavar="N",
    help="How many sessions [200].",
)
@_PARALLEL
@_SEED
@_JSON
@CONFIG
def isolation(
    sessions: int, parallel: int, seed: int | None, as_json: bool, config_file: Path | None
) -> None:
    """Seed secrets into many sessions, and ask for them from every other session, with every API key, on
    every route.

    It runs the server with your settings on a data directory of its own, with a model of its own: your data
    is not touched, and nothing is sent to other machines. Exit status 1 where a secret reached anyone but its
    owner.
    """
    options = IsolationOptions(sessions, parallel, secrets.randbelow(_LARGEST_SEED) if seed is None else seed)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        report = runner.run(
            run_isolation_audit(settings(config_file), options, lambda line: click.echo(line, err=True))
        )
    _tell(report, lines(report), as_json=as_json)


@command.command("people")
@click.option(
    "--people", type=click.IntRange(min=4, max=5_000), default=200, metavar="N", help="How many people [200]."
)
@click.option(
    "--groups", type=click.IntRange(min=1, max=1_000), default=30, metavar="N", help="How many groups [30]."
)
@_PARALLEL
@_SEED
@_JSON
@CONFIG
def people(
    people: int, groups: int, parallel: int, seed: int | None, as_json: bool, config_file: Path | None
) -> None:
    """Have many people tell secrets in private chats and in groups, link accounts, and search for what others
    told, with a model that looks for all it can find.

    It runs the server with your settings on a data directory of its own, with a model of its own. Exit status
    1 where a secret reached a turn of another layer.
    """
    seed = secrets.randbelow(_LARGEST_SEED) if seed is None else seed
    options = LayerOptions(people, groups, parallel, seed)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        report = runner.run(
            run_layer_audit(settings(config_file), options, lambda line: click.echo(line, err=True))
        )
    _tell(report, layer_lines(report), as_json=as_json)


def _tell(report: Report | LayerReport, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a report; exit with status 1 where something got out."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        for line in lines:
            click.echo(neutral(line))
    if not report.is_clean:
        sys.exit(1)
