"""The tools that every agent has."""

from collections.abc import Sequence

from nanobot.core.clock import Clock
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.reading.documents import DocumentReader
from nanobot.tools.facts import calculate, current_time
from nanobot.tools.files import read_file
from nanobot.tools.history import search_history
from nanobot.tools.results import read_result


def own_tools(clock: Clock) -> tuple[Tool, ...]:
    """Return the server's own tools that need nothing of a session."""
    return (current_time(clock), calculate())


def all_tools(
    clock: Clock,
    store: Store,
    documents: DocumentReader,
    further: Sequence[Tool],
    *,
    recall_result_tokens: int,
) -> tuple[Tool, ...]:
    """Return the tools of a server: its own, and `further` ones."""
    return (
        *own_tools(clock),
        read_file(store, documents),
        read_result(store),
        search_history(store, result_tokens=recall_result_tokens),
        *further,
    )
