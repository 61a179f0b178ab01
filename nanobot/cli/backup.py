"""`nanobot backup`"""

import contextlib
import sys
from pathlib import Path

import click

from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import one_line, size
from nanobot.config import FILE, Config
from nanobot.core.errors import StoreError
from nanobot.stores import blobs, secret
from nanobot.stores.folder_copy import copy_file, copy_folder, give_owner, remove_copy
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.workspaces import folder as workspaces
from nanobot.telemetry import logs
from nanobot.tools.plugins import installed

FOLDERS = (blobs.FOLDER, workspaces.FOLDER, "skills", installed.FOLDER)
FILES = (secret.FILE_NAME, logs.SALT_FILE, FILE)
"""What cannot be had again, besides the database. `nanobot.toml` is there for a service."""
_SHOWN = 20


@click.command("backup")
@click.argument("target", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="Also uploads, the agent's files, skills: all that is worth keeping.",
)
@CONFIG
@DATA
def command(target: Path, is_all: bool, config_file: Path | None, data: str | None) -> None:
    """Copy all conversations to FILE, consistent as of one moment, also while a server runs; with --all, all
    that is worth keeping to the directory DIR, which must be new.

    To restore, stop the server and put FILE in the data directory as nanobot.sqlite3, or DIR in its place.
    """
    config = settings(config_file, server={"data": data})
    if is_all:
        _back_up_all(config, target)
        return
    offline_store(config).backup(target)
    click.echo(f"{size(target.stat().st_size)} written to {target.absolute()}")


def _back_up_all(config: Config, target: Path) -> None:
    """Copy the directory: whole, or not at all.

    Raises:
        StoreError: `target` exists, or cannot be written.
    """
    if target.exists():
        raise StoreError(f"{target} exists already: name a new directory, nothing was written")
    partial = target.with_name(target.name + ".partial")
    left_out: list[str] = []
    try:
        remove_copy(partial)
        partial.mkdir(mode=0o700, parents=True)
        # First: of an upload that it knows, the content is there.
        offline_store(config).backup(partial / DATABASE)
        # A server that cannot open it does not start.
        give_owner((config.data / DATABASE).stat(), partial / DATABASE)
        for name in FOLDERS:
            left_out += copy_folder(config.data / name, partial / name)
        for name in FILES:
            with contextlib.suppress(FileNotFoundError):
                copy_file(config.data / name, partial / name)
        partial.rename(target)
    except OSError as error:
        raise StoreError(f"cannot write {target} ({error.strerror}): nothing was kept of it") from error
    finally:
        remove_copy(partial)
    written = sum(path.lstat().st_size for path in target.rglob("*"))
    click.echo(f"{size(written)} written to {target.absolute()}")
    if left_out:
        for line in left_out[:_SHOWN]:
            click.echo(f"left out: {one_line(line)}", err=True)
        if len(left_out) > _SHOWN:
            click.echo(f"left out: {len(left_out) - _SHOWN} more", err=True)
        sys.exit(1)
