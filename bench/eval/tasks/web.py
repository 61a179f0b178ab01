"""A web site on this machine."""

import re

from bench.eval.papers import pdf
from bench.eval.site import Page
from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.crashes import SITE
from bench.eval.world import World

TASKS = Tasks("web")
_KEY = "wx:dm:ann"


def _shop(world: World) -> None:
    site = world.site
    site.html("/", '<h1>Kites</h1><p><a href="/kinds">All kinds</a> <a href="/about">About us</a></p>')
    site.html("/kinds", '<p><a href="/kinds/box">Box kites</a> <a href="/kinds/delta">Delta kites</a></p>')
    site.html("/kinds/box", '<p>The <a href="/item/77">Cody</a>, for strong wind.</p>')
    site.html("/kinds/delta", "<p>Sold out.</p>")
    site.html("/item/77", "<h1>Cody</h1><p>Price: 148 EUR. Span: 2.4 m.</p>")


def _follow(talk: Talk) -> Reply:
    if not talk.results:
        return call("web_fetch", url=_url(talk.question))
    if found := re.search(r"Price: (\d+) EUR", talk.last):
        return f"It costs {found[1]} EUR."
    links = re.findall(r"\]\((http\S+?)\)", talk.last)
    wanted = [link for link in links if re.search(r"/(kinds|box|item)[^/]*$|/item/", link)]
    return call("web_fetch", url=(wanted or links)[0]) if links else "I did not find it."


def _url(text: str) -> str:
    found = re.search(r"http://[^\s,?]+", text)
    return found[0].rstrip(".") if found else ""


@TASKS.add("follow links", "finds a price four pages deep", _follow, prepare=_shop, settings=SITE)
def _follow_links(world: World) -> None:
    said = world.ask(_KEY, f"What does the box kite for strong wind cost at {world.site.url}/ ?").text
    check("148" in said, f"the answer has not 148: {said[:200]}")
    check("/item/77" in world.site.visited, "the page of the kite was never read")


_SEARCH = SITE + 'search = "searxng"\nsearch_url = "http://$site/search"\n'


def _findable(world: World) -> None:
    world.site.html("/ferry", "<p>The last ferry to Lokrum leaves at 19:05.</p>")
    world.site.html("/old", "<p>The ferries of 1998.</p>")
    world.site.found = [
        {"title": "Ferries of old", "url": f"{world.site.url}/old", "content": "A history"},
        {"title": "Ferry to Lokrum", "url": f"{world.site.url}/ferry", "content": "Timetable of 2026"},
    ]


def _search(talk: Talk) -> Reply:
    if not talk.results:
        return call("web_search", query="last ferry to Lokrum")
    if talk.results[-1].name == "web_search":
        urls = re.findall(r"http://\S+", talk.last[talk.last.find("Ferry to Lokrum") :])
        return call("web_fetch", url=urls[0])
    found = re.search(r"leaves at ([\d:]+)", talk.last)
    return f"At {found[1]}." if found else "I did not find it."


@TASKS.add(
    "search, then read",
    "asks a search engine, picks the right result, reads it",
    _search,
    prepare=_findable,
    settings=_SEARCH,
)
def _search_and_read(world: World) -> None:
    said = world.ask(_KEY, "Search the web: when does the last ferry to Lokrum leave?").text
    check("19:05" in said, f"the answer has not 19:05: {said[:200]}")
    check(any(path.startswith("/search?") for path in world.site.visited), "nothing was searched for")
    check("/ferry" in world.site.visited, "the page was not read")


def _report(world: World) -> None:
    lines = ["Annual report", "The turnover was 5,310,000 EUR."]
    world.site.pages["/report.pdf"] = Page(pdf([["Cover"], lines]), "application/pdf")


def _read_pdf(talk: Talk) -> Reply:
    if not talk.results:
        return call("web_fetch", url=_url(talk.question))
    found = re.search(r"turnover was ([\d,]+)", talk.last)
    return f"It was {found[1]} EUR." if found else "I did not find it."


@TASKS.add("a PDF of the web", "reads a PDF behind an address", _read_pdf, prepare=_report, settings=SITE)
def _a_pdf(world: World) -> None:
    said = world.ask(_KEY, f"What was the turnover, by {world.site.url}/report.pdf?").text
    check("5310000" in re.sub(r"[., ]", "", said) or "5.31" in said, f"the answer is {said[:200]}")


def _broken(world: World) -> None:
    site = world.site
    site.html(
        "/", '<p><a href="/tide">Tides</a>. Does it not answer? <a href="/mirror">The mirror</a> does.</p>'
    )
    site.html("/tide", "<p>Out of order.</p>", status=503)
    site.html("/mirror", "<p>High water is at 16:42.</p>")


def _recover(talk: Talk) -> Reply:
    tried = [result.arguments["url"] for result in talk.results]
    if found := re.search(r"High water is at ([\d:]+)", talk.last):
        return f"At {found[1]}."
    base = _url(talk.question).rstrip("/")
    wanted = [base + path for path in ("/", "/tide", "/mirror") if base + path not in tried]
    return call("web_fetch", url=wanted[0]) if wanted else "I did not find it."


@TASKS.add(
    "a page that fails",
    "goes on with the mirror where a page answers 503",
    _recover,
    prepare=_broken,
    settings=SITE,
)
def _a_failing_page(world: World) -> None:
    said = world.ask(_KEY, f"When is high water? See the tides at {world.site.url}/").text
    check("16:42" in said, f"the answer has not 16:42: {said[:200]}")
    check({"/tide", "/mirror"} <= set(world.site.visited), f"visited: {world.site.visited}")
