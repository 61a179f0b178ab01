"""The audit log: who did what to which conversation."""

from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did what to which conversation.

    `at`: seconds since the epoch. `operation`: a route, a command, or how a turn was submitted. `client`:
    the address that it came from. `key_id` None: no API key was needed. `status` None: the client did not
    wait for the answer, or there is none. `target`: the turn, file or key concerned. `is_urgent`: it is
    synced to the disk at once.
    """

    at: float
    operation: str
    client: str | None
    key_id: str | None
    status: int | None
    session_key: str | None = None
    target: str | None = None
    request_id: str | None = None
    is_urgent: bool = False


class AuditSink(Protocol):
    """Where entries are written."""

    def note(self, entry: AuditEntry) -> None:
        """Write the entry soon; return at once, and never raise."""
        ...
