"""Asking: every request goes through here, and every answer is looked at, whoever asked, and whether it was
meant as an attack or not.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote, unquote

import aiohttp
import msgspec
from yarl import URL

from nanobot.isolation.canaries import Canaries, Canary, tenant_of

Kind = Literal["secret", "not refused", "told apart", "harmed", "usage", "not planted", "broke"]
_LONGEST_S = 60.0
_SLACK_S = 1.0
_PASSING = frozenset({"date"})
"""Headers that say nothing of what was asked for."""


class AuditCaller(msgspec.Struct, frozen=True):
    """Who asks. `owner`: whose secrets it may see, None: nobody's."""

    name: str
    token: str | None
    owner: int | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `route`: the operation that it is for. `target`: path and query, as they are sent.

    `names`: how it says what it is about: by a session key, by an id, or not at all. `is_shared`: what is
    answered is the same for everybody, so that no secret may be in it, not even the asker's own.
    """

    route: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    names: Literal["key", "id", "nothing"] = "nothing"
    is_shared: bool = False
    longest_s: float = _LONGEST_S

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def sent(self) -> str:
        """All that the asker says itself: what comes back of it tells nothing new."""
        return "\n".join((unquote(self.target), *self.headers.values(), self.body.decode(errors="replace")))


class Reply(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> object:
        return json.loads(self.text)

    def field(self, name: str) -> str:
        """Return a text of the object that the body is; empty where there is none."""
        try:
            found = self.json
        except ValueError:
            return ""
        value = found.get(name) if isinstance(found, dict) else None
        return value if isinstance(value, str) else ""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """Something came to where it does not belong. `owner` -1: nobody's in particular."""

    kind: Kind
    where: str
    asker: str
    owner: int = -1
    channel: str = ""
    detail: str = ""


class AuditClient:
    """The one who sends requests, and looks at all that comes back."""

    def __init__(
        self, client: aiohttp.ClientSession, origin: str, canaries: Canaries, patience_s: float
    ) -> None:
        self._client = client
        self._origin = origin
        self._canaries = canaries
        self._patience_s = patience_s
        self.asked: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.compared: Counter[str] = Counter()
        self.broken = 0
        self.leaks: list[Leak] = []

    async def ask(
        self, caller: AuditCaller, attempt: Attempt, begun: "asyncio.Future[str] | None" = None
    ) -> Reply:
        """Return the answer, looked at. `begun` gets the id of the turn as soon as the answer begins."""
        headers = dict(attempt.headers)
        if caller.token is not None:
            headers["authorization"] = f"Bearer {caller.token}"
        try:
            async with asyncio.timeout(attempt.longest_s + _SLACK_S):
                return await self._ask(caller, attempt, headers, begun)
        except TimeoutError:
            self.asked[attempt.route] += 1
            return Reply(0, {}, "no answer")
        except aiohttp.ClientError:
            self.broken += 1
            if begun is not None and not begun.done():
                begun.set_result("")
            return Reply(0, {}, "")

    async def _ask(
        self,
        caller: AuditCaller,
        attempt: Attempt,
        headers: dict[str, str],
        begun: "asyncio.Future[str] | None",
    ) -> Reply:
        body = bytearray()
        url = URL(self._origin + attempt.target, encoded=True)
        async with self._client.request(
            attempt.method, url, headers=headers, data=attempt.body or None
        ) as response:
            if begun is not None and not begun.done():
                begun.set_result(response.headers.get("x-turn-id", ""))
            try:
                async with asyncio.timeout(attempt.longest_s):
                    async for piece in response.content.iter_any():
                        body += piece
            except TimeoutError:
                # a stream that goes on: what came of it so far counts
                pass
            finally:
                reply = Reply(response.status, dict(response.headers), body.decode(errors="replace"))
                self.asked[attempt.route] += 1
                self.answers[reply.status] += 1
                if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    self.report(
                        "broke",
                        attempt.route,
                        caller.name,
                        detail=f"{attempt.target}: {reply.status} {reply.text[:300]}",
                    )
                self.look(
                    caller,
                    attempt,
                    "\n".join((*(f"{name}: {value}" for name, value in reply.headers.items()), reply.text)),
                )
        return reply

    def look(self, caller: AuditCaller, attempt: Attempt, text: str) -> None:
        """Report what is in `text` and not for the caller to see."""
        found = self._canaries.find(text)
        if not found:
            return
        said = attempt.sent
        for canary in found:
            if _is_own(canary, caller) and not attempt.is_shared:
                self._canaries.saw(canary)
            elif canary.text not in said:
                self.report("secret", attempt.route, caller.name, canary)

    def report(
        self, kind: Kind, where: str, asker: str, canary: Canary | None = None, detail: str = ""
    ) -> None:
        owner, channel = (canary.owner, canary.channel) if canary is not None else (-1, "")
        self.leaks.append(
            Leak(kind=kind, where=where, asker=asker, owner=owner, channel=channel, detail=detail)
        )

    async def refused(
        self,
        caller: AuditCaller,
        attempt: Attempt,
        *,
        as_if: Attempt | None = None,
        names: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Ask for what is another's; `as_if` asks the same of things that never were, and is to be answered
        alike.

        `names`: what is named in the one, with what stands for it in the other.
        """
        longest_s = min(attempt.longest_s, self._patience_s if attempt.names != "nothing" else _LONGEST_S)
        reply = await self.ask(caller, msgspec.structs.replace(attempt, longest_s=longest_s))
        if attempt.names != "nothing" and reply.status != HTTPStatus.NOT_FOUND:
            detail = f"{attempt.target} was answered with {reply.status}: {reply.text[:200]}"
            self.report("not refused", attempt.route, caller.name, detail=detail)
        if as_if is None:
            return
        # as patient as with the real one: a stream of what never was may not end either
        other = await self.ask(caller, msgspec.structs.replace(as_if, longest_s=longest_s))
        self.compared[attempt.route] += 1
        if attempt.names == "nothing":
            # it asks for the asker's own, which changes meanwhile
            return
        one, two = _likeness(reply), _likeness(other, names)
        if one != two:
            detail = f"{attempt.target} is answered with {one}, {as_if.target}, which never was, with {two}"
            self.report("told apart", attempt.route, caller.name, detail=detail)


def _is_own(canary: Canary, caller: AuditCaller) -> bool:
    """Whether the caller may see it. An API key's name stays what it is when a session begins anew."""
    if canary.channel in ("key", "keyname") and caller.owner is not None:
        return canary.owner == tenant_of(caller.owner)
    return canary.owner == caller.owner


def _likeness(reply: Reply, names: Sequence[tuple[str, str]] = ()) -> tuple[int, tuple[str, ...], str]:
    """Return what of an answer must not depend on whether the things it names are there; with real names for
    the made-up ones.
    """
    headers = tuple(sorted(header.lower() for header in reply.headers if header.lower() not in _PASSING))
    text = reply.text
    for real, made_up in names:
        for write in _WAYS:
            text = text.replace(write(made_up), write(real))
    return reply.status, headers, re.sub(r"req_[0-9a-z]{26}", "«request»", text)


def path_of(name: str) -> str:
    """Return a name as a piece of a path: dots too are written as numbers, else `..` would lead up."""
    return quote(name, safe="").replace(".", "%2E")


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_WAYS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    _in_json,
    lambda name: _in_json(repr(name)[1:-1]),
    path_of,
    lambda name: quote(name, safe=""),
)
"""How a name may be written in an answer."""
