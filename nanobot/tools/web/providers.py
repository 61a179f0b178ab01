"""The search engines as data: how each is asked, and where its answer has what."""

from collections.abc import Mapping
from typing import Literal

import msgspec

SearchProviderName = Literal["brave", "tavily", "exa", "searxng"]
_SNIPPET_CHARACTERS = 500


class SearchResult(msgspec.Struct, frozen=True):
    """One result. `date`: as the provider writes it, empty where it has none."""

    title: str
    url: str
    snippet: str = ""
    date: str = ""


class SearchProvider(msgspec.Struct, frozen=True):
    """How a search engine is asked, and read.

    `url`: of its API; empty where everyone runs their own. `key_header` and `key_prefix`: how the key goes.
    `query`, `count`: the fields of these; in the body as JSON for POST, else in the query. `fields`: further
    ones. `results`: the path to the list in the answer. `title`, `address`, `snippet`, `date`: the fields of
    a result; of several the first that is not empty counts.
    """

    title: str
    url: str
    method: Literal["GET", "POST"]
    query: str
    count: str
    results: tuple[str, ...]
    snippet: tuple[str, ...]
    date: tuple[str, ...]
    key_header: str = ""
    key_prefix: str = ""
    fields: Mapping[str, object] = {}

    @property
    def needs_key(self) -> bool:
        """Whether it answers nobody without a key."""
        return bool(self.key_header)


SEARCH_PROVIDERS: Mapping[SearchProviderName, SearchProvider] = {
    "brave": SearchProvider(
        title="Brave",
        url="https://api.search.brave.com/res/v1/web/search",
        method="GET",
        query="q",
        count="count",
        results=("web", "results"),
        snippet=("description",),
        date=("page_age", "age"),
        key_header="X-Subscription-Token",
        fields={"text_decorations": "false"},
    ),
    "tavily": SearchProvider(
        title="Tavily",
        url="https://api.tavily.com/search",
        method="POST",
        query="query",
        count="max_results",
        results=("results",),
        snippet=("content",),
        date=("published_date",),
        key_header="Authorization",
        key_prefix="Bearer ",
    ),
    "exa": SearchProvider(
        title="Exa",
        url="https://api.exa.ai/search",
        method="POST",
        query="query",
        count="numResults",
        results=("results",),
        snippet=("summary", "highlights", "text"),
        date=("publishedDate",),
        key_header="x-api-key",
        fields={"contents": {"highlights": True}},
    ),
    "searxng": SearchProvider(
        title="SearXNG",
        url="",
        method="GET",
        query="q",
        count="",
        results=("results",),
        snippet=("content",),
        date=("publishedDate",),
        fields={"format": "json"},
    ),
}


def read_results(provider: SearchProvider, content: bytes, most: int) -> list[SearchResult]:
    """Return at most `most` results out of an answer; those without an address are passed over.

    Raises:
        ValueError: it is no JSON, or has no list of results where the provider has it.
    """
    found = msgspec.json.decode(content)
    for step in provider.results:
        if not isinstance(found, dict):
            raise ValueError("the answer is no object")
        # Brave leaves out the whole group where it found nothing.
        found = found.get(step, {} if step != provider.results[-1] else [])
    if not isinstance(found, list):
        raise ValueError("the results are no list")
    results: list[SearchResult] = []
    for each in found:
        if not isinstance(each, dict) or not as_line(each.get("url")):
            continue
        results.append(
            SearchResult(
                title=as_line(each.get("title")),
                url=as_line(each["url"]),
                snippet=_first(each, provider.snippet),
                date=_first(each, provider.date),
            )
        )
        if len(results) == most:
            break
    return results


def _first(result: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := as_line(result.get(name)))), "")


def as_line(value: object) -> str:
    """Return a field as one line, some providers escape it as in HTML; a list of texts joined."""
    if isinstance(value, list):
        value = " … ".join(each for each in value if isinstance(each, str))
    if not isinstance(value, str):
        return ""
    # It loads the names of all characters; most servers search nothing.
    import html

    line = " ".join(html.unescape(value).split())
    return line if len(line) <= _SNIPPET_CHARACTERS else line[:_SNIPPET_CHARACTERS].rstrip() + "…"
