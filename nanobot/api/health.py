"""GET /health and /ready: whether the process lives, and whether it could answer."""

import logging
from collections.abc import Awaitable, Callable

import msgspec
from starlette.types import Send

from nanobot.api.wire.lists import encode
from nanobot.core.errors import NanobotError
from nanobot.core.store import Store
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer

_log = logging.getLogger(__name__)


class Alive(msgspec.Struct, frozen=True):
    status: str


class Readiness(msgspec.Struct, frozen=True):
    """`ok` or what is wrong, for each of the things that an answer needs."""

    status: str
    store: str
    model: str


class HealthRoute:
    """GET /health: the process answers."""

    async def __call__(self, request: Request, send: Send) -> None:
        await answer(send, 200, encode(Alive("ok")))


class ReadyRoute:
    """GET /ready: the store can commit and the default model could answer; 503 with the reason where not."""

    def __init__(self, store: Store, check_model: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._check_model = check_model

    async def __call__(self, request: Request, send: Send) -> None:
        problems: dict[str, str] = {}
        for name, check in (("store", self._store.check), ("model", self._check_model)):
            try:
                await check()
            except NanobotError as error:
                problems[name] = error.public_message
                if error.public_message != error.message:
                    _log.error("not ready: %s", error.message)
        readiness = Readiness(
            "unavailable" if problems else "ok", problems.get("store", "ok"), problems.get("model", "ok")
        )
        await answer(send, 503 if problems else 200, encode(readiness))


def operations(store: Store, check_model: Callable[[], Awaitable[None]]) -> tuple[Operation, ...]:
    """Return the operations of this module."""
    return (
        Operation(
            method="GET",
            path="/health",
            run=HealthRoute(),
            summary="Whether the process lives",
            tag="Server",
            right=None,
            answers={200: Alive},
        ),
        Operation(
            method="GET",
            path="/ready",
            run=ReadyRoute(store, check_model),
            summary="Whether the store can commit and the default model could answer",
            tag="Server",
            right=None,
            answers={200: Readiness, 503: Readiness},
        ),
    )
