"""What a command leaves behind."""

from collections.abc import Callable

import msgspec


class Ran(msgspec.Struct, frozen=True):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


Nanobot = Callable[..., Ran]
