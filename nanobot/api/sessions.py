"""/v1/sessions: the conversations that a caller may see, and what can be done with them.

A session outside the caller's patterns is answered exactly as one that does not exist; lists and searches
leave it out before they count.
"""

from functools import partial

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller, hold_to_patterns
from nanobot.api.models import no_model
from nanobot.api.paging import PAGE_BYTES
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.lists import Page, encode
from nanobot.api.wire.session_lists import (
    BranchObject,
    ForkBody,
    RewindBody,
    SessionChange,
    SessionDeleted,
    SessionObject,
    branch_object,
    hit_object,
    receipt,
    session_object,
)
from nanobot.api.wire.session_message import SessionMessage, parse_message_id, session_message
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadSessionKey,
    BodyTooLarge,
    InvalidRequest,
    MessageNotFound,
    ModelNotFound,
    NotAllowed,
    SessionBusy,
    SessionExists,
    SessionNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.session_keys import RESERVED_PREFIX, parse_key
from nanobot.core.sessions import Direction, SessionFilter
from nanobot.core.store import Store
from nanobot.http.operations import Operation, Parameter
from nanobot.http.query import Query
from nanobot.http.request import Request
from nanobot.http.respond import Headers, answer
from nanobot.submit.request import AGENT, preset_of

_MOST_LISTED = 100
_LISTED = 20
_read_change = msgspec.json.Decoder(SessionChange)
_read_fork = msgspec.json.Decoder(ForkBody)
_read_rewind = msgspec.json.Decoder(RewindBody)


