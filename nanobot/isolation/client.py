"""The client that sends every request of the audit, and searches every answer for other owners' secrets."""

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

LeakKind = Literal[
    "secret", "not refused", "distinguishable", "damaged", "usage", "cache", "not seeded", "server error"
]
_TIMEOUT_S = 60.0
_CONNECT_S = 1.0
_VOLATILE_HEADERS = frozenset({"date"})
"""Headers whose value or presence does not depend on the request."""


class Requester(msgspec.Struct, frozen=True):
    """Who sends a request. `owner`: whose secrets it may see; None: no one's."""

    name: str
    token: str | None
    owner: int | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `route`: the operation that it is for. `target`: path and query, as they are sent.

    `refers_by`: how it names what it asks for. `is_shared`: the answer is the same for everybody, so that no
    secret may be in it, not even the requester's own.
    """

    route: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    refers_by: Literal["key", "id", "nothing"] = "nothing"
    is_shared: bool = False
    timeout_s: float = _TIMEOUT_S

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def text(self) -> str:
        """All that the requester says itself: an echo of it in the answer is no leak."""
        return "\n".join((unquote(self.target), *self.headers.values(), self.body.decode(errors="replace")))


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer. Status 0: none came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> object:
        return json.loads(self.text)

    def field(self, name: str) -> str:
        """Return a string field of the JSON object that the body is, or an empty string."""
        try:
            body = self.json
        except ValueError:
            return ""
        value = body.get(name) if isinstance(body, dict) else None
        return value if isinstance(value, str) else ""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """Something that reached someone it does not belong to. `owner` -1: no one in particular."""

    kind: LeakKind
    where: str
    requester: str
    owner: int = -1
    channel: str = ""
    detail: str = ""


def http_session() -> aiohttp.ClientSession:
    """Return a session for an `InspectingClient`, in which attempts alone say how long they may take: aiohttp
    would end a turn after five minutes that is kept running while others attack it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


