"""What every request passes first, and what every answer carries: checks of Host, Origin and API key, a
request id, errors as JSON, a line in the log and in the audit log.
"""

import logging
import time
from collections.abc import Iterable

import msgspec
from starlette.types import Receive, Scope, Send

from nanobot.access.keyring import KeyRing
from nanobot.core.audit_log import AuditSink
from nanobot.core.clock import Clock
from nanobot.core.errors import HeadTooLarge, NanobotError
from nanobot.core.ids import Randomness, new_id
from nanobot.core.observer import NULL_OBSERVER, REQUEST, Observer
from nanobot.core.payer import PAYER
from nanobot.http.audit_entry import audit_entry
from nanobot.http.authentication import Authentication
from nanobot.http.bodies import BodiesInFlight, BodyShare
from nanobot.http.body import ClientGone
from nanobot.http.cors import Cors, is_preflight
from nanobot.http.head import HeadCheck
from nanobot.http.operations import Routes
from nanobot.http.origin import LOOPBACK, OriginCheck
from nanobot.http.request import Request
from nanobot.http.respond import answer_error
from nanobot.http.sent_answer import SentAnswer

_log = logging.getLogger(__name__)
MAX_HEAD_BYTES = 64 * 1024


class Access(msgspec.Struct, frozen=True):
    """Who may use the server.

    `hosts`: names under which it may be called; empty: any. `origins`: web pages of other sites that may use
    it. `always_asks`: a key is needed even where none exists. `max_bad_keys`: how many wrong keys a minute
    one address may send; 0: any number. `audits_polls`: scrapes, and polls of what has not ended, are written
    to the audit log too.
    """

    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    always_asks: bool = False
    max_bad_keys: int = 10
    audits_polls: bool = False


class Guard:
    """The HTTP API as an ASGI app: everything that happens behind it leaves the server as an answer.

    `open_paths`: the routes that need no key; one that ends with a slash stands for all paths that begin so,
    too. `single_headers`: those that may come once a request. `bodies` bounds what all bodies take together,
    `answers` what all answers that clients have yet to read.
    """

    def __init__(
        self,
        routes: Routes,
        access: Access,
        keys: KeyRing,
        audit: AuditSink | None,
        clock: Clock,
        randomness: Randomness,
        *,
        open_paths: frozenset[str],
        single_headers: Iterable[str] = (),
        observer: Observer = NULL_OBSERVER,
        bodies: BodiesInFlight | None = None,
        answers: BodiesInFlight | None = None,
    ) -> None:
        self._routes = routes
        self._bodies = bodies
        self._answers = answers
        self.paths = routes.paths
        self._open_paths = open_paths
        self._open_folders = tuple(path for path in open_paths if path.endswith("/") and path != "/")
        self._observer = observer
        self._audit = audit
        self._cors = Cors(access.origins) if access.origins else None
        self._head = HeadCheck(single_headers)
        self._origins = OriginCheck(access.hosts, self._cors)
        self.authentication = Authentication(
            keys, always_required=access.always_asks, max_bad_keys=access.max_bad_keys
        )
        self._audits_polls = access.audits_polls
        self._clock = clock
        self._randomness = randomness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        now = self._clock.now()
        request = Request(scope, receive, new_id("req", now, self._randomness))
        # uvicorn answers each request in a task of its own, and so in a context of its own.
        REQUEST.set(request.id)
        answer = SentAnswer(request, send, self._answers)
        self._observer.request_began(request.id, request.method, scope["headers"])
        began = time.perf_counter()
        try:
            await self._answer(request, answer, now)
        finally:
            request.body_is_done()
            answer.is_done()
            self._note(request, answer, now, time.perf_counter() - began)

    async def _answer(self, request: Request, answer: SentAnswer, now: float) -> None:
        try:
            # Set before anything can fail: without these headers a page could not read the error.
            if self._cors is not None:
                request.answer_headers = self._cors.headers(request.scope)
            if self._is_let_in(request, now):
                payer = request.payer
                PAYER.set(payer)
                if self._bodies is not None:
                    request.body_share = BodyShare(self._bodies, payer)
                await self._routes.run(request, answer)
            else:
                await answer({"type": "http.response.start", "status": 204, "headers": []})
                await answer({"type": "http.response.body", "body": b""})
            return
        except ClientGone:
            return
        except NanobotError as error:
            problem = error
            request.answer_headers += error.headers
            if error.http_status >= 500:
                cause = error if error.__cause__ else None
                _log.error("request %s: %s", request.id, error.message, exc_info=cause)
            _forget_frames(error)
        except Exception:  # noqa: BLE001 - a bug is a 500, its details go to the log only
            _log.exception("request %s failed", request.id)
            problem = NanobotError(f"Internal server error (request {request.id})")
        # Once the head is out, breaking off is the only way left to say that something failed.
        if not answer.status:
            await answer_error(answer, problem)

    def _is_let_in(self, request: Request, now: float) -> bool:
        """Find out who sent the request; return False for a browser's preflight, which is answered by its
        headers.

        Raises:
            BadApiKey, TooManyBadKeys, ForbiddenOrigin, HeadTooLarge
            InvalidHttp, InvalidRequest, UnsupportedEncoding: as `HeadCheck.check`.
        """
        scope, headers = request.scope, request.headers
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
        # `BoundedConnection` does not see the size of a head that arrives complete in one read.
        if size > MAX_HEAD_BYTES:
            raise HeadTooLarge(f"headers of {size} bytes: at most {MAX_HEAD_BYTES} are allowed")
        is_foreign = self._origins.check(headers, is_keyless=not self.authentication.is_required)
        self._head.check(headers, scope["headers"], scope["http_version"])
        # Before the key is checked: browsers send none with a preflight.
        if is_foreign and is_preflight(scope):
            return False
        if request.path not in self._open_paths and not request.path.startswith(self._open_folders):
            authorization = headers.get(b"authorization", b"")
            request.caller = self.authentication.caller(authorization, request.address, now)
        return True

    def _note(self, request: Request, answer: SentAnswer, now: float, seconds: float) -> None:
        """Write down how the request ended."""
        status, method = answer.status, request.method
        if self._audit is not None:
            entry = audit_entry(request, now, status or None, polls=self._audits_polls)
            if entry is not None:
                self._audit.note(entry)
        route = None if request.route is None else request.route.path.replace(":path", "")
        self._observer.request_ended(request.id, method, route, status, seconds)
        if _log.isEnabledFor(logging.INFO):
            ms = 1000 * seconds
            _log.info(
                "%s %s %d in %.1f ms",
                method,
                route or "(no route)",
                status,
                ms,
                extra={
                    "method": method,
                    "route": route,
                    "status": status,
                    "ms": round(ms, 1),
                    "turn_id": answer.turn_id,
                },
            )


def _forget_frames(error: BaseException) -> None:
    """Let go of the frames that the error passed through. They hold the body of the request, and mostly the
    error itself, so that only the garbage collector would free it: a client that sends large bodies which are
    refused would fill the memory.
    """
    passed: BaseException | None = error
    while passed is not None:
        passed.__traceback__ = None
        passed = passed.__cause__ or passed.__context__
