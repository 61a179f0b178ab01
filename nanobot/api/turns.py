"""/v1/turns: read a turn, resume its stream, stop it."""

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.wire.chat_answer import WireUsage, finish_reason, wire_usage
from nanobot.api.wire.chunks import Chunks, said_before
from nanobot.api.wire.lists import encode
from nanobot.core.errors import InvalidRequest, TurnNotFound
from nanobot.core.ids import time_of
from nanobot.core.message import reply_text
from nanobot.core.store import Store
from nanobot.core.turn import TurnState
from nanobot.http.errors import error_body
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.stream import Stream, wanted_events
from nanobot.submit.request import AGENT
from nanobot.submit.submitter import Submitter


class _Reply(msgspec.Struct, frozen=True):
    role: str
    content: str
    finish_reason: str


class WireTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn as the API shows it; `answer` once there is one, `error` where it has none. `joins`: the turn
    that it steered, which answers it.
    """

    id: str
    object: str = "turn"
    session_key: str
    status: str
    joins: str | None
    attempt: int
    model: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    answer: _Reply | None
    usage: WireUsage | None
    error: msgspec.Raw | None


def wire_turn(state: TurnState) -> WireTurn:
    """Return the turn as the API shows it."""
    said = reply_text(state.messages)
    error = state.end.error if state.end is not None else None
    return WireTurn(
        id=state.id,
        session_key=state.session_key,
        status=state.status,
        joins=state.answered_by if state.answered_by != state.id else None,
        attempt=state.attempt,
        model=state.model or AGENT,
        created_at=state.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        answer=_Reply("assistant", said, _finish(state)) if state.end is not None and said else None,
        usage=wire_usage(state.end.usage, state.messages) if state.end is not None else None,
        error=msgspec.Raw(msgspec.json.encode(msgspec.json.decode(error_body(error))["error"]))
        if error is not None
        else None,
    )


def _finish(state: TurnState) -> str:
    return "incomplete" if state.status != "done" else finish_reason(state.messages)


async def find_turn(store: Store, turn_id: str, caller: Caller) -> TurnState:
    """Return the turn.

    Raises:
        TurnNotFound: there is none that the caller may see.
    """
    state = await store.turn(turn_id)
    # The same answer as for a turn that does not exist.
    if not caller.sees(state.session_key):
        raise TurnNotFound(f"no turn {turn_id!r} here")
    return state


class Turns:
    """GET /v1/turns/{turn_id}"""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, request: Request, send: Send) -> None:
        state = await find_turn(self._store, request.path_params["turn_id"], request.caller)
        request.session_key = state.session_key
        request.is_poll = state.end is None
        await answer(send, 200, encode(wire_turn(state)))


class CancelTurn:
    """POST /v1/turns/{turn_id}/cancel: answers once the turn has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, request: Request, send: Send) -> None:
        turn_id = request.path_params["turn_id"]
        request.session_key = (await find_turn(self._store, turn_id, request.caller)).session_key
        if await self._store.cancel(turn_id, "cancelled by request"):
            await self._store.ended(turn_id)
        await answer(send, 200, encode(wire_turn(await self._store.turn(turn_id))))


class TurnStream:
    """GET /v1/turns/{turn_id}/stream?after=SEQ, or with `Last-Event-ID: turn:seq`."""

    def __init__(self, store: Store, submitter: Submitter, *, ping_s: float) -> None:
        self._store = store
        self._submitter = submitter
        self._ping_s = ping_s

    async def __call__(self, request: Request, send: Send) -> None:
        turn_id = request.path_params["turn_id"]
        state = await find_turn(self._store, turn_id, request.caller)
        request.session_key = state.session_key
        headers = request.headers
        after = _cursor(turn_id, request.scope["query_string"], headers.get(b"last-event-id", b""))
        chunks = Chunks(
            turn_id,
            model=state.model or AGENT,
            created=time_of(turn_id),
            include_usage=True,
            events=wanted_events(headers),
            behind=said_before(state.messages, after) if after else None,
        )
        stream = Stream(request, chunks, send, (("x-turn-id", turn_id),), ping_s=self._ping_s)
        await stream.run(self._submitter.follow(state), after, is_over=state.end is not None)


def _cursor(turn_id: str, query: bytes, last_event_id: bytes) -> int:
    """Return the cursor of the last event that the client has: the query's `after`, else the header
    `Last-Event-ID`.
    """
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"after":
            return _number(value, "after")
    if not last_event_id:
        return 0
    turn, _, seq = last_event_id.rpartition(b":")
    if turn.decode("latin-1") != turn_id:
        raise InvalidRequest(
            f"Last-Event-ID is {last_event_id.decode('latin-1')!r}: it must be {turn_id}:SEQ",
            param="Last-Event-ID",
        )
    return _number(seq, "Last-Event-ID")


def _number(text: bytes, name: str) -> int:
    if not text.isdigit() or len(text) > 18:
        raise InvalidRequest(
            f"{name} is {text.decode('latin-1')!r}: it must be a whole number, the seq of an event's id",
            param=name,
        )
    return int(text)


def operations(store: Store, submitter: Submitter, *, ping_s: float) -> tuple[Operation, ...]:
    """Return the operations on turns."""
    return (
        Operation(
            method="GET",
            path="/v1/turns/{turn_id}",
            run=Turns(store),
            summary="A turn as it stands",
            tag="Turns",
            right="chat",
            answers={200: WireTurn},
            errors=(TurnNotFound,),
        ),
        Operation(
            method="GET",
            path="/v1/turns/{turn_id}/stream",
            run=TurnStream(store, submitter, ping_s=ping_s),
            summary="Resume a turn's stream where it broke",
            tag="Turns",
            right="chat",
            parameters=(
                Parameter(
                    "after",
                    "query",
                    "the seq of the last event that was received",
                    {"type": "integer", "minimum": 0},
                ),
                Parameter("last-event-id", "header", "the id of the last event that was received"),
                Parameter(
                    "x-events",
                    "header",
                    "named events to send: `tools` (their progress), `models` (which one answers)",
                ),
            ),
            streams=True,
            errors=(TurnNotFound,),
        ),
        Operation(
            method="POST",
            path="/v1/turns/{turn_id}/cancel",
            run=CancelTurn(store),
            summary="Stop a turn",
            tag="Turns",
            right="chat",
            answers={200: WireTurn},
            errors=(TurnNotFound,),
        ),
    )
