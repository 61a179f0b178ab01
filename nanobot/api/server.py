"""The door as a whole: which route leads where."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from nanobot.api import health, models, turns
from nanobot.api.chat import ChatCompletions, ChatSettings
from nanobot.api.following import Followers
from nanobot.api.guard import Access, Guard
from nanobot.api.operations import Operation, router
from nanobot.core.clock import Clock
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
    found = operations(store, followers, clock, randomness, settings=settings, check_model=check_model)
    return Guard(router(found), access, clock, randomness)


def operations(
    store: Store,
    followers: Followers,
    clock: Clock,
    randomness: Randomness,
    *,
    settings: ChatSettings,
    check_model: Callable[[], Awaitable[None]],
) -> tuple[Operation, ...]:
    """Return everything that the door offers; the route that is asked for most comes first."""
    chat = ChatCompletions(store, followers, clock, randomness, settings)
    return (
        chat.operation(),
        *turns.operations(store, followers, ping_s=settings.ping_s),
        *models.operations(settings.models, clock.now()),
        *health.operations(store, check_model),
    )
