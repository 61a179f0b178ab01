"""What a running server does again and again."""

import asyncio
from pathlib import Path

from nanobot.access.keyring import REFRESH_S
from nanobot.app import settings
from nanobot.app.app import App
from nanobot.app.periodic import CLEANUP_EVERY_S, PeriodicJob
from nanobot.app.personas import REFRESH_S as PERSONAS_REFRESH_S
from nanobot.core.errors import StoreError
from nanobot.stores.retention import delete_unused
from nanobot.stores.workspaces.folder import WorkspaceFolder
from nanobot.stores.workspaces.leftovers import remove_leftovers
from nanobot.stores.workspaces.orphans import delete_orphans
from nanobot.submit.deliveries import FLUSH_EVERY_S

ERASURES_EVERY_S = 60.0
_DAY_S = 86_400.0
_SWEEP_EVERY_S = 6 * 3600.0


def periodic_jobs(app: App) -> tuple[PeriodicJob, ...]:
    """Return all jobs of a server."""
    store, rules = app.store, settings.retention_rules(app.config)
    return (
        PeriodicJob(
            name="refresh the API keys",
            run=lambda: app.accounts.keys.refresh(store),
            every_s=REFRESH_S,
            first_after_s=REFRESH_S,
        ),
        PeriodicJob(
            name="refresh the linked accounts",
            run=app.accounts.people.refresh,
            every_s=REFRESH_S,
            first_after_s=REFRESH_S,
        ),
        PeriodicJob(
            name="note which answers were delivered",
            run=app.submitting.deliveries.flush,
            every_s=FLUSH_EVERY_S,
        ),
        PeriodicJob(
            name="delete expired uploads",
            run=store.delete_expired_uploads,
            every_s=CLEANUP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
        PeriodicJob(
            name="finish the erasures that broke off",
            run=store.finish_erasures,
            every_s=ERASURES_EVERY_S,
            first_after_s=ERASURES_EVERY_S,
        ),
        PeriodicJob(
            name="delete what commands of an earlier server left",
            run=lambda: _delete_leftovers(app.config.data),
            every_s=CLEANUP_EVERY_S,
        ),
        *_sweeping(app),
        PeriodicJob(
            name="delete old approvals",
            run=lambda: store.delete_old_approvals(app.clock.now() - app.config.approvals.keep_days * _DAY_S),
            every_s=CLEANUP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
        *_watching(app),
        *app.resources.jobs,
        PeriodicJob(
            name="delete unused sessions", run=lambda: delete_unused(store, rules), every_s=CLEANUP_EVERY_S
        ),
    )


async def _delete_leftovers(data: Path) -> None:
    if not await asyncio.to_thread(remove_leftovers, data):
        raise StoreError(f"some of it cannot be deleted in {data}: see whom it belongs to")


def _sweeping(app: App) -> tuple[PeriodicJob, ...]:
    """Return the job that deletes workspaces whose sessions are gone, where there are workspaces."""
    if app.resources.workspaces is None:
        return ()
    folder = WorkspaceFolder(app.config.data)
    return (
        PeriodicJob(
            name="delete the workspaces of deleted sessions",
            run=lambda: delete_orphans(folder, app.store),
            every_s=_SWEEP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
    )


def _watching(app: App) -> tuple[PeriodicJob, ...]:
    """Return the job that reads the settings of the agents again, where they came from a file."""
    if not app.personas.is_watching:
        return ()
    return (
        PeriodicJob(
            name="read the settings of the agents again",
            run=app.personas.refresh,
            every_s=PERSONAS_REFRESH_S,
            first_after_s=PERSONAS_REFRESH_S,
        ),
    )
