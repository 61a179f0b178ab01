"""Where a browser comes back to after a login: one request to this machine, and nobody else's."""

import asyncio
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from nanobot.core.errors import ConfigError

_PATH = "/callback"
_MAX_HEAD_BYTES = 16 * 1024
_READ_S = 10.0
_PAGE = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n\r\n%b"
)


class Redirect(NamedTuple):
    """What an authorization server says by the address that it sends the browser to. `error`: why not."""

    code: str
    state: str | None = None
    iss: str | None = None
    error: str = ""


def redirect_of(address: str) -> Redirect:
    """Return what the address says.

    Raises:
        ConfigError: it is not an address that the login redirects to.
    """
    try:
        query = parse_qs(urlsplit(address).query, max_num_fields=50)
    except ValueError:
        query = {}
    code, error = query.get("code", [""])[0], query.get("error", [""])[0]
    if not code and not error:
        raise ConfigError(
            "this is not the address that the login ends at: it has neither code= nor error= in it"
        )
    about = query.get("error_description", [""])[0]
    return Redirect(
        code,
        query.get("state", [None])[0],
        query.get("iss", [None])[0],
        f"{error}: {about}" if about else error,
    )


class RedirectListener:
    """Listens on this machine alone for the browser. `port` 0: any that is free. `listens` False: the address
    is only named, and nothing comes there.
    """

    def __init__(self, port: int, *, listens: bool = True) -> None:
        self._port = port
        self._listens = listens
        self._server: asyncio.Server | None = None
        self._came: asyncio.Future[Redirect] = asyncio.get_running_loop().create_future()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}{_PATH}"

    async def __aenter__(self) -> Self:
        if self._listens:
            try:
                self._server = await asyncio.start_server(
                    self._answer, "127.0.0.1", self._port, limit=_MAX_HEAD_BYTES
                )
            except OSError as error:
                raise ConfigError(
                    f"port {self._port} is taken: set redirect_port of the server to another, or use --paste"
                ) from error
            self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def wait(self) -> Redirect:
        """Return what the browser brought."""
        return await self._came

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, text = self._take(head)
            body = text.encode()
            writer.write(_PAGE % (status, len(body), body))
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    def _take(self, head: bytes) -> tuple[bytes, str]:
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].decode("latin-1")
        if method != b"GET" or target.partition("?")[0] != _PATH:
            return b"404 Not Found", "There is nothing here."
        try:
            redirect = redirect_of(target)
        except ConfigError as error:
            return b"400 Bad Request", error.message
        if not self._came.done():
            self._came.set_result(redirect)
        if redirect.error:
            return b"200 OK", "The login was refused. You can close this window."
        return b"200 OK", "Thank you: nanobot goes on in its terminal. You can close this window."
