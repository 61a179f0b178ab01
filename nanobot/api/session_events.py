"""GET /v1/sessions/{key}/events: what happens in a session, as server-sent events, for as long as a client
watches.
"""

import contextlib

from starlette.types import Send

from nanobot.api.sessions import path_key
from nanobot.api.wire.session_events import render
from nanobot.core.errors import BadSessionKey, InvalidRequest, SessionNotFound, TurnNotFound
from nanobot.core.late_pattern import LatePattern
from nanobot.core.store import Store
from nanobot.http.connected import Connected
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.stream import HEAD, PING

_CURSOR = LatePattern(r"([!-9;-~]{1,64}):([0-9]{1,18})")


class SessionEvents:
    """The route. Watching a session does not keep its turns from being cancelled, as following one does."""

    def __init__(self, store: Store, *, ping_s: float) -> None:
        self._store = store
        self._ping_s = ping_s

    async def watch(self, request: Request, send: Send) -> None:
        key = path_key(request)

        async def write(content: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": more})

        async def ping() -> None:
            await write(PING)

        async with contextlib.aclosing(self._store.watch(key, _after(request))) as batches:
            # Before the head goes out, so that an unknown session is still answered with its status.
            first = await anext(batches, None)
            await send({"type": "http.response.start", "status": 200, "headers": list(HEAD)})
            async with Connected(request.receive, ping, self._ping_s):
                await write(render(first or ()) or PING)
                async for batch in batches:
                    await write(render(batch))
                await write(b"", more=False)


def _after(request: Request) -> tuple[str, int] | None:
    """Return the turn and the cursor of the last event that the client has: the query's `after`, else the
    header `Last-Event-ID`.
    """
    id_ = request.query().text("after")
    name = "after"
    if id_ is None:
        name = "Last-Event-ID"
        id_ = request.headers.get(b"last-event-id", b"").decode("latin-1") or None
    if id_ is None:
        return None
    parsed = _CURSOR.fullmatch(id_)
    if parsed is None:
        raise InvalidRequest(f"{name} is {id_[:80]!r}: it must be the id of an event, turn:seq", param=name)
    return parsed[1], int(parsed[2])


def operation(store: Store, *, ping_s: float) -> Operation:
    """Return the operation that watches a session."""
    return Operation(
        method="GET",
        path="/v1/sessions/{key}/events",
        run=SessionEvents(store, ping_s=ping_s).watch,
        summary="What happens in a session, live",
        tag="Sessions",
        right="sessions:read",
        parameters=(
            Parameter("after", "query", "the id of the last event that was received"),
            Parameter("last-event-id", "header", "the id of the last event that was received"),
        ),
        streams=True,
        errors=(BadSessionKey, SessionNotFound, TurnNotFound),
    )
