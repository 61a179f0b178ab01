"""The tool that asks a search engine."""

from __future__ import annotations

import asyncio
import importlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.tool import Tool, ToolContext
from nanobot.tools.web.providers import SearchProvider, SearchResult, read_results
from nanobot.tools.web.untrusted import MEANING, marked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from nanobot.core.ids import Randomness
    from nanobot.tools.web.turns import WebTurns

WEB_SEARCH = "web_search"
_MOST_RESULTS = 10
_MAX_ANSWER_BYTES = 2 * 1024 * 1024
_ANSWER_S = 15.0
_TIMEOUT_S = 45.0
"""For the wait for its turn and the answer, which has a limit of its own."""
_REFUSED = {
    HTTPStatus.UNAUTHORIZED: "does not accept the key (web.search_key)",
    HTTPStatus.FORBIDDEN: "does not allow this: check web.search_key, or the format json of a SearXNG",
    HTTPStatus.PAYMENT_REQUIRED: "wants to be paid: the key's plan is used up",
    HTTPStatus.TOO_MANY_REQUESTS: "was asked too often: try again later",
}


class SearchAccess(msgspec.Struct, frozen=True):
    """Which search engine is asked, and where. `proxy`: the URL of the HTTP proxy, None where it is reached
    directly.
    """

    provider: SearchProvider
    url: str
    key: str | None = None
    proxy: str | None = None


class WebSearchArguments(msgspec.Struct, frozen=True):
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    count: Annotated[int, msgspec.Meta(ge=1, le=_MOST_RESULTS, description="how many results")] = 5


class SearchEngine(Protocol):
    """Searches the web."""

    async def search(self, query: str, count: int) -> Sequence[SearchResult]:
        """Return the results for `query`, `count` at most.

        Raises:
            ToolError: the search engine could not be reached, refused, or answered something else.
        """
        ...


def web_search(engine: SearchEngine, turns: WebTurns, randomness: Randomness) -> Tool:
    """Return the tool that searches the web with a search engine."""

    async def run(arguments: WebSearchArguments, context: ToolContext) -> str:
        async with turns.turn(context.account_key):
            results = await engine.search(arguments.query, arguments.count)
        if not results:
            return f"Nothing was found for {arguments.query!r}."
        return marked(_listed(results), randomness)

    return Tool(
        WEB_SEARCH,
        f"Search the web; read what a result leads to before you rely on it. {MEANING}",
        WebSearchArguments,
        run,
        timeout_s=_TIMEOUT_S,
        repeatable=True,
        demanding=True,
        brings="web",
        group="web",
    )


class SearchApi:
    """Asks a search engine by its API: one connection for each question, so that a slow one stops nobody."""

    def __init__(self, access: SearchAccess) -> None:
        self._access = access
        self._module: ModuleType | None = None

    async def search(self, query: str, count: int) -> Sequence[SearchResult]:
        title = self._access.provider.title
        if self._module is None:
            self._module = await asyncio.to_thread(importlib.import_module, "aiohttp")
        http: Any = self._module
        try:
            async with asyncio.timeout(_ANSWER_S):
                status, content = await self._ask(query, count)
        except TimeoutError:
            raise ToolError(f"{title} did not answer within {_ANSWER_S:g} s") from None
        except (http.ClientError, OSError, ValueError):
            # Without its cause: that names the URL, which may have a key in it.
            raise ToolError(f"{title} could not be reached") from None
        if status != HTTPStatus.OK:
            why = _REFUSED.get(HTTPStatus(status)) if status in _STATUSES else None
            raise ToolError(f"{title} {why or f'answered {status}, not 200'}")
        if len(content) > _MAX_ANSWER_BYTES:
            raise ToolError(f"{title} answered with more than {_MAX_ANSWER_BYTES} bytes")
        try:
            return read_results(self._access.provider, content, count)
        except (ValueError, RecursionError):
            raise ToolError(f"{title} answered something that is no list of results") from None

    async def _ask(self, query: str, count: int) -> tuple[int, bytes]:
        http: Any = self._module
        access, provider = self._access, self._access.provider
        fields = {**provider.fields, provider.query: query}
        if provider.count:
            fields[provider.count] = count
        headers = {"User-Agent": "nanobot", "Accept": "application/json", "Accept-Encoding": "identity"}
        if access.key and provider.key_header:
            headers[provider.key_header] = provider.key_prefix + access.key
        is_post = provider.method == "POST"
        async with (
            http.ClientSession(
                cookie_jar=http.DummyCookieJar(), trust_env=False, timeout=http.ClientTimeout(total=None)
            ) as session,
            # A redirect would carry the key elsewhere.
            session.request(
                provider.method,
                access.url,
                headers=headers,
                json=fields if is_post else None,
                params=None if is_post else fields,
                allow_redirects=False,
                proxy=access.proxy,
            ) as response,
        ):
            content = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                content += chunk
                if len(content) > _MAX_ANSWER_BYTES:
                    break
            return response.status, bytes(content)


_STATUSES = frozenset(HTTPStatus)


def _listed(results: Sequence[SearchResult]) -> str:
    """Return the results, numbered: title, date, address, snippet."""
    return "\n\n".join(
        "\n".join(
            line
            for line in (
                f"{number}. {result.title or result.url}" + (f" ({result.date})" if result.date else ""),
                result.url,
                result.snippet,
            )
            if line
        )
        for number, result in enumerate(results, 1)
    )