class Sessions:
    """The operations on sessions."""

    def __init__(self, store: Store, clock: Clock, randomness: Randomness, settings: ApiSettings) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._bodies = settings.json_bodies()

    # Reading --------------------------------------------------------------------------------------

    async def list(self, request: Request, send: Send) -> None:
        """GET /v1/sessions"""
        query, caller = request.query(), request.caller
        limit, order, after = _limit(query), _order(query, "desc"), query.text("after")
        if after is not None:
            hold_to_patterns(caller, after)
        matching = SessionFilter(caller.patterns, query.text("prefix") or "")
        words = query.text("q")
        headers: Headers = ()
        if words is not None:
            if not await self._store.index_messages():
                headers = (("x-search", "incomplete"),)
            # One more than the limit, here and below, shows that there is another page.
            hits = await self._store.search(
                words, limit=limit + 1, after=after, order=order, matching=matching
            )
            shown = tuple(hit_object(each) for each in hits)
        else:
            listed = await self._store.sessions(limit=limit + 1, after=after, order=order, matching=matching)
            shown = tuple(session_object(each) for each in listed)
        await answer(send, 200, _page(shown, limit), headers)

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/sessions/{key}"""
        await answer(send, 200, encode(session_object(await self._store.session(path_key(request)))))

    async def messages(self, request: Request, send: Send) -> None:
        """GET /v1/sessions/{key}/messages"""
        key, query = path_key(request), request.query()
        limit, after = _limit(query), query.text("after")
        page = await self._store.message_page(
            key,
            limit=limit,
            max_bytes=PAGE_BYTES,
            after_seq=parse_message_id(after) if after is not None else 0,
            order=_order(query, "asc"),
            tip=branch_of(query),
        )
        shown = tuple(session_message(row) for row in page.rows)
        await answer(send, 200, _encoded(shown, has_more=page.has_more))

    async def branches(self, request: Request, send: Send) -> None:
        """GET /v1/sessions/{key}/branches"""
        key, query = path_key(request), request.query()
        limit, order, after = _limit(query), _order(query, "desc"), query.text("after")
        newest_first = await self._store.branches(key)
        ordered = newest_first if order == "desc" else newest_first[::-1]
        if after is not None:
            tip = parse_message_id(after)
            ordered = tuple(
                each for each in ordered if (each.tip < tip if order == "desc" else each.tip > tip)
            )
        await answer(send, 200, _page(tuple(branch_object(each) for each in ordered[: limit + 1]), limit))

    # Changing -------------------------------------------------------------------------------------

    async def rename(self, request: Request, send: Send) -> None:
        """POST /v1/sessions/{key}"""
        key = path_key(request)
        change, _ = await self._bodies.read(request, lambda body: decode(body, _read_change))
        preset = _preset(change.model, self._settings)
        check_own(key, change.model or None, change.instructions or None, self._settings)
        now = await self._store.session(key)
        title = now.title if change.title is msgspec.UNSET else change.title
        metadata = now.metadata if change.metadata is msgspec.UNSET else change.metadata or {}
        changed = await self._store.rename_session(key, title=title, metadata=metadata)
        if preset is not msgspec.UNSET:
            changed = await self._store.choose_model(key, preset)
        if change.instructions is not msgspec.UNSET:
            changed = await self._store.instruct_session(key, (change.instructions or "").strip() or None)
        await answer(send, 200, encode(session_object(changed)))

    async def delete(self, request: Request, send: Send) -> None:
        """DELETE /v1/sessions/{key}"""
        key = path_key(request)
        await answer(send, 200, encode(receipt(key, await self._store.delete_session(key))))

    async def fork(self, request: Request, send: Send) -> None:
        """POST /v1/sessions/{key}/fork"""
        key = path_key(request)
        fork, _ = await self._bodies.read(request, lambda body: decode(body, _read_fork))
        if fork.key is None:
            fork_key = self._generated_key(request.caller, key)
        else:
            fork_key = new_key(request.caller, fork.key)
        at = parse_message_id(fork.message_id) if fork.message_id is not None else None
        forked = await self._store.fork_session(key, fork_key, at=at)
        await answer(send, 200, encode(session_object(forked)))

    async def rewind(self, request: Request, send: Send) -> None:
        """POST /v1/sessions/{key}/rewind"""
        key = path_key(request)
        rewind, _ = await self._bodies.read(request, lambda body: decode(body, _read_rewind))
        to = parse_message_id(rewind.message_id)
        await answer(send, 200, encode(session_object(await self._store.rewind_session(key, to))))

    def _generated_key(self, caller: Caller, key: str) -> str:
        """Return a key for a fork of `key`.

        Raises:
            InvalidRequest: the caller may not see such keys, or `key` is too long for one.
        """
        generated = f"{key}:{new_id('fork', self._clock.now(), self._randomness)}"
        if not caller.sees(generated):
            raise InvalidRequest(
                "this API key may not see the key of the fork: send one that it may see as key",
                param="key",
            )
        try:
            return parse_key(generated)
        except BadSessionKey as error:
            raise InvalidRequest(
                f"the key of the fork would not be valid ({error.message}): send one as key", param="key"
            ) from error


def path_key(request: Request) -> str:
    """Return the session key in the path.

    Raises:
        BadSessionKey: it is not a valid key.
        SessionNotFound: the caller may not see it.
    """
    name = request.path_params["key"]
    # The server's own keys are never a session.
    if name.startswith(RESERVED_PREFIX):
        raise SessionNotFound(f"no session {name!r} here")
    key = parse_key(name, "key")
    hold_to_patterns(request.caller, key)
    return key


def new_key(caller: Caller, text: str) -> str:
    """Return the key of a session that does not exist yet.

    Raises:
        BadSessionKey: it is not a valid key.
        SessionNotFound: the caller may not see it.
    """
    key = parse_key(text, "key")
    if not key:
        raise BadSessionKey("the key is empty: name a key for the new session", param="key")
    hold_to_patterns(caller, key)
    return key


def _preset(model: str | msgspec.UnsetType | None, settings: ApiSettings) -> str | msgspec.UnsetType | None:
    """Return the preset that a session is to have; None for the default model, unset where none is named.

    Raises:
        ModelNotFound
    """
    if model is msgspec.UNSET or model is None or model == AGENT:
        return None if model == AGENT else model
    preset = preset_of(model)
    if preset not in settings.models:
        raise no_model(model)
    return preset


def check_own(
    key: str,
    model: str | msgspec.UnsetType | None,
    instructions: str | msgspec.UnsetType | None,
    settings: ApiSettings,
) -> None:
    """Return where the session may have a model and instructions of its own, if it is to have some.

    Raises:
        NotAllowed
    """
    persona = settings.personas.of(key)
    if isinstance(model, str) and not persona.may_choose_model:
        raise NotAllowed(
            f"the session {key!r} may not have a model of its own (own_model in [agent] or [[agents]])",
            param="model",
        )
    if isinstance(instructions, str) and not persona.may_instruct:
        raise NotAllowed(
            f"the session {key!r} may not have instructions of its own (own_instructions in [agent] or"
            " [[agents]])",
            param="instructions",
        )


def _limit(query: Query) -> int:
    return query.whole("limit", default=_LISTED, low=1, high=_MOST_LISTED)


def _order(query: Query, default: Direction) -> Direction:
    return "asc" if query.one_of("order", ("asc", "desc"), default=default) == "asc" else "desc"


def branch_of(query: Query) -> int | None:
    branch = query.text("branch")
    return parse_message_id(branch) if branch is not None else None


Listed = SessionObject | SessionMessage | BranchObject


def _page(rows: tuple[Listed, ...], limit: int) -> bytes:
    """Return a page of the first `limit` rows; there are more where one more was read."""
    return _encoded(rows[:limit], has_more=len(rows) > limit)


def _encoded(shown: tuple[Listed, ...], *, has_more: bool) -> bytes:
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return encode(Page(data=shown, first_id=first, last_id=last, has_more=has_more))


# Operations ---------------------------------------------------------------------------------------


def _listing(default: Direction) -> tuple[Parameter, ...]:
    return (
        Parameter(
            "limit",
            "query",
            "how many at most",
            {"type": "integer", "minimum": 1, "maximum": _MOST_LISTED, "default": _LISTED},
        ),
        Parameter("after", "query", "the id of the last one of the page before"),
        Parameter("order", "query", "the order of time", {"enum": ["asc", "desc"], "default": default}),
    )


_FINDING = (
    *_listing("desc"),
    Parameter("prefix", "query", "only sessions whose key begins so"),
    Parameter(
        "q",
        "query",
        "only sessions whose transcript has a message with these words",
        {"type": "string", "maxLength": 256},
    ),
)
BRANCH = Parameter("branch", "query", "the id of a branch, or of any message: read the messages up to there")


def operations(
    store: Store, clock: Clock, randomness: Randomness, settings: ApiSettings
) -> tuple[Operation, ...]:
    """Return the operations on sessions, but for their export and import."""
    sessions = Sessions(store, clock, randomness, settings)
    reading = partial(Operation, tag="Sessions", right="sessions:read")
    writing = partial(Operation, tag="Sessions", right="sessions:write")
    one = "/v1/sessions/{key}"
    missing = (BadSessionKey, SessionNotFound)
    lost = (*missing, MessageNotFound)
    return (
        reading(
            method="GET",
            path="/v1/sessions",
            run=sessions.list,
            summary="List the sessions, or search them",
            parameters=_FINDING,
            answers={200: Page[SessionObject]},
            errors=(SessionNotFound,),
            links={"key": "$response.body#/last_id"},
        ),
        reading(
            method="GET",
            path=one,
            run=sessions.show,
            summary="A session",
            answers={200: SessionObject},
            errors=missing,
        ),
        writing(
            method="POST",
            path=one,
            run=sessions.rename,
            summary="Give a session a title, metadata, or a model",
            body=SessionChange,
            answers={200: SessionObject},
            errors=(*missing, BodyTooLarge, ModelNotFound, NotAllowed),
        ),
        writing(
            method="DELETE",
            path=one,
            run=sessions.delete,
            summary="Delete a session for good",
            answers={200: SessionDeleted},
            errors=missing,
        ),
        reading(
            method="GET",
            path=f"{one}/messages",
            run=sessions.messages,
            summary="The transcript of a session",
            parameters=(*_listing("asc"), BRANCH),
            answers={200: Page[SessionMessage]},
            errors=lost,
        ),
        reading(
            method="GET",
            path=f"{one}/branches",
            run=sessions.branches,
            summary="The branches of a session",
            parameters=_listing("desc"),
            answers={200: Page[BranchObject]},
            errors=lost,
        ),
        writing(
            method="POST",
            path=f"{one}/fork",
            run=sessions.fork,
            summary="Make a session of part of another",
            body=ForkBody,
            answers={200: SessionObject},
            errors=(*lost, SessionExists, BodyTooLarge),
            links={"key": "$response.body#/key"},
        ),
        writing(
            method="POST",
            path=f"{one}/rewind",
            run=sessions.rewind,
            summary="Go back to an earlier message",
            body=RewindBody,
            answers={200: SessionObject},
            errors=(*lost, SessionBusy, BodyTooLarge),
        ),
    )
