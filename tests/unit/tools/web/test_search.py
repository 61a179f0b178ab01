"""web_search asks the search engine of the settings, in its own format, and lists what it found."""

import random
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from nanobot.agent.toolset import Toolset
from nanobot.app.tools import search_access
from nanobot.config import WebTable
from nanobot.core.errors import ConfigError
from nanobot.core.message import ToolCall, ToolResult
from nanobot.tools.web.providers import SEARCH_PROVIDERS, SearchProviderName, read_results
from nanobot.tools.web.search import SearchAccess, SearchApi, web_search
from nanobot.tools.web.turns import WebTurns
from tests.upstream import CUT, Asked, Reply, Upstream

KEY = "key-7c41"
FOUND = (
    "1. Kumquats & more (2026-01-02)\nhttps://a.example/\nThey grow.\n\n"
    "2. https://b.example/\nhttps://b.example/"
)
ANSWERS: Mapping[SearchProviderName, object] = {
    "brave": {
        "type": "search",
        "web": {
            "results": [
                {
                    "title": "Kumquats &amp; more",
                    "url": "https://a.example/",
                    "description": "They\ngrow.",
                    "page_age": "2026-01-02",
                },
                {"title": "", "url": "https://b.example/"},
            ]
        },
    },
    "tavily": {
        "query": "kumquats",
        "results": [
            {
                "title": "Kumquats & more",
                "url": "https://a.example/",
                "content": "They grow.",
                "score": 0.9,
                "published_date": "2026-01-02",
            },
            {"title": None, "url": "https://b.example/", "content": None},
        ],
    },
    "exa": {
        "requestId": "1",
        "results": [
            {
                "title": "Kumquats & more",
                "url": "https://a.example/",
                "highlights": ["They grow."],
                "publishedDate": "2026-01-02",
            },
            {"url": "https://b.example/", "highlights": []},
        ],
    },
    "searxng": {
        "query": "kumquats",
        "results": [
            {
                "title": "Kumquats & more",
                "url": "https://a.example/",
                "content": "They grow.",
                "publishedDate": "2026-01-02",
                "engines": ["x"],
            },
            {"url": "https://b.example/", "content": ""},
            {"url": "https://c.example/", "title": "beyond the count"},
        ],
    },
}


def json_reply(answer: object, status: int = 200) -> Reply:
    return Reply((msgspec.json.encode(answer),), status, framing="length")


async def search(upstream: Upstream, name: SearchProviderName, **arguments: object) -> ToolResult:
    access = SearchAccess(SEARCH_PROVIDERS[name], upstream.url.removesuffix("/v1") + "/search", KEY)
    tools = Toolset([web_search(SearchApi(access), WebTurns(), random.Random(1))])
    written = msgspec.json.encode({"query": "kumquats & figs", "count": 2, **arguments}).decode()
    return await tools.run(ToolCall("1", "web_search", written), turn_id="t", session_key="ann")


def asked_for(asked: Asked) -> dict[str, object]:
    """Return the fields of a question, wherever they stand in it."""
    query: dict[str, object] = dict(parse_qsl(urlsplit(asked.path).query))
    return {**query, **(asked.json if asked.body else {})}


@pytest.mark.parametrize(
    ("name", "fields", "header", "value"),
    [
        ("brave", {"q": "kumquats & figs", "count": "2"}, "x-subscription-token", KEY),
        ("tavily", {"query": "kumquats & figs", "max_results": 2}, "authorization", f"Bearer {KEY}"),
        ("exa", {"query": "kumquats & figs", "numResults": 2}, "x-api-key", KEY),
        ("searxng", {"q": "kumquats & figs", "format": "json"}, "accept", "application/json"),
    ],
)
async def test_each_engine_is_asked_and_read_in_its_format(
    name: SearchProviderName, fields: dict[str, object], header: str, value: str
) -> None:
    async with Upstream() as upstream:
        upstream.then(json_reply(ANSWERS[name]))
        result = await search(upstream, name)
        (asked,) = upstream.requests
        assert fields.items() <= asked_for(asked).items()
        assert asked.headers[header] == value and "cookie" not in asked.headers
        assert KEY not in asked.path
        match = re.fullmatch(r"<untrusted (\w+)>\n(.*)\n</untrusted \1>", result.content, re.DOTALL)
        assert match is not None and match[2] == FOUND


@pytest.mark.parametrize("name", SEARCH_PROVIDERS)
async def test_nothing_found_is_said(name: SearchProviderName) -> None:
    answer: dict[str, object] = {"type": "search"} if name == "brave" else {"results": []}
    async with Upstream() as upstream:
        upstream.then(json_reply(answer))
        result = await search(upstream, name)
        assert not result.is_error and "Nothing was found" in result.content


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (json_reply({"error": KEY}, 401), "does not accept the key"),
        (json_reply({}, 402), "wants to be paid"),
        (json_reply({}, 403), "the format json"),
        (json_reply({}, 429), "asked too often"),
        (json_reply({}, 599), "answered 599"),
        (Reply((b"",), 302, headers={"Location": "http://127.0.0.1:9/"}, framing="length"), "answered 302"),
        (Reply((b"<html>",), framing="length"), "no list of results"),
        (json_reply([1]), "no list of results"),
        (json_reply({"web": {"results": 3}}), "no list of results"),
        (Reply((b"[" * 100_000,), framing="length"), "no list of results"),
        (Reply((b" " * (3 * 1024 * 1024),)), "more than 2097152 bytes"),
        (Reply((CUT,), before=(CUT,)), "could not be reached"),
    ],
)
async def test_a_failure_is_told_in_words_without_the_key(reply: Reply, words: str) -> None:
    async with Upstream(lambda _: reply) as upstream:
        result = await search(upstream, "brave")
        assert result.is_error and words in result.content
        assert KEY not in result.content and "Brave" in result.content
        # aiohttp repeats a GET on a connection that broke before the answer; a redirect is not followed.
        assert {asked.path.partition("?")[0] for asked in upstream.requests} == {"/search"}


def test_results_are_bounded_lines() -> None:
    result = {"url": "https://a.example/", "title": "a\n\nb", "content": "word " * 500, "publishedDate": 3}
    answer = msgspec.json.encode({"results": [3, {"title": "no address"}, result]})
    (read,) = read_results(SEARCH_PROVIDERS["searxng"], answer, 5)
    assert read.title == "a b" and len(read.snippet) <= 501 and read.date == ""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (WebTable(search="brave"), "NANOBOT_WEB_SEARCH_KEY"),
        (WebTable(search="searxng"), "web.search_url"),
        (WebTable(search="searxng", search_url="search.example.org"), "web.search_url"),
        (WebTable(search="searxng", search_url="http://ann:pw@search.example.org/"), "without a user"),
        (WebTable(search="exa", search_key=f"{KEY}\r\nx: y"), "web.search_key"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_without_the_key(table: WebTable, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        search_access(table, {})
    assert KEY not in str(refused.value)


def test_a_proxy_of_the_environment_is_used() -> None:
    table = WebTable(search="tavily", search_key=KEY)
    access = search_access(table, {"HTTPS_PROXY": "http://proxy.lan:3128"})
    assert access is not None and access.proxy == "http://proxy.lan:3128"
    assert search_access(table, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "tavily.com"}) == SearchAccess(
        SEARCH_PROVIDERS["tavily"], "https://api.tavily.com/search", KEY
    )
    assert search_access(WebTable(), {}) is None
