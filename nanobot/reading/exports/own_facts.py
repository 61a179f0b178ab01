"""What `nanobot memory export` and `GET /v1/memory/export` write: facts as JSON, each with its history."""

import re

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.reading.exports.found import ExportContent, FoundFact, day, moment

FORMAT = "nanobot.memory"
_VERSION = 1
_BEGINS = re.compile(rb'\s*\{\s*"format"\s*:\s*"nanobot\.memory"')
OF_CHAT = "facts of a single chat"
OF_CHAT_HEADING = "In this conversation"
_LINE = re.compile(r"^\s*- (?P<text>.+) \*\((?P<day>\d{4}-\d\d-\d\d), [a-z, ]{1,60}; mem_\w+\)\*\s*$")
_ESCAPED = re.compile(r"\\([\\`*_\[\]<>#|])")


class _Fact(msgspec.Struct):
    text: str
    layer: str
    valid_from: float
    subject: str | None = None


class _Facts(msgspec.Struct):
    format: str
    version: int
    facts: list[_Fact]


def is_one(content: bytes) -> bool:
    """Return whether a file begins as such an export does."""
    return _BEGINS.match(content) is not None


def read(content: bytes, name: str, now: float) -> ExportContent:
    """Return the facts as they stood, with their times; a history is not taken.

    Raises:
        InvalidRequest: it is damaged, or of a later version.
    """
    try:
        written = msgspec.json.decode(content, type=_Facts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"{name} is a damaged export of memory ({error}); nothing was imported"
        ) from error
    if written.version != _VERSION:
        raise InvalidRequest(
            f"{name} has version {written.version} of {FORMAT}: this nanobot reads version {_VERSION};"
            " nothing was imported"
        )
    found = ExportContent.nothing("nanobot")
    for fact in written.facts:
        if fact.layer == "session":
            found.left_out[OF_CHAT] += 1
        else:
            at = moment(fact.valid_from) or now
            found.facts.append(FoundFact(fact.text, min(at, now), fact.subject or ""))
    return found


def of_line(line: str) -> FoundFact | None:
    """Return the fact of a line of such an export as Markdown; None where the line is another."""
    found = _LINE.match(line)
    at = day(found["day"]) if found is not None else None
    if found is None or at is None:
        return None
    return FoundFact(_ESCAPED.sub(r"\1", found["text"]), at)
