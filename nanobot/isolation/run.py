"""A run of the isolation audit: a server on a directory of its own, tenants who use it, and their attacks."""

import asyncio
import contextlib
import datetime
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from nanobot.app import App, Models, open_app
from nanobot.config import Config, KeyTable
from nanobot.core.clock import SystemClock
from nanobot.core.tool import Tool
from nanobot.http.guard import Guard
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.audit import EXPIRED_KEY, IsolationAudit, IsolationOptions
from nanobot.isolation.caching_models import CachingModel, caching_models
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import InspectingClient, Leak, http_session
from nanobot.isolation.recording_model import RecordingModel, vaults
from nanobot.isolation.report import ChannelCoverage, Report, RouteCoverage
from nanobot.isolation.scan import ARGUMENT_CHANNELS, OPERATOR_CHANNELS, LogScanner, scan_audit_log
from nanobot.isolation.server import serve_on_free_port
from nanobot.isolation.tenants import hash_of, make_tenants
from nanobot.isolation.testbed import Testbed


async def run_isolation_audit(
    config: Config, options: IsolationOptions, show_progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Run an audit with the settings of `config`, and return what it found.

    Nothing is sent to other machines, and the data directory of `config` is not touched.

    Raises:
        ConfigError, StoreError: the app cannot be opened with these settings.
    """
    rng = random.Random(options.seed)  # noqa: S311 - secrets of a server that is gone afterwards
    canaries = Canaries(rng)
    tenants = make_tenants(options.sessions, canaries, rng)
    model = RecordingModel(canaries)
    owners: dict[str, int] = {key: tenant.number for tenant in tenants for key in tenant.keys}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nanobot-audit-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        isolated = isolated_config(config, data, (each.table() for each in tenants), options.parallel)
        with LogScanner(canaries, OPERATOR_CHANNELS) as log:
            async with (
                serving(isolated, model, vaults(canaries, owners)) as (origin, needs_key, caching),
                http_session() as http,
                asyncio.TaskGroup() as group,
            ):
                client = InspectingClient(http, origin, canaries, options.refusal_timeout_s)
                testbed = Testbed(client, canaries, model, needs_key, group)
                audit = IsolationAudit(
                    testbed, tenants, needs_key, owners, options, rng, show_progress, caching
                )
                await audit.run()
        audit_log_lines, audit_log_leaks = scan_audit_log(
            data, canaries, OPERATOR_CHANNELS | ARGUMENT_CHANNELS | {"key"}
        )
    leaks = (*client.leaks, *audit.prompt_leaks, *log.leaks, *audit_log_leaks)
    seconds = time.monotonic() - started
    return _report(testbed, caching, needs_key, options, leaks, seconds, log.count, audit_log_lines)


@contextlib.asynccontextmanager
async def serving(
    config: Config, model: RecordingModel, tools: Sequence[Tool]
) -> AsyncIterator[tuple[str, dict[str, bool], tuple[CachingModel, ...]]]:
    """Serve the app; yield the URL of its root, its operations with whether each needs an API key, and the
    models whose caches can be attacked.
    """
    async with caching_models(config.data, SystemClock()) as caching:
        further = {each.name: each.model for each in caching}
        models = Models(model, {**dict.fromkeys(config.models, model), **further})
        async with open_app(config, models, tools=tools) as app, serve_on_free_port(app.asgi) as origin:
            yield origin, _operations(app), caching


def _report(
    testbed: Testbed,
    caching: Sequence[CachingModel],
    routes: Iterable[str],
    options: IsolationOptions,
    leaks: Sequence[Leak],
    seconds: float,
    log_lines: int,
    audit_log_lines: int,
) -> Report:
    client = testbed.client
    return Report(
        sessions=options.sessions,
        parallel=options.parallel,
        seed=options.seed,
        seconds=seconds,
        channels=_channel_coverage(testbed.canaries),
        routes=_route_coverage(client, routes),
        statuses={str(status): count for status, count in sorted(client.statuses.items())},
        prompts=len(testbed.model.prompts),
        cached_prompts=sum(len(each.provider.asked) for each in caching),
        log_lines=log_lines,
        audit_log_lines=audit_log_lines,
        uncovered=uncovered_routes(routes),
        unanswered=client.unanswered,
        leaks=leaks,
    )


def _channel_coverage(canaries: Canaries) -> tuple[ChannelCoverage, ...]:
    return tuple(
        ChannelCoverage(name, count, len(canaries.seen.get(name, ())))
        for name, count in sorted(canaries.created.items())
    )


def _route_coverage(client: InspectingClient, routes: Iterable[str]) -> tuple[RouteCoverage, ...]:
    return tuple(
        RouteCoverage(route, client.requests[route], client.compared[route])
        for route in routes
        if route in ATTEMPTS
    )


def isolated_config(config: Config, data: Path, keys: Iterable[KeyTable], parallel: int) -> Config:
    """Return the user's settings, but with the directory and the keys of the audit, and with enough capacity
    for all of its requests, so many in parallel.
    """
    replace = msgspec.structs.replace
    ended = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    expired = KeyTable(name="expired", hash=hash_of(EXPIRED_KEY), expires=ended)
    return replace(
        config,
        server=replace(config.server, host="127.0.0.1", data=str(data), shutdown_grace_s=0.0),
        api=replace(
            # The audit itself sends wrong keys, and they must not lock it out.
            config.api,
            key=None,
            stream=True,
            max_bad_keys=0,
            max_queue=max(config.api.max_queue, 64),
        ),
        engine=replace(config.engine, max_running_turns=max(config.engine.max_running_turns, 4 * parallel)),
        # The data is deleted afterwards: there is no need to wait for the disk.
        store=replace(config.store, synchronous="normal"),
        keys=(*keys, expired),
        quotas=(),
        # By other rules, two of the tenants might be one person.
        scopes=(),
        policy=(),
    )


def _operations(app: App) -> dict[str, bool]:
    """Return the operations that the app offers, as `METHOD /path`, and whether each needs an API key."""
    guard = app.asgi
    if not isinstance(guard, Guard):
        raise TypeError(f"the app's entry is a {type(guard).__name__}, which does not list its operations")
    operations = [operation for path in guard.paths.values() for operation in path.operations.values()]
    return {
        f"{operation.method} {operation.path.replace(':path', '')}": operation.right is not None
        for operation in operations
    }


def uncovered_routes(routes: Iterable[str]) -> tuple[str, ...]:
    """Return the routes for which the audit has no attempts."""
    return tuple(route for route in routes if route not in ATTEMPTS)
