"""`nanobot help [COMMAND]`"""

import click
from click.shell_completion import CompletionItem


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the commands below those that are typed already."""
    root = ctx.find_root()
    group: click.Command | None = root.command
    for name in ctx.params.get("names") or ():
        group = group.get_command(root, name) if isinstance(group, click.Group) else None
    return group.shell_complete(click.Context(group), incomplete) if isinstance(group, click.Group) else []


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show what a command does and its options, as `nanobot COMMAND --help` does."""
    shown = ctx.find_root()
    for name in names:
        group = shown.command
        found = group.get_command(shown, name) if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"{shown.command_path} has no command {name!r}", shown)
        shown = click.Context(found, parent=shown, info_name=name, **found.context_settings)
    click.echo(shown.get_help())
