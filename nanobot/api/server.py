"""The HTTP API as a whole: all operations, and the app that answers them."""

from collections.abc import Awaitable, Callable

import msgspec

from nanobot.access.keyring import KeyRing
from nanobot.api import (
    approval_links,
    approvals,
    conversations,
    files,
    health,
    memory,
    metrics,
    models,
    people,
    person_export,
    reference,
    responses,
    session_events,
    session_transfer,
    sessions,
    turns,
    usage,
)
from nanobot.api.chat import ChatCompletions
from nanobot.api.files import FileSettings
from nanobot.api.mcp import McpEndpoint
from nanobot.api.sealed_summaries import SummarySeal
from nanobot.api.settings import ApiSettings
from nanobot.core.audit_log import AuditSink
from nanobot.core.clock import Clock
from nanobot.core.compaction import Compacting
from nanobot.core.ids import Randomness
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.store import Store
from nanobot.core.workspace import Workspaces
from nanobot.http.bodies import BodiesInFlight
from nanobot.http.guard import Access, Guard
from nanobot.http.operations import Operation, Routes
from nanobot.http.session_key import KeyReader
from nanobot.submit.attachments import Attachments
from nanobot.submit.submitter import Submitter
from nanobot.web import routes as web


class ApiResources(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations of the API need.

    `check_model` raises where the default model could not answer now, `render_metrics` returns the metrics as
    text. `secret`: what summaries are signed with that clients keep, and links to approvals. `workspaces`:
    the files of the agent; None: there are none.
    """

    store: Store
    submitter: Submitter
    attachments: Attachments
    clock: Clock
    randomness: Randomness
    keys: KeyRing
    settings: ApiSettings
    file_settings: FileSettings
    check_model: Callable[[], Awaitable[None]]
    render_metrics: Callable[[], Awaitable[str]]
    compacting: Compacting
    secret: bytes
    workspaces: Workspaces | None = None


def build_api(
    resources: ApiResources, *, access: Access, audit: AuditSink | None, observer: Observer = NULL_OBSERVER
) -> Guard:
    """Return the API as an ASGI app."""
    settings = resources.settings
    offered = operations(resources)
    open_paths = frozenset(
        operation.path.partition("{")[0] for operation in offered if operation.right is None
    )
    named = {each.name for operation in offered for each in operation.parameters if each.where == "header"}
    return Guard(
        Routes(offered),
        access,
        resources.keys,
        audit,
        resources.clock,
        resources.randomness,
        open_paths=open_paths,
        single_headers=named.union(settings.session_headers),
        observer=observer,
        bodies=BodiesInFlight(settings.max_bodies_bytes, settings.max_body_bytes),
        answers=BodiesInFlight(
            settings.max_bodies_bytes, settings.max_body_bytes, "answers that clients have yet to read"
        ),
    )


def operations(resources: ApiResources) -> tuple[Operation, ...]:
    """Return everything that the API offers."""
    store, clock, randomness = resources.store, resources.clock, resources.randomness
    submitter, attachments = resources.submitter, resources.attachments
    settings, secret = resources.settings, resources.secret
    session_keys = KeyReader(settings.session_headers)
    links = approval_links.ApprovalLinks(secret, resources.keys, clock)
    offered = (
        ChatCompletions(submitter, settings).operation(),
        *responses.operations(
            store,
            submitter,
            attachments,
            clock,
            randomness,
            settings,
            compacting=resources.compacting,
            seal=SummarySeal(secret),
        ),
        McpEndpoint(store, submitter, settings).operation(),
        *conversations.operations(store, clock, randomness, settings, attachments),
        *turns.operations(store, submitter, ping_s=settings.ping_s),
        *files.operations(
            store, clock, randomness, session_keys, resources.file_settings, resources.workspaces
        ),
        *approvals.operations(store, session_keys, settings, links),
        *approval_links.operations(store, links),
        *memory.operations(store, clock, randomness, session_keys, settings),
        *usage.operations(store, clock),
        *sessions.operations(store, clock, randomness, settings),
        *session_transfer.operations(store, clock, settings),
        *people.operations(store, clock, randomness, settings),
        person_export.operation(store),
        session_events.operation(store, ping_s=settings.ping_s),
        *models.operations(settings.models, clock.now()),
        *health.operations(store, resources.check_model),
        *metrics.operations(resources.render_metrics, is_open=settings.metrics_open),
        *web.operations(),
    )
    return (*offered, *reference.operations(offered))
