"""What commands do to keys and conversations, written into the same audit log as the server's requests."""

import getpass

import click

from nanobot.app import audit_keeping
from nanobot.config import Config
from nanobot.core.audit import AuditEntry
from nanobot.core.clock import SystemClock
from nanobot.stores import audit_log as audit


def write_down(
    config: Config, operation: str, *, session_key: str | None = None, target: str | None = None
) -> None:
    """Add what was done to the audit log, where there is one; it is on the disk when this returns."""
    if not config.audit.enabled:
        return
    entry = AuditEntry(
        SystemClock().now(),
        operation,
        f"cli:{_user()}",
        None,
        None,
        session_key=session_key,
        target=target,
        is_weighty=True,
    )
    try:
        audit.append(config.data, entry, audit_keeping(config))
    except OSError as error:
        click.echo(
            f"nanobot: this could not be written to the audit log in {config.data} ({error.strerror})",
            err=True,
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
