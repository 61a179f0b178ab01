"""`nanobot doctor`: one line per check; one that fails says what to do."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from nanobot.cli import doctor_data, doctor_machine, doctor_other_data
from nanobot.cli.check_result import CheckResult
from nanobot.cli.options import CONFIG, DATA, MODEL, placed, settings
from nanobot.cli.store import database_library, offline_store
from nanobot.cli.terminal import is_rich, one_line
from nanobot.config import origins
from nanobot.core.errors import ConfigError

# As long as the longest name of a check.
_CHECK_WIDTH = 10
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ask", "asks", is_flag=True, help="Ask each model for one token, which costs a little.")
@click.option("--port", metavar="PORT", help="Port that the server would listen on [8900].")
@CONFIG
@DATA
@MODEL
def command(
    as_json: bool,
    asks: bool,
    port: str | None,
    config_file: Path | None,
    data: str | None,
    model: str | None,
) -> None:
    """Check this machine, the settings, the store and the model. Exit status 1 where something fails."""
    results: list[CheckResult] = []
    for result in examine(config_file, data=data, model=model, port=port, asks=asks):
        results.append(result)
        if not as_json:
            click.echo(_line(result))
    healthy = all(result.status != "fail" for result in results)
    if as_json:
        click.echo(msgspec.json.encode({"ok": healthy, "findings": results}))
    sys.exit(0 if healthy else 1)


def _line(result: CheckResult) -> str:
    status = f"{result.status:4}"
    if is_rich(sys.stdout):
        status = click.style(status, fg=_COLOURS[result.status])
    remedy = f"; {one_line(result.remedy)}" if result.remedy else ""
    return f"{status}  {result.check:{_CHECK_WIDTH}}  {one_line(result.text)}{remedy}"


def examine(
    config_file: Path | None, *, data: str | None, model: str | None, port: str | None, asks: bool = False
) -> Iterator[CheckResult]:
    """Yield the result of each check; one that needs what is missing is left out. `asks`: models are asked
    for a token.
    """
    yield doctor_machine.python()
    yield doctor_machine.sqlite(database_library())
    packages = doctor_machine.packages()
    yield packages
    try:
        config = settings(config_file, server={"data": data, "port": port}, model={"name": model})
    except ConfigError as error:
        yield CheckResult("settings", "fail", placed(error))
        return
    store = offline_store(config)
    origin = origins(config_file, os.environ, {"server": {"data": data}}).get("server.data", "default")
    yield from doctor_data.directory(config.data, store, origin)
    yield doctor_data.database(store)
    yield from doctor_other_data.examine(config, config_file)
    if packages.status == "fail":
        return
    # Their imports are the packages that the checks above may have reported as missing.
    from nanobot.cli import doctor_mcp, doctor_sandbox, doctor_server, doctor_vectors

    yield from asyncio.run(doctor_server.examine(config, asks=asks))
    yield from asyncio.run(doctor_sandbox.examine(config))
    yield from asyncio.run(doctor_mcp.examine(config))
    yield from asyncio.run(doctor_vectors.examine(config))
