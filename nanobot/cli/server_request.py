"""Requests of commands to the server that uses their data directory."""

import aiohttp
import msgspec

from nanobot.cli.chat_errors import unreachable
from nanobot.cli.chat_remote import parse_url
from nanobot.core.errors import NanobotError
from nanobot.core.offline import RunningServer

_LONGEST_S = 600.0


class _Problem(msgspec.Struct, frozen=True):
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Problem


async def ask_server(
    server: RunningServer, method: str, path: str, missing: type[NanobotError] = NanobotError
) -> bytes:
    """Return the body of the server's answer.

    Raises:
        NanobotError: it does not answer, or says why it cannot; of the class `missing` where it has nothing
            at the path.
    """
    trusted = aiohttp.Fingerprint(server.certificate) if server.certificate else True
    timeout = aiohttp.ClientTimeout(total=_LONGEST_S)
    headers = {"Authorization": f"Bearer {server.token}"}
    connector = aiohttp.TCPConnector(ssl=trusted)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http,
            http.request(method, f"{parse_url(server.url)}{path}") as response,
        ):
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise await unreachable(server.url, error) from None
    if response.status == 200:
        return body
    kind = missing if response.status == 404 else NanobotError
    raise kind(msgspec.json.decode(body, type=_Refusal).error.message)
