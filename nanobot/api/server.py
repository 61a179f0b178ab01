"""The door as a whole: which route leads where."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.api import (
    conversations,
    files,
    health,
    metrics,
    models,
    reference,
    responses,
    sessions,
    turns,
    usage,
)
from nanobot.api.chat import ChatCompletions, ChatSettings
from nanobot.api.files import FileSettings
from nanobot.api.sessions import SessionSettings
from nanobot.core.audit import AuditSink
from nanobot.core.clock import Clock
from nanobot.core.ids import Randomness
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.store import Store
from nanobot.http.guard import Access, Guard
from nanobot.http.operations import Operation, Routes
from nanobot.http.session_key import KeyReader
from nanobot.submit.attachments import Attachments
from nanobot.submit.followers import Followers


def build_door(
    store: Store,
    followers: Followers,
    clock: Clock,
    randomness: Randomness,
    *,
    access: Access,
    keys: KeyRing,
    quotas: Quotas,
    audit: AuditSink | None,
    settings: ChatSettings,
    contents: Attachments,
    file_settings: FileSettings,
    check_model: Callable[[], Awaitable[None]],
    render_metrics: Callable[[], Awaitable[str]],
    observer: Observer = NULL_OBSERVER,
) -> ASGIApp:
    """Return the HTTP door as an ASGI app. `check_model` raises where the default model could not answer now,
    `render_metrics` returns the metrics as text.
    """
    found = operations(
        store,
        followers,
        clock,
        randomness,
        settings=settings,
        contents=contents,
        file_settings=file_settings,
        check_model=check_model,
        render_metrics=render_metrics,
    )
    open_paths = frozenset(operation.path for operation in found if operation.right is None)
    return Guard(
        Routes(found),
        access,
        keys,
        quotas,
        audit,
        clock,
        randomness,
        open_paths=open_paths,
        observer=observer,
    )


def operations(
    store: Store,
    followers: Followers,
    clock: Clock,
    randomness: Randomness,
    *,
    settings: ChatSettings,
    contents: Attachments,
    file_settings: FileSettings,
    check_model: Callable[[], Awaitable[None]],
    render_metrics: Callable[[], Awaitable[str]],
) -> tuple[Operation, ...]:
    """Return everything that the door offers; the route that is asked for most comes first."""
    chat = ChatCompletions(store, followers, clock, randomness, settings, contents)
    found = (
        chat.operation(),
        *responses.operations(store, followers, clock, randomness, settings, contents),
        *conversations.operations(store, clock, randomness, settings, contents),
        *turns.operations(store, followers, ping_s=settings.ping_s),
        *files.operations(store, clock, randomness, KeyReader(settings.session_headers), file_settings),
        *usage.operations(store, clock),
        *sessions.operations(
            store,
            clock,
            randomness,
            SessionSettings(settings.max_body_bytes, settings.body_timeout_s, settings.ping_s),
        ),
        *models.operations(settings.models, clock.now()),
        *health.operations(store, check_model),
        *metrics.operations(render_metrics, is_open=settings.metrics_open),
    )
    return (*found, *reference.operations(found))
