"""An answer on its way to the client: with the headers that every answer has, and no faster than it is read.

What a client has not read stays in memory. So a large answer is sent in pieces, each once the one before has
gone out, and what all of them have left is bounded.
"""

import logging

from starlette.types import Message, Send

from nanobot.http.bodies import SMALL_BYTES, BodiesInFlight, BodyShare
from nanobot.http.request import Request

_log = logging.getLogger("nanobot.http.guard")
SIZE = "nanobot.size"
"""In the message that begins an answer: how large the body is, where it is in memory as a whole."""


class SentAnswer:
    """Sends one answer, and notes its status. `answers` bounds what large ones take together."""

    __slots__ = ("_answers", "_request", "_send", "_share", "status", "turn_id")

    def __init__(self, request: Request, send: Send, answers: BodiesInFlight | None) -> None:
        self._request = request
        self._send = send
        self._answers = answers
        self._share: BodyShare | None = None
        self.status = 0
        self.turn_id: str | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # Refused while another status can be sent.
            self._take(message.get(SIZE, 0))
            self._begin(message)
        elif len(message.get("body", b"")) > SMALL_BYTES:
            await self._send_in_pieces(message["body"], has_more=message.get("more_body", False))
            return
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.status = message["status"]
        headers = message["headers"]
        # Only the log needs it.
        if _log.isEnabledFor(logging.INFO):
            self.turn_id = next((value.decode() for name, value in headers if name == b"x-turn-id"), None)
        headers.append((b"x-request-id", self._request.id.encode()))
        headers.extend(self._request.answer_headers)

    def _take(self, size: int) -> None:
        """Count an answer of `size` bytes, before its head is sent.

        Raises:
            Overloaded: clients have too much to read already.
        """
        if self._answers is not None and size > SMALL_BYTES:
            self._share = self._share or BodyShare(self._answers, self._request.payer)
            self._share.grow(size)

    async def _send_in_pieces(self, body: bytes, *, has_more: bool) -> None:
        self._take(len(body))
        for at in range(0, len(body), SMALL_BYTES):
            piece = body[at : at + SMALL_BYTES]
            more = has_more or at + len(piece) < len(body)
            # Waits until most of the one before has gone out.
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        self.is_done()

    def is_done(self) -> None:
        """Count it no longer. Safe to call twice."""
        if self._share is not None:
            self._share.give_back()
