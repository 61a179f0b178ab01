"""Who reads a turn's deltas as they come: where nobody does, they may come in larger pieces."""

from collections.abc import Callable
from typing import Protocol


class Audience(Protocol):
    """Those who read the deltas of one turn as they come; they arrive and leave at any time."""

    @property
    def is_listening(self) -> bool:
        """Whether somebody reads now."""
        ...

    def on_arrival(self, call: Callable[[], None] | None) -> None:
        """Call back when somebody begins to read; one callback at a time, None for no more."""
        ...


class _Empty:
    """An audience that nobody joins."""

    is_listening = False

    def on_arrival(self, call: Callable[[], None] | None) -> None:
        """Nobody arrives."""


EMPTY: Audience = _Empty()
