"""web_fetch shows what is at a URL as text, marked as a stranger's."""

import random
import re
from collections.abc import AsyncIterator

import msgspec
import pytest

from nanobot.agent.toolset import Toolset
from nanobot.core.message import ToolCall, ToolResult
from nanobot.reading.documents import DocumentReader
from nanobot.tools.web.fetch import web_fetch
from nanobot.tools.web.turns import WebTurns
from nanobot.workers.pool import WorkerPool
from tests import files
from tests.unit.reading.test_fetch import Names, at, fetcher, page, redirect
from tests.upstream import Upstream

PAGE = b"""<html><head><title>Fruit</title><base href="/docs/"></head><body>
<nav><a href="/home">Home</a></nav>
<main><h1>Kumquats</h1><p>See <a href="grow?a=1#top">how they grow</a> or
<a href="javascript:steal()">this</a>.</p></main>
<footer>Imprint</footer></body></html>"""
_MARKED = re.compile(r"<untrusted (\w{24})>\n(.*)\n</untrusted \1>(.*)", re.DOTALL)


class Desk:
    """The tool, on a web that is on this machine."""

    def __init__(self, upstream: Upstream, workers: WorkerPool) -> None:
        reads = DocumentReader(workers)
        names = Names(web_example=["127.0.0.1"], inner_example=["10.0.0.1"])
        tool = web_fetch(fetcher(upstream, names), reads, WebTurns(), random.Random(1))
        self._tools = Toolset([tool])

    async def fetch(self, url: str, start: str | None = None, *, tokens: int = 4_000) -> ToolResult:
        arguments = msgspec.json.encode({"url": url, "from": start}).decode()
        return await self._tools.run(
            ToolCall("1", "web_fetch", arguments), turn_id="t", session_key="ann", result_tokens=tokens
        )


@pytest.fixture
async def workers() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool()
    yield pool
    await pool.close()


def inside(result: ToolResult) -> tuple[str, str]:
    """Return what stands between the marks, and what after them."""
    assert not result.is_error, result.content
    match = _MARKED.fullmatch(result.content)
    assert match is not None, result.content
    return match[2], match[3]


async def test_a_page_is_shown_as_markdown_its_main_text_first(workers: WorkerPool) -> None:
    async with Upstream() as upstream:
        upstream.then(page(PAGE, "text/html"))
        url = at(upstream)
        text, rest = inside(await Desk(upstream, workers).fetch(url))
        origin = url.removesuffix("/page")
        assert text.split("\n\n") == [
            url,
            "Fruit",
            "# Kumquats",
            f"See [how they grow]({origin}/docs/grow?a=1#top) or this.\n[Home]({origin}/home)\nImprint",
        ]
        assert rest == ""


async def test_a_document_is_read_like_a_file(workers: WorkerPool) -> None:
    async with Upstream() as upstream:
        upstream.then(page(files.pdf("kumquat"), "application/pdf"))
        text, _ = inside(await Desk(upstream, workers).fetch(at(upstream)))
        assert "[page 1]\nkumquat" in text


async def test_a_long_page_goes_on_where_its_result_says(workers: WorkerPool) -> None:
    lines = [f"line {number} says so" for number in range(1, 401)]
    async with Upstream(lambda _: page("\n".join(lines).encode())) as upstream:
        desk = Desk(upstream, workers)
        start, shown = None, []
        while True:
            text, rest = inside(await desk.fetch(at(upstream), start, tokens=1_000))
            shown += text.splitlines()[2:]
            where = re.search(r'from "([^"]+)"', rest)
            if where is None:
                break
            start = where[1]
        assert [line for line in shown if line] == lines
        assert len(upstream.requests) > 2
        past = await desk.fetch(at(upstream), "line 9000")
        assert past.is_error and "line 9000" in past.content
        odd = await desk.fetch(at(upstream), "the end")
        assert odd.is_error and "'the end' is no place" in odd.content


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8900/v1/sessions",
        "http://inner.example/",
        "file:///etc/passwd",
        "http://a:b@web.example/",
    ],
)
async def test_what_is_not_on_the_public_web_is_an_error_that_says_so(workers: WorkerPool, url: str) -> None:
    async with Upstream() as upstream:
        upstream.then(redirect(url))
        desk = Desk(upstream, workers)
        for result in (await desk.fetch(url), await desk.fetch(at(upstream))):
            assert result.is_error and result.content.startswith("Error: ")
        assert len(upstream.requests) == 1


async def test_an_image_or_nothing_is_an_error(workers: WorkerPool) -> None:
    async with Upstream() as upstream:
        upstream.then(page(files.PNG, "image/png"), page(b"", "text/html"), page(b"\0\1\2" * 50, "x/y"))
        desk = Desk(upstream, workers)
        for _ in range(3):
            assert (await desk.fetch(at(upstream))).is_error
