"""The tool that reads a page of the web, or a document there."""

import re
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec

from nanobot.core.errors import InvalidRequest, ToolError
from nanobot.core.extent import START, Position, described, wanted
from nanobot.core.ids import Randomness
from nanobot.core.late_pattern import LatePattern
from nanobot.core.tool import Tool, ToolContext
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetched, Fetcher
from nanobot.reading.messages import ExtractedText
from nanobot.tools.web.turns import WebTurns
from nanobot.tools.web.untrusted import MEANING, marked

WEB_FETCH = "web_fetch"
_CHARACTERS_PER_TOKEN = 3
"""Of text in Markdown with links; a little less than it usually is."""
_MOST_CHARACTERS = 40_000
_TIMEOUT_S = 75.0
"""For the wait for its turn, the fetch and the reading, which have limits of their own."""
_PLACE = LatePattern(r"(page|sheet|slide|chapter|part|row|line|character)s?\W{0,3}(\d{1,9})", re.IGNORECASE)
_NUMBER = LatePattern(r"\d{1,9}")
_ACCEPT = "text/html,application/xhtml+xml,text/*;q=0.9,application/pdf;q=0.9,*/*;q=0.8"


class WebFetchArguments(msgspec.Struct, frozen=True):
    url: Annotated[str, msgspec.Meta(description="http or https")]
    start: Annotated[str | None, msgspec.Meta(description="where a long page goes on")] = msgspec.field(
        name="from", default=None
    )


def web_fetch(fetcher: Fetcher, documents: DocumentReader, turns: WebTurns, randomness: Randomness) -> Tool:
    """Return the tool that shows what is at a URL as text: pages as Markdown, documents as `documents` reads
    them.
    """

    async def run(arguments: WebFetchArguments, context: ToolContext) -> str:
        start = _position(arguments.start or "")
        most = min(_MOST_CHARACTERS, context.result_tokens * _CHARACTERS_PER_TOKEN)
        try:
            async with turns.turn(context.account_key):
                fetched = await fetcher.fetch(
                    arguments.url.strip(), accept=_ACCEPT, owner=context.account_key
                )
            read = await documents.read(
                fetched.content,
                name=_name(fetched.url),
                mime=fetched.content_type,
                charset=fetched.charset,
                owner=context.account_key,
                start=start,
                max_characters=most,
                page_url=fetched.url,
            )
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        return _shown(fetched, read, start, randomness)

    return Tool(
        WEB_FETCH,
        f"Read a web page or document (PDF, office, text). {MEANING}",
        WebFetchArguments,
        run,
        timeout_s=_TIMEOUT_S,
        repeatable=True,
        demanding=True,
        brings="web",
        group="web",
    )


def _shown(fetched: Fetched, read: ExtractedText, start: Position, randomness: Randomness) -> str:
    if not read.text.strip():
        place = f" from {wanted(read.extent.unit, start)} on" if start != START else ""
        raise ToolError(f"there is no text{place} at this URL")
    cut = read.extent.cut
    rest = ""
    if cut is not None:
        at, how = described(read.extent, cut), wanted(read.extent.unit, cut)
        rest = f'\n(It goes on at {at}: call {WEB_FETCH} with from "{how}" to read on.)'
    # The address is a stranger's, too, where there was a redirect.
    return marked(f"{fetched.url}\n\n{read.text}", randomness) + rest


def _position(text: str) -> Position:
    """Return the position that the model wrote.

    Raises:
        ToolError: it is none.
    """
    if not text.strip():
        return START
    if number := _NUMBER.fullmatch(text.strip()):
        return Position(line=max(1, int(number[0])))
    named = {unit.lower(): max(1, int(number)) for unit, number in _PLACE.findall(text)}
    if not named:
        raise ToolError(f"{text[:80]!r} is no place in a page: say it as the last result of it does")
    numbers = [number for unit, number in named.items() if unit not in ("row", "line", "character")]
    line = named.get("row", named.get("line", 1))
    return Position(numbers[0] if numbers else 1, line, named.get("character", 1))


def _name(url: str) -> str:
    """Return the name of the file that is at `url`, as far as its path tells."""
    return unquote(urlsplit(url).path).rpartition("/")[2]
