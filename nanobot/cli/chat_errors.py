"""Why the chat does not reach a server, in words, and what to do about it."""

import asyncio
import contextlib
import os
import ssl
from urllib.parse import urlsplit

import aiohttp

from nanobot.core.errors import ModelNotFound, NanobotError

TLS_ERRORS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)
_PROBE_S = 3.0
_EXPIRED, _NOT_YET_VALID, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""The codes of OpenSSL for what is wrong with a certificate; all others mean that nobody vouches for it."""


class ServerUnreachable(NanobotError):
    """Nothing answers at the URL, or something that is not nanobot."""

    code = "server_unreachable"


class ServerRefused(NanobotError):
    """The server answered with an error, whose message this is."""

    code = "server_refused"


def refused(status: int, code: str, message: str) -> ServerRefused:
    """Return the error for a server's error."""
    if status == 404 and code == ModelNotFound.code:
        message += (
            " (a running server answers with its own models: leave --model out, or name another directory"
            " with --data)"
        )
    if status == 401:
        message += " (name the server's key with --api-key, or in NANOBOT_API_KEY)"
    return ServerRefused(message)


async def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """Return the error for what went wrong before the server answered."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ServerUnreachable(_of_certificate(url, error.certificate_error))
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return ServerUnreachable(
            f"{url} shows another certificate than the server of this data directory: something else answers"
            " there"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        plain = url.replace("https://", "http://", 1)
        return ServerUnreachable(
            f"no TLS connection to {url} ({_reason(error)}): if the server does not speak HTTPS, use {plain}"
        )
    if await expects_https(url):
        return ServerUnreachable(f"{url} speaks HTTPS: use {url.replace('http://', 'https://', 1)}")
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return ServerUnreachable(
        f"no answer from {url} ({reason or 'timed out'}): is `nanobot serve` running there?"
    )


async def not_nanobot(url: str, status: int) -> ServerUnreachable:
    """Return the error for an answer that is not from nanobot."""
    if await expects_https(url):
        return ServerUnreachable(f"{url} speaks HTTPS: use {url.replace('http://', 'https://', 1)}")
    return ServerUnreachable(f"{url} answered {status}, and not like nanobot: check the URL")


async def expects_https(url: str) -> bool:
    """Return whether `url` says http, and something that speaks TLS listens there."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        return False
    # Only whether TLS is spoken matters here: nothing is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PROBE_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _of_certificate(url: str, error: Exception) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {url} cannot be used ({error})"
    if error.verify_code == _EXPIRED:
        return f"the certificate of {url} has expired: it has to be renewed on the server"
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {url} is not valid yet: check the clocks of this machine and the server"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"the certificate of {url} is for another name ({error.verify_message.rstrip('.')}): call the"
            " server by the name in its certificate"
        )
    return (
        f"the certificate of {url} is not trusted here ({error.verify_message}): name the file of the"
        " certificate, or of its authority, in SSL_CERT_FILE; beside the server, leave --url out"
    )


def _reason(error: aiohttp.ClientSSLError) -> str:
    reason = (
        getattr(error.os_error, "reason", None) if isinstance(error, aiohttp.ClientConnectorError) else None
    )
    return str(reason or error).lower().replace("_", " ")
