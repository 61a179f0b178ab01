"""The tools that every agent has."""

from collections.abc import Sequence

from nanobot.core.clock import Clock
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.reading.documents import DocumentReader
from nanobot.tools.facts import calculate, current_time
from nanobot.tools.files import read_file


def own_tools(clock: Clock) -> tuple[Tool, ...]:
    """Return the server's own tools that need nothing of a session."""
    return (current_time(clock), calculate())


def all_tools(
    clock: Clock, store: Store, documents: DocumentReader, further: Sequence[Tool]
) -> tuple[Tool, ...]:
    """Return the tools of a server: its own, and `further` ones."""
    return (*own_tools(clock), read_file(store, documents), *further)
