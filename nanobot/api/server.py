"""The door as a whole: which route leads where."""

from collections.abc import Awaitable, Callable

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from nanobot.api.chat import AGENT, ChatCompletions, ChatSettings
from nanobot.api.following import Followers
from nanobot.api.guard import Access, Guard, answer
from nanobot.api.turns import CancelTurn, Turns, TurnStream
from nanobot.api.wire import ModelCard, Page, encode
from nanobot.core.clock import Clock
from nanobot.core.errors import ModelNotFound, NanobotError
from nanobot.core.ids import Randomness
from nanobot.core.store import Store


def build_door(
    store: Store,
    followers: Followers,
    clock: Clock,
    randomness: Randomness,
    *,
    access: Access,
    settings: ChatSettings,
    check_model: Callable[[], Awaitable[None]],
) -> ASGIApp:
    """Return the HTTP door as an ASGI app. `check_model` raises where the default model could not answer now."""
    started = clock.now()
    router = Router(
        [
            Route("/v1/chat/completions", ChatCompletions(store, followers, clock, randomness, settings), methods=["POST"]),
            Route("/v1/turns/{turn_id}", Turns(store), methods=["GET"]),
            Route("/v1/turns/{turn_id}/stream", TurnStream(store, followers, ping_s=settings.ping_s), methods=["GET"]),
            Route("/v1/turns/{turn_id}/cancel", CancelTurn(store), methods=["POST"]),
            Route("/v1/models", Models(settings.models, started), methods=["GET"]),
            Route("/v1/models/{model_id:path}", OneModel(settings.models, started), methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/ready", Ready(store, check_model), methods=["GET"]),
        ],
        redirect_slashes=False,
    )
    return Guard(router, access, clock, randomness)


class Health:
    """GET /health: the process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, b'{"status":"ok"}')


health = Health()


class Ready:
    """GET /ready: the store can commit and the default model could answer; 503 with the reason where not."""

    def __init__(self, store: Store, check_model: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._check_model = check_model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problems: dict[str, str] = {}
        for name, check in (("store", self._store.check), ("model", self._check_model)):
            try:
                await check()
            except NanobotError as error:
                problems[name] = error.message
        checks = {name: problems.get(name, "ok") for name in ("store", "model")}
        await answer(send, 503 if problems else 200, encode({"status": "unavailable" if problems else "ok", **checks}))


class Models:
    """GET /v1/models: `nanobot` and the configured presets."""

    def __init__(self, presets: tuple[str, ...], started: float) -> None:
        cards = tuple(ModelCard(id=name, created=int(started)) for name in (AGENT, *presets))
        self._body = encode(Page(data=cards, first_id=cards[0].id, last_id=cards[-1].id, has_more=False))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, self._body)


class OneModel:
    """GET /v1/models/{model_id}"""

    def __init__(self, presets: tuple[str, ...], started: float) -> None:
        self._names = (AGENT, *presets)
        self._started = int(started)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["model_id"]
        if name not in self._names:
            raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
        await answer(send, 200, encode(ModelCard(id=name, created=self._started)))
