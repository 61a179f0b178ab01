"""DuckDuckGo is asked by a package, which may be there or not, and whose failures are told in words."""

import importlib.util
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from nanobot.agent.toolset import Toolset
from nanobot.app.tools import search_engine
from nanobot.config import WebTable
from nanobot.core.errors import ConfigError
from nanobot.core.message import ToolCall, ToolResult
from nanobot.tools.web.duckduckgo import DuckDuckGo
from nanobot.tools.web.search import web_search
from nanobot.tools.web.turns import WebTurns
from tests.upstream import Reply, Upstream

TABLE = WebTable(search="duckduckgo")
PAGE = """<html><body>
<div class="links_main links_deep result__body"><h2 class="result__title"><a>Kumquats &amp; figs</a></h2>
<a class="result__snippet" href="https://example.org/kumquats">Small and <b>sour</b>.</a></div>
<div class="links_main result__body"><h2><a>An advert</a></h2>
<a class="result__snippet" href="https://duckduckgo.com/y.js?ad=1">Buy kumquats.</a></div>
</body></html>"""


class Failure(Exception):
    """What all errors of the package are."""


class RateLimit(Failure):
    pass


class Slow(Failure):
    pass


def installed(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[..., list[Any]],
    engines: tuple[str, ...] = ("duckduckgo",),
) -> list[dict[str, Any]]:
    """Install a package in the place of ddgs; return what it is asked."""
    asked: list[dict[str, Any]] = []

    class Package:
        def __init__(self, **settings: Any) -> None:
            self.settings = settings

        def text(self, query: str, **more: Any) -> list[Any]:
            asked.append({"query": query, **self.settings, **more})
            return answer()

    errors = {"DDGSException": Failure, "RatelimitException": RateLimit, "TimeoutException": Slow}
    for name, members in (
        ("ddgs", {"DDGS": Package}),
        ("ddgs.engines", {"ENGINES": {"text": dict.fromkeys(engines)}}),
        ("ddgs.exceptions", errors),
    ):
        module = types.ModuleType(name)
        vars(module).update(members)
        module.__spec__ = importlib.util.spec_from_loader(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    return asked


def raising(error: Exception) -> Callable[..., list[Any]]:
    def answer() -> list[Any]:
        raise error

    return answer


async def search(proxy: str | None = None) -> ToolResult:
    tools = Toolset([web_search(DuckDuckGo(proxy), WebTurns(), random.Random(1))])
    call = ToolCall("1", "web_search", '{"query": "kumquats & figs", "count": 2}')
    return await tools.run(call, turn_id="t", session_key="ann")


async def test_what_it_finds_is_listed_between_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"title": "Kumquats", "href": "https://a.example", "body": "Small\n and sour"},
        {"title": "no address"},
        "not a result",
        {"href": "https://b.example"},
        {"href": "https://c.example"},
    ]
    asked = installed(monkeypatch, lambda: found)
    result = await search("http://proxy.lan:3128")
    assert not result.is_error and result.content.startswith("<untrusted ")
    assert "1. Kumquats\nhttps://a.example\nSmall and sour\n\n2. https://b.example" in result.content
    assert "https://c.example" not in result.content
    assert asked == [
        {
            "query": "kumquats & figs",
            "proxy": "http://proxy.lan:3128",
            "timeout": 10,
            "region": "wt-wt",
            "max_results": 2,
            "backend": "duckduckgo",
        }
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Failure("No results found."), "it found none, or answers this server no more for now"),
        (RateLimit("x"), "asked too often"),
        (Slow("https://html.duckduckgo.com/?q=secret"), "did not answer within 10 s"),
        (Failure("ConnectError: secret"), "could not be reached"),
    ],
)
async def test_what_fails_is_said_without_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    installed(monkeypatch, raising(error))
    result = await search()
    assert result.is_error and words in result.content and "secret" not in result.content


async def test_no_other_engine_is_asked_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = installed(monkeypatch, list, engines=("bing",))
    assert "cannot ask DuckDuckGo" in (await search()).content
    assert not asked


def test_it_needs_the_package_and_neither_key_nor_url(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, list)
    engine = search_engine(TABLE, {"HTTPS_PROXY": "http://proxy.lan:3128"})
    assert isinstance(engine, DuckDuckGo) and engine.proxy == "http://proxy.lan:3128"
    with pytest.raises(ConfigError, match="leave out"):
        search_engine(WebTable(search="duckduckgo", search_key="x"), {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"\[duckduckgo\]"):
        search_engine(TABLE, {})


async def test_the_package_itself_reads_such_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ddgs")
    engines = importlib.import_module("ddgs.engines").ENGINES["text"]
    async with Upstream() as upstream:
        monkeypatch.setattr(engines["duckduckgo"], "search_url", f"{upstream.url}/html/")
        upstream.then(Reply((PAGE.encode(),), headers={"content-type": "text/html"}, framing="length"))
        result = await search()
        (asked,) = upstream.requests
    assert "1. Kumquats & figs\nhttps://example.org/kumquats\nSmall and sour." in result.content
    assert "advert" not in result.content and b"kumquats" in asked.body
