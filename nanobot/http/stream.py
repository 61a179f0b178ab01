"""Sending a turn to one client as server-sent events, until it ends or the client goes."""

from collections.abc import Sequence
from typing import Protocol

from starlette.types import Receive, Send

from nanobot.core.event import Event, TurnEnded
from nanobot.core.store import Store
from nanobot.http.connected import Connected
from nanobot.http.errors import turn_failure
from nanobot.http.respond import answer
from nanobot.submit.followers import Followers

HEAD = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
PING = b": ping\n"
"""A comment that keeps a connection awake. No blank line follows it: where an earlier event had an id, clients
such as openai-python take a blank line for the end of another event, an empty one."""
Headers = tuple[tuple[str, str], ...]


def wants_tools(headers: dict[bytes, bytes]) -> bool:
    """Return whether the client asked for the progress of tools (`x-events: tools`)."""
    return b"tools" in headers.get(b"x-events", b"").lower().replace(b" ", b"").split(b",")


class Rendering(Protocol):
    """How a turn's events look on the wire."""

    @property
    def begins_at_once(self) -> bool:
        """Whether the client wants the beginning before there is anything to say."""
        ...

    def begin(self) -> bytes:
        """Return what every stream begins with; nothing where it was sent before."""
        ...

    def render(self, batch: Sequence[tuple[int, Event]]) -> bytes:
        """Return the bytes of `batch`, to be sent in one piece."""
        ...


class Stream:
    """One client's stream of one turn."""

    def __init__(
        self,
        store: Store,
        followers: Followers,
        chunks: Rendering,
        send: Send,
        headers: Headers,
        *,
        ping_s: float,
    ) -> None:
        self._store = store
        self._followers = followers
        self._chunks = chunks
        self._send = send
        self._headers = headers
        self._ping_s = ping_s
        self._has_begun = False

    async def run(
        self, turn_id: str, after: int, receive: Receive, *, answered_by: str, is_over: bool
    ) -> None:
        """Send what the turn says from past `after` on; a comment now and then keeps proxies awake.

        `answered_by`: the turn that answers for it (`Admission.answered_by`). `is_over`: it had ended for good
        when it was asked for. The head goes out with the first thing
        to say, so that a turn which failed before then is answered with its true status. Who asks for the
        progress of tools gets it at once: such a client wants the turn's id, to stop it before it spoke.
        """
        self._followers.join(answered_by)
        has_ended = False
        try:
            async with Connected(receive, self._ping, self._ping_s):
                if self._chunks.begins_at_once:
                    await self._write(self._chunks.begin())
                async for batch in self._store.follow(turn_id, after):
                    end = batch[-1][1]
                    if isinstance(end, TurnEnded):
                        has_ended = True
                        if end.error is not None and not self._has_begun:
                            problem = turn_failure(end.error, is_over=is_over)
                            await answer(
                                self._send, problem.status, problem.body, self._headers + problem.headers
                            )
                            return
                    if out := self._chunks.render(batch):
                        await self._write(out)
        finally:
            self._followers.leave(answered_by, has_ended=has_ended)
        if has_ended:
            await self._write(b"", is_last=True)

    async def _ping(self) -> None:
        await self._write(self._chunks.begin() + PING)

    async def _write(self, content: bytes, *, is_last: bool = False) -> None:
        if not self._has_begun:
            self._has_begun = True
            head = [*HEAD, *((name.encode(), value.encode()) for name, value in self._headers)]
            await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": content, "more_body": not is_last})
