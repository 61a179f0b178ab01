"""One turn of a running server, as the chat follows it: over as many connections as it takes."""

import contextlib
import os
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec

from nanobot.cli.chat_errors import (
    TLS_ERRORS,
    ServerUnreachable,
    expects_https,
    not_nanobot,
    refused,
    unreachable,
)
from nanobot.cli.chat_stream import ConnectionBroken, answer_of, end_of, events_in
from nanobot.core.errors import StreamingOff, TurnNotFound
from nanobot.core.event import Event, TextDelta, TurnEnded

CONNECT_S = 10.0
_BROKEN = (
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    aiohttp.SocketTimeoutError,
    TimeoutError,
)


class RemoteQuestion:
    """A request for an answer, which may be sent again: where the connection breaks before the id of its turn
    has come, the server finds the turn by the key.
    """

    def __init__(self, body: dict[str, Any], session_key: str) -> None:
        self.body = body
        self.headers = {
            "x-session-key": session_key,
            "x-events": "tools",
            "content-type": "application/json",
            "idempotency-key": uuid.uuid4().hex,
        }


class RemoteTurn:
    """One turn, over as many connections as it takes: that of a `question`, whose id is known once the server
    begins to answer, or the one with the id `turn_id`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        question: RemoteQuestion | None = None,
        turn_id: str | None = None,
    ) -> None:
        self._question = question
        self._turn_id = turn_id
        self._cursor = 0
        self._is_cancelled = False
        self._http = http
        self._url = url
        self._streams = True
        self.is_broken = False

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield what is new, over one connection.

        Raises:
            ConnectionBroken: try again.
            NanobotError: the server refused.
        """
        try:
            async with self._connect() as response:
                self.is_broken = False
                await self._set_turn_id(response.headers.get("x-turn-id"))
                if response.status != 200:
                    yield await self._refusal(response)
                    return
                if not self._streams and response.content_type == "application/json":
                    yield TextDelta(answer_of(await response.read()))
                    yield TurnEnded("done")
                    return
                if response.content_type != "text/event-stream":
                    raise ServerUnreachable(f"{self._url} does not answer like nanobot: check the URL")
                async for event in self._lines_of(response):
                    yield event
        except TLS_ERRORS as error:
            raise await unreachable(self._url, error) from None
        except aiohttp.ClientConnectorError as error:
            raise ConnectionBroken(
                os.strerror(error.errno).lower() if error.errno else str(error.os_error), never_connected=True
            ) from None
        except aiohttp.ConnectionTimeoutError:
            raise ConnectionBroken(f"no connection within {CONNECT_S:g} s", never_connected=True) from None
        except aiohttp.ServerDisconnectedError as error:
            if self._turn_id is None and await expects_https(self._url):
                raise await unreachable(self._url, error) from None
            raise ConnectionBroken(str(error)) from None
        except _BROKEN as error:
            raise ConnectionBroken(str(error) or "timed out") from None
        except aiohttp.ClientError as error:
            raise ServerUnreachable(f"{self._url}: {error}") from None
        raise ConnectionBroken("the connection was closed")

    async def cancel(self) -> None:
        """Ask the server to stop the turn, as soon as its id is known."""
        self._is_cancelled = True
        if self._turn_id is None:
            return
        # The reader of the stream meets the same error, and reports it.
        with contextlib.suppress(*_BROKEN):
            async with self._http.post(f"{self._url}/v1/turns/{self._turn_id}/cancel"):
                pass

    async def _set_turn_id(self, turn_id: str | None) -> None:
        if self._turn_id is None and turn_id is not None:
            self._turn_id = turn_id
            # The user asked to stop it before its id was known.
            if self._is_cancelled:
                await self.cancel()

    def _connect(self) -> Any:
        if self._turn_id is None and self._question is not None:
            body = msgspec.json.encode({**self._question.body, "stream": self._streams})
            return self._http.post(
                f"{self._url}/v1/chat/completions", data=body, headers=self._question.headers
            )
        url = f"{self._url}/v1/turns/{self._turn_id}/stream?after={self._cursor}"
        return self._http.get(url, headers={"x-events": "tools"})

    async def _lines_of(self, response: aiohttp.ClientResponse) -> AsyncGenerator[Event, None]:
        name, payload, cursor = "", "", self._cursor
        async for raw in response.content:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                payload += value
            elif field == "id":
                cursor = int(value.rpartition(":")[2])
            elif not line and payload:
                # Only now: an event that was cut off must come again.
                self._cursor = cursor
                for event in events_in(name, payload):
                    yield event
                name = payload = ""

    async def _refusal(self, response: aiohttp.ClientResponse) -> TurnEnded:
        """Return the end of the turn that an answer other than 200 means.

        Raises:
            ConnectionBroken: the server is stopping, or does not stream; try again.
            NanobotError: the turn was not admitted.
        """
        body = await response.content.read(64 * 1024)
        try:
            error = msgspec.json.decode(body)["error"]
            message = str(error["message"])
            end = end_of(error)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise await not_nanobot(self._url, response.status) from None
        if error.get("code") == TurnNotFound.code:
            raise TurnNotFound(message)
        if self._turn_id is not None:
            # The turn was admitted, so the error is how it ended.
            return end
        if self._streams and error.get("code") == StreamingOff.code:
            self._streams = False
            raise ConnectionBroken(message)
        raise refused(response.status, str(error.get("code")), message)
