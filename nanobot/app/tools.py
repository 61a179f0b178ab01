"""The tools that every agent has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nanobot.config import WebTable
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError
from nanobot.core.ids import Randomness
from nanobot.core.recall import OtherSessions
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.models.proxies import find_proxy
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetcher
from nanobot.tools.facts import calculate, current_time
from nanobot.tools.files import read_file
from nanobot.tools.find_tools import find_tools
from nanobot.tools.history import search_history
from nanobot.tools.plan import update_plan
from nanobot.tools.results import read_result
from nanobot.tools.web.fetch import web_fetch
from nanobot.tools.web.turns import WebTurns
from nanobot.tools.workspace.files import AgentFiles
from nanobot.tools.workspace.grep import grep
from nanobot.tools.workspace.looking import find_files, list_files
from nanobot.tools.workspace.patching import apply_patch
from nanobot.tools.workspace.writing import edit_file, write_file
from nanobot.workers.pool import WorkerPool

if TYPE_CHECKING:
    from nanobot.tools.web.search import SearchAccess, SearchEngine


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
    turns = WebTurns()
    tools: list[Tool] = []
    if is_reading:
        tools.append(web_fetch(fetcher, documents, turns, randomness))
    engine = search_engine(table)
    if engine is not None:
        # Most servers search no web.
        from nanobot.tools.web.search import web_search

        tools.append(web_search(engine, turns, randomness))
    return tuple(tools)


def workspace_tools(files: AgentFiles | None, workers: WorkerPool) -> tuple[Tool, ...]:
    """Return the tools of the workspace, but for the one that reads its files."""
    if files is None:
        return ()
    return (
        write_file(files),
        edit_file(files),
        apply_patch(files),
        list_files(files),
        find_files(files),
        grep(files, workers),
    )


def search_engine(table: WebTable, environment: Mapping[str, str] = os.environ) -> SearchEngine | None:
    """Return the search engine of the settings, None where there is none.

    Raises:
        ConfigError: it lacks what it needs.
    """
    if table.search != "duckduckgo":
        access = search_access(table, environment)
        if access is None:
            return None
        from nanobot.tools.web.search import SearchApi

        return SearchApi(access)
    from nanobot.tools.web.duckduckgo import DuckDuckGo, is_installed

    if table.search_url or table.search_key:
        raise ConfigError(
            "web.search is 'duckduckgo', which has no API: leave out web.search_url and web.search_key",
            tables=("web",),
        )
    if not is_installed():
        raise ConfigError(
            "web.search is 'duckduckgo', which needs a package that is not installed:"
            f" {install_command('duckduckgo')}",
            tables=("web",),
        )
    proxy = find_proxy("https://html.duckduckgo.com/", environment)
    return DuckDuckGo(proxy[0] if proxy else None)


def search_access(table: WebTable, environment: Mapping[str, str] = os.environ) -> SearchAccess | None:
    """Return how the search engine of the settings is asked, None where there is none. A proxy of the
    environment is used as for providers of models.

    Raises:
        ConfigError: it lacks its key or its URL, or that is none.
    """
    if table.search is None or table.search == "duckduckgo":
        return None
    from nanobot.tools.web.providers import SEARCH_PROVIDERS
    from nanobot.tools.web.search import SearchAccess

    provider = SEARCH_PROVIDERS[table.search]
    url = table.search_url or provider.url
    if not url:
        raise ConfigError(
            f"web.search is {table.search!r}, which has no server of its own: set web.search_url, e.g. to"
            " https://search.example.org/search",
            tables=("web",),
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ConfigError(
            "web.search_url must be a URL of http or https, without a user or password", tables=("web",)
        )
    if provider.needs_key and not table.search_key:
        raise ConfigError(
            f"web.search is {table.search!r}, which needs a key: set NANOBOT_WEB_SEARCH_KEY, or"
            " web.search_key",
            tables=("web",),
        )
    if not (table.search_key or "").isascii() or any(ord(each) < 33 for each in table.search_key or ""):
        raise ConfigError("web.search_key has characters that no key has", tables=("web",))
    proxy = find_proxy(url, environment)
    return SearchAccess(provider, url, table.search_key, proxy[0] if proxy else None)


def all_tools(
    clock: Clock,
    store: Store,
    documents: DocumentReader,
    further: Sequence[Tool],
    *,
    recall_result_tokens: int,
    files: AgentFiles | None = None,
    others: OtherSessions | None = None,
) -> tuple[Tool, ...]:
    """Return the tools of a server: its own, and `further` ones. `files`: the workspaces, where there are
    some. `others`: the further sessions that a turn may be told of.
    """
    return (
        *own_tools(clock),
        read_file(store, documents, files),
        read_result(store),
        search_history(store, result_tokens=recall_result_tokens, others=others),
        update_plan(),
        find_tools(),
        *further,
    )
