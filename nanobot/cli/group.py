"""A group of commands whose help says what each of them does, in whole sentences."""

import click

_LONGEST = 1_000


class Group(click.Group):
    """A group; its help has the first sentence of each command, which click would cut to fit a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, each.get_short_help_str(_LONGEST)) for name, each in commands if each is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
