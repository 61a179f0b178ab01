"""`nanobot sessions list|search|show|rename|fork|compact|export|import|delete`"""

import click

from nanobot.cli import sessions_change, sessions_compact, sessions_list, sessions_show
from nanobot.cli.group import Group


@click.group("sessions", cls=Group)
def command() -> None:
    """List, search, read, name, copy, summarise, export, import and delete conversations."""


for _subcommand in (
    sessions_list.list_,
    sessions_list.search,
    sessions_show.show,
    sessions_show.export,
    sessions_change.rename,
    sessions_change.fork,
    sessions_compact.compact,
    sessions_change.import_,
    sessions_change.delete,
):
    command.add_command(_subcommand)
