"""Sending a turn to one client as server-sent events, until it ends or the client goes."""

from collections.abc import Sequence
from typing import Protocol

from starlette.types import Send

from nanobot.core.event import Event, ModelChosen, TurnEnded
from nanobot.http.connected import Connected, is_there
from nanobot.http.errors import turn_failure
from nanobot.http.request import Request
from nanobot.http.respond import Headers, answer, model_headers
from nanobot.submit.followers import Following

HEAD = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the stream in a buffer.
    (b"x-accel-buffering", b"no"),
)
_EVENTS = frozenset({"tools", "models"})
_NO_EVENTS: frozenset[str] = frozenset()
PING = b": ping\n"
"""A comment that keeps a connection awake. No blank line follows it: where an earlier event had an id,
clients such as openai-python take a blank line for the end of another event, an empty one.
"""


def wanted_events(headers: dict[bytes, bytes]) -> frozenset[str]:
    """Return which named events the client asked for: `tools` and `models` (`x-events: tools, models`)."""
    named = headers.get(b"x-events")
    if named is None:
        return _NO_EVENTS
    return _EVENTS.intersection(named.decode("latin-1").lower().replace(" ", "").split(","))


class Rendering(Protocol):
    """How a turn's events look on the wire."""

    @property
    def begins_at_once(self) -> bool:
        """Whether the client is sent the beginning before anything has happened."""
        ...

    def begin(self) -> bytes:
        """Return what every stream begins with; nothing where it was sent before."""
        ...

    def render(self, batch: Sequence[tuple[int, Event]]) -> bytes:
        """Return the bytes of `batch`, to be sent in one piece."""
        ...

    async def prepare_end(self) -> None:
        """Look up what the last event says besides; awaited before `render` gets the end of the turn."""
        ...


class Stream:
    """One client's stream of one turn."""

    def __init__(
        self, request: Request, rendering: Rendering, send: Send, headers: Headers, *, ping_s: float
    ) -> None:
        self._request = request
        self._rendering = rendering
        self._send = send
        self._headers = headers
        self._ping_s = ping_s
        self._has_begun = False

    async def run(self, follower: Following, after: int = 0, *, is_over: bool) -> None:
        """Send what happens in the turn from past `after` on; a comment now and then keeps proxies awake.

        `is_over`: the turn had ended for good when it was asked for. The head goes out with the first event,
        so that a turn which failed before then is answered with its true status; where the rendering begins
        at once, the head does, too: such a client needs the turn's id, to stop it before it says anything.
        """
        rendering = self._rendering
        is_whole = False
        with follower:
            async with Connected(self._request.receive, self._ping, self._ping_s):
                if rendering.begins_at_once:
                    await self._write(rendering.begin())
                async for batch in follower.events(after):
                    begin, end = batch[0][1], batch[-1][1]
                    if not self._has_begun and isinstance(begin, ModelChosen):
                        self._headers += model_headers(begin.model, begin.passed_over)
                    if isinstance(end, TurnEnded):
                        follower.has_ended = True
                        if end.error is not None and not self._has_begun:
                            problem = turn_failure(end.error, is_over=is_over)
                            headers = self._headers + problem.headers
                            await answer(self._send, problem.status, problem.body, headers)
                            return
                        is_whole = end.error is None
                        await rendering.prepare_end()
                    if out := rendering.render(batch):
                        await self._write(out)
        # Otherwise the client has gone.
        if follower.has_ended:
            is_whole = is_whole and is_there(self._request.scope, self._request.receive)
            await self._write(b"", is_last=True)
            if is_whole:
                follower.delivered()

    async def _ping(self) -> None:
        await self._write(self._rendering.begin() + PING)

    async def _write(self, content: bytes, *, is_last: bool = False) -> None:
        if not self._has_begun:
            # Set before the await: the ping comes from another task and must not send the head again.
            self._has_begun = True
            head = [*HEAD, *((name.encode(), value.encode()) for name, value in self._headers)]
            await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": content, "more_body": not is_last})
