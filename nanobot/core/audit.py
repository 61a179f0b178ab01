"""The audit log: who did what to which conversation."""

from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did what to which conversation. `key_id` None: no key was needed. `status` None: nobody waited for
    the answer.

    `is_weighty`: it must be on the disk before anything else happens.
    """

    at: float
    operation: str
    client: str | None
    key_id: str | None
    status: int | None
    session_key: str | None = None
    target: str | None = None
    request_id: str | None = None
    is_weighty: bool = False


class AuditSink(Protocol):
    """Where it is written down."""

    def note(self, entry: AuditEntry) -> None:
        """Write the entry soon; never waits, never raises."""
        ...
