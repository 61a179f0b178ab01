"""Requests of commands to the server that uses their data directory."""

import aiohttp
import msgspec

from nanobot.cli.chat_errors import unreachable
from nanobot.cli.chat_remote import parse_url
from nanobot.core.errors import NanobotError
from nanobot.core.offline import RunningServer
from nanobot.http.session_key import HEADER

_LONGEST_S = 600.0


class _Problem(msgspec.Struct, frozen=True):
    message: str


class _RefusedRequest(msgspec.Struct, frozen=True):
    error: _Problem


async def ask_server(
    server: RunningServer,
    method: str,
    path: str,
    missing: type[NanobotError] = NanobotError,
    body: bytes | None = None,
    *,
    session_key: str | None = None,
) -> bytes:
    """Return the body of the server's answer. `session_key`: of whose session the request is.

    Raises:
        NanobotError: it does not answer, or says why it cannot; of the class `missing` where it has nothing
            at the path.
    """
    trusted = aiohttp.Fingerprint(server.certificate) if server.certificate else True
    timeout = aiohttp.ClientTimeout(total=_LONGEST_S)
    headers = {"Authorization": f"Bearer {server.token}"}
    if session_key is not None:
        headers[HEADER] = session_key
    if body is not None:
        headers["Content-Type"] = "application/json"
    connector = aiohttp.TCPConnector(ssl=trusted)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http,
            http.request(method, f"{parse_url(server.url)}{path}", data=body) as response,
        ):
            answer = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise await unreachable(server.url, error) from None
    if response.status == 200:
        return answer
    kind = missing if response.status == 404 else NanobotError
    raise kind(msgspec.json.decode(answer, type=_RefusedRequest).error.message)
