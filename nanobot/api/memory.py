"""/v1/memory: what is remembered, as far as the session of the request reaches it.

Which facts a session reaches depends on its key alone: an API key that may see no group's session reaches no
group's facts.
"""

from functools import partial

import msgspec
from starlette.types import Send

from nanobot.api.settings import ApiSettings
from nanobot.api.wire import memory as wire
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.lists import Page, encode
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BodyTooLarge,
    FactNotFound,
    InvalidRequest,
    MemoryFull,
    NotAllowed,
    SessionNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.memory import Memory
from nanobot.core.origin import Origin
from nanobot.core.scopes import LAYERS, Layer
from nanobot.http.operations import Operation, Parameter
from nanobot.http.query import Query
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.session_key import NEEDED_SESSION_KEY, KeyReader

_MOST_LISTED = 100
_LISTED = 20
_MOST_QUERY_CHARACTERS = 256
_FORMATS = ("json", "markdown")
_read_new = msgspec.json.Decoder(wire.NewFactBody)
_read_change = msgspec.json.Decoder(wire.FactChangeBody)


class MemoryRoutes:
    """The operations on facts, each among those in reach of the request's session."""

    def __init__(
        self,
        memory: Memory,
        clock: Clock,
        randomness: Randomness,
        keys: KeyReader,
        settings: ApiSettings,
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._randomness = randomness
        self._keys = keys
        self._bodies = settings.json_bodies()

    async def list(self, request: Request, send: Send) -> None:
        """GET /v1/memory"""
        key, query = self._key(request), request.query()
        limit = query.whole("limit", default=_LISTED, low=1, high=_MOST_LISTED)
        layer, words, after = _layer(query), query.text("q"), query.text("after")
        if words is None:
            page = await self._memory.facts(key, limit=limit, after=after, layer=layer)
            facts, has_more = page.facts, page.has_more
        else:
            if len(words) > _MOST_QUERY_CHARACTERS:
                raise InvalidRequest(
                    f"q has {len(words)} characters: at most {_MOST_QUERY_CHARACTERS} are allowed", param="q"
                )
            found = await self._memory.search_facts(key, words, limit=_MOST_LISTED)
            found = tuple(fact for fact in found if layer is None or fact.layer == layer)
            facts, has_more = found[:limit], len(found) > limit
        shown = tuple(wire.fact_object(fact) for fact in facts)
        first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
        await answer(send, 200, encode(Page(data=shown, first_id=first, last_id=last, has_more=has_more)))

    async def create(self, request: Request, send: Send) -> None:
        """POST /v1/memory"""
        key = self._key(request)
        body, _ = await self._bodies.read(request, lambda body: decode(body, _read_new))
        fact_id = new_id("mem", self._clock.now(), self._randomness)
        fact = await self._memory.remember(key, wire.new_fact(body, fact_id, _origin(request)))
        await answer(send, 200, encode(wire.fact_object(fact)))

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/memory/{id}"""
        versions = await self._memory.fact_versions(self._key(request), _id(request))
        await answer(send, 200, encode(wire.with_history(versions)))

    async def change(self, request: Request, send: Send) -> None:
        """PATCH /v1/memory/{id}"""
        key = self._key(request)
        body, _ = await self._bodies.read(request, lambda body: decode(body, _read_change))
        fact = await self._memory.change_fact(key, _id(request), wire.change(body, _origin(request)))
        await answer(send, 200, encode(wire.fact_object(fact)))

    async def delete(self, request: Request, send: Send) -> None:
        """DELETE /v1/memory/{id}"""
        fact = await self._memory.forget(self._key(request), _id(request))
        await answer(send, 200, encode(wire.FactDeleted(id=fact.id)))

    async def export(self, request: Request, send: Send) -> None:
        """GET /v1/memory/export"""
        key, query = self._key(request), request.query()
        shape = query.one_of("format", _FORMATS, default="json")
        facts = await self._memory.all_facts(key)
        if shape == "markdown":
            headers = (("content-disposition", 'attachment; filename="memory.md"'),)
            await answer(send, 200, wire.markdown(facts).encode(), headers, b"text/markdown; charset=utf-8")
            return
        headers = (("content-disposition", 'attachment; filename="memory.json"'),)
        await answer(send, 200, wire.export(facts), headers)

    def _key(self, request: Request) -> str:
        return self._keys.read(request.headers, request.caller)


def _id(request: Request) -> str:
    fact_id: str = request.path_params["fact_id"]
    return fact_id


def _origin(request: Request) -> Origin:
    """Return whose word it is that the request brings."""
    return "operator" if request.caller.is_operator else "user"


def _layer(query: Query) -> Layer | None:
    named = query.one_of("layer", LAYERS, default=LAYERS[0]) if "layer" in query else None
    return next((layer for layer in LAYERS if layer == named), None)


_LISTING = (
    NEEDED_SESSION_KEY,
    Parameter(
        "limit",
        "query",
        "how many at most",
        {"type": "integer", "minimum": 1, "maximum": _MOST_LISTED, "default": _LISTED},
    ),
    Parameter("after", "query", "the id of the last fact of the page before; not with q"),
    Parameter("layer", "query", "only facts of this layer", {"enum": list(LAYERS)}),
    Parameter(
        "q",
        "query",
        "facts that have most in common with these words, the best first",
        {"type": "string", "maxLength": _MOST_QUERY_CHARACTERS},
    ),
)
_EXPORTING = (
    NEEDED_SESSION_KEY,
    Parameter(
        "format",
        "query",
        "JSON with all versions, or Markdown to read",
        {"enum": list(_FORMATS), "default": "json"},
    ),
)


def operations(
    memory: Memory, clock: Clock, randomness: Randomness, keys: KeyReader, settings: ApiSettings
) -> tuple[Operation, ...]:
    """Return the operations on facts."""
    routes = MemoryRoutes(memory, clock, randomness, keys, settings)
    reading = partial(Operation, tag="Memory", right="sessions:read", parameters=(NEEDED_SESSION_KEY,))
    writing = partial(Operation, tag="Memory", right="sessions:write", parameters=(NEEDED_SESSION_KEY,))
    one = "/v1/memory/{fact_id}"
    missing = (SessionNotFound, FactNotFound)
    return (
        reading(
            method="GET",
            path="/v1/memory",
            run=routes.list,
            summary="What is remembered, or a search in it",
            parameters=_LISTING,
            answers={200: Page[wire.FactObject]},
            errors=missing,
            links={"fact_id": "$response.body#/last_id"},
        ),
        writing(
            method="POST",
            path="/v1/memory",
            run=routes.create,
            summary="Remember a fact",
            body=wire.NewFactBody,
            answers={200: wire.FactObject},
            errors=(*missing, NotAllowed, MemoryFull, BodyTooLarge),
            links={"fact_id": "$response.body#/id"},
        ),
        reading(
            method="GET",
            path="/v1/memory/export",
            run=routes.export,
            summary="All that is remembered, as JSON or Markdown",
            parameters=_EXPORTING,
            answers={200: bytes},
            errors=missing,
        ),
        reading(
            method="GET",
            path=one,
            run=routes.show,
            summary="A fact with its history",
            answers={200: wire.FactWithHistory},
            errors=missing,
        ),
        writing(
            method="PATCH",
            path=one,
            run=routes.change,
            summary="Correct, pin or publish a fact",
            body=wire.FactChangeBody,
            answers={200: wire.FactObject},
            errors=(*missing, NotAllowed, BodyTooLarge),
        ),
        writing(
            method="DELETE",
            path=one,
            run=routes.delete,
            summary="Forget a fact for good",
            answers={200: wire.FactDeleted},
            errors=(*missing, NotAllowed),
        ),
    )
