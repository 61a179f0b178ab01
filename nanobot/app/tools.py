"""The tools that every agent has."""

from collections.abc import Sequence

from nanobot.config import WebTable
from nanobot.core.clock import Clock
from nanobot.core.ids import Randomness
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetcher
from nanobot.tools.facts import calculate, current_time
from nanobot.tools.files import read_file
from nanobot.tools.web.fetch import web_fetch
from nanobot.tools.web.turns import WebTurns


def own_tools(clock: Clock) -> tuple[Tool, ...]:
    """Return the server's own tools that need nothing of a session."""
    return (current_time(clock), calculate())


def web_tools(
    table: WebTable, fetcher: Fetcher, documents: DocumentReader, randomness: Randomness, *, reads_urls: bool
) -> tuple[Tool, ...]:
    """Return the tools of the web that the settings ask for. `reads_urls`: whether the server follows URLs of
    requests, and the agent reads the web where nothing else is set.
    """
    is_reading = reads_urls if table.fetch is None else table.fetch
    return (web_fetch(fetcher, documents, WebTurns(), randomness),) if is_reading else ()


def all_tools(
    clock: Clock, store: Store, documents: DocumentReader, further: Sequence[Tool]
) -> tuple[Tool, ...]:
    """Return the tools of a server: its own, and `further` ones."""
    return (*own_tools(clock), read_file(store, documents), *further)
