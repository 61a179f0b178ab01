"""The link of the chat to a running server, through its HTTP API.

A broken connection does not end the turn: the stream is resumed where it broke.
"""

import asyncio
import contextlib
import ipaddress
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import msgspec
from yarl import URL

from nanobot.api.wire.files import WRITTEN_PURPOSE
from nanobot.cli.chat_errors import (
    ServerRefused,
    ServerUnreachable,
    not_nanobot,
    refused,
    unreachable,
)
from nanobot.cli.chat_files import MOST_WRITTEN, Attachment, SavableFile
from nanobot.cli.chat_link import MOST_LATEST, LatestTurn, latest_of
from nanobot.cli.chat_stream import ConnectionBroken
from nanobot.cli.chat_turn import CONNECT_S, RemoteQuestion, RemoteTurn
from nanobot.core.approvals import ApprovalAnswer
from nanobot.core.errors import ConfigError
from nanobot.core.event import (
    Event,
    TurnEnded,
)
from nanobot.core.message import AskedCall
from nanobot.core.sessions import Session
from nanobot.core.tool_question import Content
from nanobot.core.workspace import FILE_ID_PREFIX

__all__ = ["Remote", "ServerRefused", "ServerUnreachable", "is_this_machine", "parse_url"]

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
_SILENCE_S = 60.0
_MAX_LINE_BYTES = 8 * 1024 * 1024


_Shape = TypeVar("_Shape")


def parse_url(text: str) -> str:
    """Return the URL of the server's root; a trailing slash or `/v1` is removed.

    Raises:
        ConfigError: it is not a URL of http or https.
    """
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(f"--url {text}: not a URL; it looks like http://127.0.0.1:8900")
    return urlunsplit((parts.scheme, parts.netloc, re.sub(r"(/v1)?/*$", "", parts.path), "", ""))