class InspectingClient:
    """Sends requests and inspects every answer, whether the request was meant as an attack or not.

    `requests`, `compared`: counts by route. `statuses`: counts by HTTP status. `unanswered`: requests whose
    connection broke.
    """

    def __init__(
        self, http: aiohttp.ClientSession, origin: str, canaries: Canaries, refusal_timeout_s: float
    ) -> None:
        """`refusal_timeout_s`: how long a refusal may take; a later one does not count as one."""
        self._http = http
        self._origin = origin
        self._canaries = canaries
        self._refusal_timeout_s = refusal_timeout_s
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.compared: Counter[str] = Counter()
        self.unanswered = 0
        self.leaks: list[Leak] = []

    async def send(
        self, requester: Requester, attempt: Attempt, started: "asyncio.Future[str] | None" = None
    ) -> Reply:
        """Return the inspected answer. `started` gets the id of the turn as soon as the answer begins."""
        headers = dict(attempt.headers)
        if requester.token is not None:
            headers["authorization"] = f"Bearer {requester.token}"
        try:
            async with asyncio.timeout(attempt.timeout_s + _CONNECT_S):
                return await self._send(requester, attempt, headers, started)
        except TimeoutError:
            self.requests[attempt.route] += 1
            return Reply(0, {}, "no answer")
        except aiohttp.ClientError:
            self.unanswered += 1
            if started is not None and not started.done():
                started.set_result("")
            return Reply(0, {}, "")

    async def _send(
        self,
        requester: Requester,
        attempt: Attempt,
        headers: dict[str, str],
        started: "asyncio.Future[str] | None",
    ) -> Reply:
        body = bytearray()
        url = URL(self._origin + attempt.target, encoded=True)
        async with self._http.request(
            attempt.method, url, headers=headers, data=attempt.body or None
        ) as response:
            if started is not None and not started.done():
                started.set_result(response.headers.get("x-turn-id", ""))
            try:
                async with asyncio.timeout(attempt.timeout_s):
                    async for chunk in response.content.iter_any():
                        body += chunk
            except TimeoutError:
                # A stream may go on for longer; what has come of it is inspected below.
                pass
            finally:
                reply = Reply(response.status, dict(response.headers), body.decode(errors="replace"))
                self._inspect(requester, attempt, reply)
        return reply

    def _inspect(self, requester: Requester, attempt: Attempt, reply: Reply) -> None:
        """Count the answer, and report what is wrong with it."""
        self.requests[attempt.route] += 1
        self.statuses[reply.status] += 1
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = f"{attempt.target}: {reply.status} {reply.text[:300]}"
            self.report("server error", attempt.route, requester.name, detail=detail)
        head = (f"{name}: {value}" for name, value in reply.headers.items())
        for canary in self._canaries.find("\n".join((*head, reply.text))):
            if _may_see(requester, canary) and not attempt.is_shared:
                self._canaries.mark_seen(canary)
            elif canary.text not in attempt.text:
                self.report("secret", attempt.route, requester.name, canary)

    def report(
        self, kind: LeakKind, where: str, requester: str, canary: Canary | None = None, detail: str = ""
    ) -> None:
        owner, channel = (canary.owner, canary.channel) if canary is not None else (-1, "")
        self.leaks.append(
            Leak(kind=kind, where=where, requester=requester, owner=owner, channel=channel, detail=detail)
        )

    async def expect_refusal(
        self,
        requester: Requester,
        attempt: Attempt,
        *,
        fictitious: Attempt | None = None,
        names: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Ask for what belongs to another owner, and report any answer but 404.

        `fictitious` asks the same of things that never existed: its answer must be indistinguishable.
        `names`: each real name with the fictitious one that stands in its place.
        """
        by_name = attempt.refers_by != "nothing"
        timeout_s = min(attempt.timeout_s, self._refusal_timeout_s if by_name else _TIMEOUT_S)
        reply = await self._answer(requester, attempt, timeout_s)
        if by_name and reply.status != HTTPStatus.NOT_FOUND:
            detail = f"{attempt.target} was answered with {reply.status}: {reply.text[:200]}"
            self.report("not refused", attempt.route, requester.name, detail=detail)
        if fictitious is None:
            return
        # The same timeout as before: a stream of things that never existed may not end either.
        other = await self._answer(requester, fictitious, timeout_s)
        self.compared[attempt.route] += 1
        # Without a name it asks for the requester's own things, which may change between the two requests.
        if not by_name:
            return
        one, two = _comparable(reply), _comparable(other, names)
        if one != two:
            detail = (
                f"{attempt.target} is answered with {one}, "
                f"{fictitious.target}, which never existed, with {two}"
            )
            self.report("distinguishable", attempt.route, requester.name, detail=detail)

    async def _answer(self, requester: Requester, attempt: Attempt, timeout_s: float) -> Reply:
        """Return the answer. Where none came it is asked for once more: a machine that stood still for a
        while says nothing of anybody, and who waits for something of another's waits again.
        """
        attempt = msgspec.structs.replace(attempt, timeout_s=timeout_s)
        reply = await self.send(requester, attempt)
        return reply if reply.status else await self.send(requester, attempt)


def _may_see(requester: Requester, canary: Canary) -> bool:
    # An API key and its name outlive the deletion of a session.
    if canary.channel in ("key", "keyname") and requester.owner is not None:
        return canary.owner == tenant_of(requester.owner)
    return canary.owner == requester.owner


def _comparable(reply: Reply, names: Sequence[tuple[str, str]] = ()) -> tuple[int, tuple[str, ...], str]:
    """Return status, header names and text: what must not depend on whether the named things exist.

    Fictitious names in the text are replaced by the real ones.
    """
    headers = tuple(
        sorted(header.lower() for header in reply.headers if header.lower() not in _VOLATILE_HEADERS)
    )
    text = reply.text
    for real, fictitious in names:
        for encode in _ENCODINGS:
            text = text.replace(encode(fictitious), encode(real))
    return reply.status, headers, re.sub(r"req_[0-9a-z]{26}", "«request»", text)


def path_of(name: str) -> str:
    """Return a name as one segment of a path. Dots are escaped as well: `..` would lead up."""
    return quote(name, safe="").replace(".", "%2E")


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_ENCODINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    _in_json,
    lambda name: _in_json(repr(name)[1:-1]),
    path_of,
    lambda name: quote(name, safe=""),
)
"""The ways in which an answer may write a name."""
