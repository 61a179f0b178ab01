"""Who may come in, and what everybody gets: request ids, the API key, Host and Origin, errors as JSON on
every route.
"""

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from nanobot.access.caller import EVERYBODY, Caller
from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.access.rate import RateLimiter, neighbourhood
from nanobot.core.audit import AuditSink
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadApiKey,
    ForbiddenOrigin,
    HeadTooLarge,
    NanobotError,
    RouteNotFound,
    TooManyBadKeys,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.observer import NULL_OBSERVER, REQUEST, Observer
from nanobot.http.audit_entry import entry_of
from nanobot.http.cors import Cors
from nanobot.http.operations import Routes
from nanobot.http.respond import answer_error

_log = logging.getLogger(__name__)
MOST_ADDRESSES = 4_096
MAX_HEAD_BYTES = 64 * 1024
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Access(msgspec.Struct, frozen=True):
    """Who may come in. `hosts`: names under which the server may be called; empty: any. `origins`: web pages
    of other sites that may use it.

    `always_asks`: a key is needed even where there is none. `max_bad_keys`: how many wrong keys a minute one
    address may send; 0: any number.
    """

    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    always_asks: bool = False
    max_bad_keys: int = 10


class Guard:
    """The outermost part of the door; nothing that happens behind it leaves the server as anything but an
    answer.

    `open_paths`: the routes that need no key.
    """

    def __init__(
        self,
        app: Routes,
        access: Access,
        keys: KeyRing,
        quotas: Quotas,
        audit: AuditSink | None,
        clock: Clock,
        randomness: Randomness,
        *,
        open_paths: frozenset[str],
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._open_paths = open_paths
        self._observer = observer
        self._app = app
        self.paths = app.paths
        self._access = access
        self._keys = keys
        self._quotas = quotas
        self._audit = audit
        self._cors = Cors(access.origins) if access.origins else None
        self._bad_keys = RateLimiter(MOST_ADDRESSES)
        self._clock = clock
        self._randomness = randomness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        now = self._clock.now()
        request_id = new_id("req", now, self._randomness)
        # so that the router raises for what it does not know
        scope["app"] = self._app
        scope["request_id"] = request_id
        scope["quotas"] = self._quotas
        # as it was sent: the operations take the pieces apart, then decode them
        scope["path"] = scope["raw_path"].decode("latin-1")
        REQUEST.set(request_id)
        status = 0
        turn_id: str | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status, turn_id
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                if _log.isEnabledFor(logging.INFO):
                    turn_id = next((value.decode() for name, value in headers if name == b"x-turn-id"), None)
                headers.append((b"x-request-id", request_id.encode()))
                headers.extend(scope.get("answer_headers", ()))
            await send(message)

        self._observer.request_began(request_id, scope["method"], scope["headers"])
        began = time.perf_counter()
        try:
            await self._answer(scope, receive, send_with_id, lambda: status > 0, now)
        finally:
            operation = scope.get("operation")
            route = None if operation is None else operation.path.replace(":path", "")
            seconds = time.perf_counter() - began
            if self._audit is not None:
                self._note(scope, now, status or None)
            self._observer.request_ended(request_id, scope["method"], route, status, seconds)
            if _log.isEnabledFor(logging.INFO):
                fields = {
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                    "turn_id": turn_id,
                }
                _log.info(
                    "%s %s %d in %.1f ms",
                    scope["method"],
                    route or "(no route)",
                    status,
                    1000 * seconds,
                    extra=fields,
                )

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, has_begun: Callable[[], bool], now: float
    ) -> None:
        request_id: str = scope["request_id"]
        try:
            if self._cors is not None:
                scope["answer_headers"] = self._cors.headers(scope)
            caller = self._admit(scope, now)
            if caller is None:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            scope["caller"] = caller
            await self._app(scope, receive, send)
            return
        except NanobotError as error:
            problem = error
            if error.http_status >= 500:
                _log.error(
                    "request %s: %s", request_id, error.message, exc_info=error if error.__cause__ else None
                )
        except HTTPException:
            # the router's only word
            problem = RouteNotFound(f"there is nothing at {scope['path']}")
        except Exception:  # noqa: BLE001 - the door's own net: a bug is a 500, the details are in the log only
            _log.exception("request %s failed", request_id)
            problem = NanobotError(f"Internal server error (request {request_id})")
        if not has_begun():
            await answer_error(send, problem)

    def _note(self, scope: Scope, now: float, status: int | None) -> None:
        entry = entry_of(scope, now, status)
        if entry is not None and self._audit is not None:
            self._audit.note(entry)

    def _admit(self, scope: Scope, now: float) -> Caller | None:
        """Let the request in; return who sent it. None: it is a browser's question, which is answered by its
        headers.

        Raises: BadApiKey, TooManyBadKeys, ForbiddenOrigin, HeadTooLarge
        """
        host = origin = authorization = b""
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"authorization":
                authorization = value
        if size > MAX_HEAD_BYTES:
            raise HeadTooLarge(f"headers of {size} bytes: at most {MAX_HEAD_BYTES} are allowed")
        hosts = self._access.hosts
        if hosts and _host_name("//" + host.decode("latin-1")) not in hosts:
            raise ForbiddenOrigin(
                f"host {host.decode('latin-1')!r} is not this server: call it as localhost, or list the name in api.allowed_hosts"
            )
        asks = self._access.always_asks or self._keys.has_any
        cors = self._cors
        if origin and cors is not None and cors.lets(origin, is_keyless=not asks):
            if cors.is_preflight(scope):
                return None
        elif hosts and origin and _host_name(origin.decode("latin-1")) not in hosts:
            raise ForbiddenOrigin(
                f"a page of {origin.decode('latin-1')!r} may not use this server: list it in api.cors_origins, or its host in "
                "api.allowed_hosts, to let it"
            )
        if not asks or scope["path"] in self._open_paths:
            return EVERYBODY
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise BadApiKey("no API key given: send it as `Authorization: Bearer KEY`")
        return self._authenticate(token.strip(), scope["client"], now)

    def _authenticate(self, token: bytes, client: tuple[str, int] | None, now: float) -> Caller:
        """Return whose key it is.

        Where too many wrong ones came from the address, a key that somebody chose is not even looked at: it
        might be guessed. One of 256 random bits cannot be, and opens the door all the same: who has it is not
        kept out by what a neighbour sends.
        """
        held = self._keys.find(token)
        if held is not None and held.key.is_strong and held.is_valid(now):
            return held.caller
        most = self._access.max_bad_keys
        address = neighbourhood(client[0]) if client else ""
        if most and (wait_s := self._bad_keys.wait_s(address, most, now)) > 0:
            raise TooManyBadKeys(
                "too many wrong API keys came from this address: wait a minute", retry_after_s=wait_s
            )
        if held is not None and held.is_valid(now):
            return held.caller
        if most:
            self._bad_keys.take(address, most, now)
        raise BadApiKey("the API key is not valid here")


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
