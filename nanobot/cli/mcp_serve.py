"""`nanobot mcp serve`: the running server as an MCP server over standard input and output, for clients that
start one as a command. Each message goes to the server's `/mcp`, and its answer comes back.
"""

import asyncio
import contextlib
import getpass
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec

from nanobot.cli.chat_errors import not_nanobot, unreachable
from nanobot.cli.chat_remote import parse_url
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.running import find_server
from nanobot.core.errors import ConfigError, NanobotError

_CONNECT_S = 10.0
_SILENCE_S = 60.0
"""A server that works on an answer says something more often than that."""
_MAX_LINE_BYTES = 8 * 1024 * 1024
_INTERNAL_ERROR = -32603
_CANCELLED = "notifications/cancelled"
Write = Callable[[bytes], None]


class _MessageHead(msgspec.Struct, frozen=True):
    """What is looked at of a message; all of it goes to the server."""

    id: str | int | float | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    params: dict[str, Any] = {}


@click.command("serve")
@click.option("--session", metavar="KEY", help="The conversation, where a call names none [mcp:dm:USER].")
@click.option("--url", metavar="URL", help="The server that runs there, e.g. http://127.0.0.1:8900.")
@click.option("--api-key", metavar="KEY", envvar="NANOBOT_API_KEY", help="The server's key.")
@CONFIG
@DATA
def command(
    session: str | None, url: str | None, api_key: str | None, config_file: Path | None, data: str | None
) -> None:
    """Be an MCP server over standard input and output, for the nanobot server that runs: the one that uses
    the data directory, or the one at --url.
    """
    key = session_key(session) if session is not None else _default_key()
    certificate: bytes | None = None
    if url is None:
        server = find_server(settings(config_file, server={"data": data}))
        if server is None:
            raise ConfigError(
                "no server uses this data directory: start `nanobot serve`, or name one by --url"
            )
        url, api_key, certificate = server.url, server.token, server.certificate
    asyncio.run(_serve(parse_url(url), api_key, key, certificate))


def _default_key() -> str:
    try:
        return f"mcp:dm:{getpass.getuser()}"
    except (KeyError, OSError):
        # In some containers the user id has no name.
        return "mcp:dm:user"


async def _serve(url: str, api_key: str | None, key: str, certificate: bytes | None) -> None:
    headers = {"x-session-key": key, "accept": "application/json, text/event-stream"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S),
        read_bufsize=_MAX_LINE_BYTES,
        connector=aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(certificate) if certificate else True),
    ) as http:
        await McpProxy(http, f"{url}/mcp", _write).run(_lines())


class McpProxy:
    """Sends each message to the server at `url`, and passes its answer to `write`, a line each."""

    def __init__(self, http: aiohttp.ClientSession, url: str, write: Write) -> None:
        self._http = http
        self._url = url
        self._write = write
        self._requests: dict[object, asyncio.Task[None]] = {}

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Return once there are no more lines, and all requests are answered."""
        async with asyncio.TaskGroup() as group:
            async for line in lines:
                try:
                    head = msgspec.json.decode(line, type=_MessageHead)
                except (ValueError, RecursionError):
                    # The server says what is wrong with it.
                    head = _MessageHead(None)
                if head.method == _CANCELLED:
                    task = self._requests.get(head.params.get("requestId"))
                    if task is not None:
                        task.cancel()
                    continue
                self._requests[head.id] = group.create_task(self._pass_on(line, head))

    async def _pass_on(self, line: bytes, head: _MessageHead) -> None:
        try:
            reply = await self._ask(line)
        except NanobotError as error:
            reply = _failed(head, error.message)
        finally:
            self._requests.pop(head.id, None)
        if reply and not isinstance(head.id, msgspec.UnsetType):
            self._write(reply)

    async def _ask(self, line: bytes) -> bytes:
        """Return the server's answer; empty where it has none to give.

        Raises:
            NanobotError: it cannot be reached, or answers something else.
        """
        try:
            async with self._http.post(
                self._url, data=line, headers={"content-type": "application/json"}
            ) as response:
                if response.content_type == "text/event-stream":
                    return await _event(response)
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise await unreachable(self._url.removesuffix("/mcp"), error) from None
        if body and b'"jsonrpc"' not in body[:40]:
            # Refused before anybody looked at the message: by the key, the size, the form.
            raise await self._refused(response.status, body)
        return body

    async def _refused(self, status: int, body: bytes) -> NanobotError:
        try:
            return NanobotError(f"{msgspec.json.decode(body)['error']['message']} ({status})")
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return await not_nanobot(self._url.removesuffix("/mcp"), status)


async def _event(response: aiohttp.ClientResponse) -> bytes:
    """Return the content of the only event of the stream."""
    async for line in response.content:
        if line.startswith(b"data: "):
            return line.removeprefix(b"data: ").strip()
    return b""


def _failed(head: _MessageHead, why: str) -> bytes:
    error = {"code": _INTERNAL_ERROR, "message": why}
    id_ = None if isinstance(head.id, msgspec.UnsetType) else head.id
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "error": error})


async def _lines() -> AsyncIterator[bytes]:
    """Yield the lines of the standard input, which is read in a thread: not every system can wait for it."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        # The loop is closed where the program has ended meanwhile.
        with contextlib.suppress(RuntimeError):
            for line in sys.stdin.buffer:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        if line.strip():
            yield line


def _write(reply: bytes) -> None:
    sys.stdout.buffer.write(reply + b"\n")
    sys.stdout.buffer.flush()
