"""DuckDuckGo, which has no API: its pages are read by the package `ddgs`, an extra."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nanobot.core.errors import ToolError
from nanobot.tools.web.providers import SearchResult, as_line

if TYPE_CHECKING:
    from collections.abc import Sequence

DUCKDUCKGO = "duckduckgo"
_PACKAGE = "ddgs"
_THREADS = 4
_ANSWER_S, _WAIT_S = 10, 15.0
_EVERYWHERE = "wt-wt"


def is_installed() -> bool:
    """Return whether the package is there; it is not loaded for that."""
    return importlib.util.find_spec(_PACKAGE) is not None


class DuckDuckGo:
    """Asks DuckDuckGo, in threads of its own: the package blocks. `proxy`: as in `SearchAccess`."""

    def __init__(self, proxy: str | None = None) -> None:
        self.proxy = proxy
        self._threads = ThreadPoolExecutor(_THREADS, DUCKDUCKGO)

    async def search(self, query: str, count: int) -> Sequence[SearchResult]:
        """Return the results for `query`.

        Raises:
            ToolError: there are none: which may also mean that DuckDuckGo does not answer this server for
                now, or could not be reached.
        """
        try:
            async with asyncio.timeout(_WAIT_S):
                found = await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._ask, query, count
                )
        except TimeoutError:
            raise ToolError(f"DuckDuckGo did not answer within {_WAIT_S:g} s") from None
        return [
            SearchResult(as_line(each.get("title")), each["href"], as_line(each.get("body")))
            for each in found
            if isinstance(each, dict) and isinstance(each.get("href"), str) and each["href"]
        ][:count]

    def _ask(self, query: str, count: int) -> Sequence[Any]:
        ddgs = importlib.import_module(_PACKAGE)
        # Where it does not know the engine it asks all others.
        if DUCKDUCKGO not in importlib.import_module(f"{_PACKAGE}.engines").ENGINES["text"]:
            raise ToolError("the installed version of ddgs cannot ask DuckDuckGo: install another one")
        errors = importlib.import_module(f"{_PACKAGE}.exceptions")
        try:
            found: Sequence[Any] = ddgs.DDGS(proxy=self.proxy, timeout=_ANSWER_S).text(
                query, region=_EVERYWHERE, max_results=count, backend=DUCKDUCKGO
            )
        except errors.RatelimitException:
            raise ToolError("DuckDuckGo was asked too often: try again later") from None
        except errors.TimeoutException:
            raise ToolError(f"DuckDuckGo did not answer within {_ANSWER_S} s") from None
        except errors.DDGSException as error:
            # It is raised for whatever fails, and without a cause where no page with results came.
            if "No results" in str(error):
                raise ToolError(
                    "DuckDuckGo showed no results: it found none, or answers this server no more for now; try"
                    " other words, or later"
                ) from None
            raise ToolError("DuckDuckGo could not be reached") from None
        return found
