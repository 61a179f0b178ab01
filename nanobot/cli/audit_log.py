"""The changes that commands make to keys and conversations, recorded in the server's audit log."""

import getpass

import click

from nanobot.app import audit_keeping
from nanobot.config import Config
from nanobot.core.audit_log import AuditEntry
from nanobot.core.clock import SystemClock
from nanobot.stores import audit_log


def record(
    config: Config, operation: str, *, session_key: str | None = None, target: str | None = None
) -> None:
    """Record the operation, unless the audit log is off; the entry is on disk when this returns.

    The operation has happened by now, so an entry that cannot be written is a warning on the standard error.
    """
    if not config.audit.enabled:
        return
    entry = AuditEntry(
        SystemClock().now(),
        operation,
        who(),
        None,
        None,
        session_key=session_key,
        target=target,
        is_urgent=True,
    )
    try:
        audit_log.append(config.data, entry, audit_keeping(config))
    except OSError as error:
        click.echo(
            f"nanobot: this could not be written to the audit log in {config.data} ({error.strerror})",
            err=True,
        )


def who() -> str:
    """Return how the audit log calls the person at this terminal."""
    return f"cli:{_user()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