def is_this_machine(url: str) -> bool:
    """Return whether `url` is that of a server on this machine."""
    host = urlsplit(parse_url(url)).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Remote:
    """A server. `model`: `nanobot`, or the name of one of its presets. `certificate`: the SHA-256 of the one
    certificate that is trusted; None: those are that this machine trusts. `make_rule`: lets a call and its
    tool run in the conversations of a pattern, where the server's directory is at hand; None: the server
    does, if the key allows it.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        model: str,
        certificate: bytes | None = None,
        make_rule: Callable[[str, str], object] | None = None,
    ) -> None:
        self._make_rule = make_rule
        self._url = parse_url(url)
        self._model = model
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=_SILENCE_S)
        self._http = aiohttp.ClientSession(
            headers=headers,
            timeout=timeout,
            read_bufsize=_MAX_LINE_BYTES,
            connector=aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(certificate) if certificate else True),
        )
        self._turn: RemoteTurn | None = None

    async def close(self) -> None:
        await self._http.close()

    @property
    def trouble(self) -> str:
        is_broken = self._turn is not None and self._turn.is_broken
        return f"no connection, trying again: {self._url}" if is_broken else ""

    async def ask(
        self, session_key: str, text: str, files: Sequence[Attachment] = ()
    ) -> AsyncIterator[Event]:
        parts = [*(file.part() for file in files), {"type": "text", "text": text}]
        message = {"role": "user", "content": parts if files else text}
        question = RemoteQuestion({"model": self._model, "messages": [message]}, session_key)
        async for event in self._follow(RemoteTurn(self._http, self._url, question=question)):
            yield event

    async def latest(self, session_key: str) -> LatestTurn | None:
        url = f"{self._url}/v1/sessions/{quote(session_key, safe='')}/messages"
        try:
            async with self._http.get(url, params={"limit": MOST_LATEST, "order": "desc"}) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise await unreachable(self._url, error) from None
        if response.status != 200:
            # There is none yet, or the key may not read it.
            return None
        try:
            rows = msgspec.json.decode(body, type=_MessageList).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise await not_nanobot(self._url, response.status) from None
        return latest_of([(row.turn_id, row.role, row.text) for row in rows])

    async def take_up(self, turn_id: str) -> AsyncIterator[Event]:
        async for event in self._follow(RemoteTurn(self._http, self._url, turn_id=turn_id)):
            yield event

    async def _follow(self, turn: "RemoteTurn") -> AsyncIterator[Event]:
        self._turn = turn
        pauses = iter(_PAUSES_S)
        was_connected = False
        while True:
            try:
                async with contextlib.aclosing(turn.events()) as events:
                    async for event in events:
                        # Something has come: the next break is a new one.
                        pauses = iter(_PAUSES_S)
                        yield event
                        if isinstance(event, TurnEnded):
                            return
            except ConnectionBroken as broken:
                turn.is_broken = True
                # A server that has never answered is most likely at another URL: no waiting for that.
                was_connected = was_connected or not broken.never_connected
                pause_s = next(pauses, None)
                if pause_s is None or not was_connected:
                    raise ServerUnreachable(
                        f"no answer from {self._url} ({broken}): is `nanobot serve` running there?"
                    ) from None
                await asyncio.sleep(pause_s)

    async def cancel(self) -> None:
        if self._turn is not None:
            await self._turn.cancel()

    async def decide(
        self,
        asked: AskedCall,
        decision: ApprovalAnswer,
        *,
        pattern: str | None = None,
        content: Content | None = None,
    ) -> None:
        if self._make_rule is not None and decision == "rule" and pattern is not None:
            await asyncio.to_thread(self._make_rule, asked.id, pattern)
            return
        told: dict[str, object] = {"decision": decision}
        if pattern is not None:
            told["pattern"] = pattern
        if content is not None:
            told["content"] = content
        url = f"{self._url}/v1/approvals/{quote(asked.id, safe='')}"
        await self._body_of(self._http.post(url, json=told))

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        body = await self._read("/v1/sessions", {"limit": limit})
        return (await self._decoded(body, _SessionList)).data

    async def files(self, session_key: str) -> tuple[SavableFile, ...]:
        body = await self._read("/v1/files", {"purpose": WRITTEN_PURPOSE, "limit": MOST_WRITTEN}, session_key)
        rows = (await self._decoded(body, _FileList)).data
        return tuple(SavableFile(row.filename, row.bytes) for row in rows)

    async def written(self, session_key: str, path: str) -> bytes:
        name = quote(f"{FILE_ID_PREFIX}{path}", safe="")
        return await self._read(f"/v1/files/{name}/content", {}, session_key)

    async def _read(self, path: str, query: Mapping[str, str | int], session_key: str | None = None) -> bytes:
        """Return what the server has at the path, which is encoded already."""
        url = URL(f"{self._url}{path}", encoded=True).with_query(query)
        headers = {"x-session-key": session_key} if session_key is not None else {}
        return await self._body_of(self._http.get(url, headers=headers))

    async def _body_of(self, request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> bytes:
        """Return what the server answers to the request.

        Raises:
            NanobotError: it refuses, or cannot be reached.
        """
        try:
            async with request as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise await unreachable(self._url, error) from None
        if response.status != 200:
            told = (await self._decoded(body, _Refusal, response.status)).error
            raise refused(response.status, str(told.code), told.message)
        return body

    async def _decoded(self, body: bytes, shape: type[_Shape], status: int = 200) -> _Shape:
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise await not_nanobot(self._url, status) from None


class _Error(msgspec.Struct, frozen=True):
    message: str
    code: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


class _ListedFile(msgspec.Struct, frozen=True):
    filename: str
    bytes: int


class _FileList(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/files`; it has more fields, and so have its files."""

    data: tuple[_ListedFile, ...]


class _SessionList(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/sessions`; it has more fields, and so have its sessions."""

    data: tuple[Session, ...]


class _ListedMessage(msgspec.Struct, frozen=True):
    role: str
    turn_id: str | None = None
    content: Any = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        parts = self.content if isinstance(self.content, list) else []
        return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


class _MessageList(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/sessions/{key}/messages`; it has more fields, and so have its messages."""

    data: tuple[_ListedMessage, ...]
