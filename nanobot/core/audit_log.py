"""The audit log: who did what to which conversation."""

from typing import Literal, Protocol

import msgspec

CallDecision = Literal["allow", "deny", "ask", "rule", "approved", "denied", "expired", "limit"]
"""Why a call was run or was not: the policy lets it run, or does not; a person is asked; a rule that a person
made, or an answer to this call, lets it run; the person refused, or did not answer in time; it was one too
many.
"""
CallOutcome = Literal["ok", "error", "waiting", "not_run", "unknown"]


class AuditedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of a tool. `arguments`: without secrets. `decided_by`: the rule, or who answered. `approval`:
    the id of the one that was asked for.
    """

    tool: str
    arguments: str
    decision: CallDecision
    outcome: CallOutcome
    decided_by: str | None = None
    approval: str | None = None


class AuditedConnection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connection that a command has made, or wanted to: `refused` says why it was not. `sent`, `received`:
    bytes, as the command sees it.
    """

    host: str
    port: int
    address: str | None = None
    sent: int = 0
    received: int = 0
    refused: str | None = None


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did what to which conversation.

    `at`: seconds since the epoch. `operation`: a route, a command, how a turn was submitted, or `tool call`.
    `client`: the address that it came from. `key_id` None: no API key was needed. `status` None: the client
    did not wait for the answer, or there is none. `target`: the turn, file or key concerned. `is_urgent`: it
    is synced to the disk at once. `call`: the call of a tool. `connection`: of a command.
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
    call: AuditedCall | None = None
    connection: AuditedConnection | None = None


class AuditSink(Protocol):
    """Where entries are written."""

    def note(self, entry: AuditEntry) -> None:
        """Write the entry soon; return at once, and never raise."""
        ...
