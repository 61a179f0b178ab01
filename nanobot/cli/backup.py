"""`nanobot backup FILE`"""

from pathlib import Path

import click

from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import size


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
@DATA
def command(file: Path, config_file: Path | None, data: str | None) -> None:
    """Copy all conversations to FILE, consistent as of one moment, also while a server runs.

    To restore, stop the server and put FILE in the data directory as nanobot.sqlite3.
    """
    offline_store(settings(config_file, server={"data": data})).backup(file)
    click.echo(f"{size(file.stat().st_size)} written to {file.absolute()}")
