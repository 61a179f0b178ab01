"""Searching what no client sees: the prompts, the log, and the audit log."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from nanobot.isolation.canaries import PAST, Canaries, Canary, tenant_of
from nanobot.isolation.client import Leak
from nanobot.isolation.recording_model import RecordedPrompt

OPERATOR_CHANNELS = frozenset({"id", "keyname"})
"""Secrets from other sessions, but not from the operator, who needs them to read logs."""
ARGUMENT_CHANNELS = frozenset({"arguments", "workspacename", "workspacetext"})
"""What stands in arguments of tool calls, which the audit log has."""


class LogScanner(logging.Handler):
    """Searches the log as it is written, down to the level `debug`.

    No message text and no session key may be in it; secrets of the `allowed` channels may. `count`: how many
    lines were searched. A context manager, which attaches it to the root logger.
    """

    def __init__(self, canaries: Canaries, allowed: frozenset[str]) -> None:
        super().__init__(logging.DEBUG)
        self._canaries = canaries
        self._allowed = allowed
        self.count = 0
        self.leaks: list[Leak] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        for canary in _outside(self._allowed, self._canaries.find(self.format(record))):
            self.leaks.append(_leak(f"log of {record.name}", record.levelname.lower(), canary))

    def __enter__(self) -> "LogScanner":
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.setLevel(self._level)
        root.removeHandler(self)


def scan_audit_log(data: Path, canaries: Canaries, allowed: frozenset[str]) -> tuple[int, list[Leak]]:
    """Return how many lines the audit log has, and the secrets in it that no `allowed` channel brought in."""
    lines = [
        (file.name, line)
        for file in sorted(data.glob("audit*.jsonl"))
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    leaks = [
        _leak("audit log", name, canary)
        for name, line in lines
        for canary in _outside(allowed, canaries.find(line))
    ]
    return len(lines), leaks


def scan_prompts(prompts: Sequence[RecordedPrompt]) -> tuple[dict[int, int], list[Leak]]:
    """Return how many tokens each tenant's prompts and answers took, and the secrets in others' prompts.

    Each prompt carries an opaque hint of its session: all prompts with one hint must be of one tenant.
    """
    without_ids = [
        (prompt, [canary for canary in prompt.canaries if canary.channel != "id"]) for prompt in prompts
    ]
    tenants: dict[str, int] = {}
    for prompt, canaries in without_ids:
        if len({canary.owner for canary in canaries}) == 1:
            tenants.setdefault(prompt.hint, tenant_of(canaries[0].owner))
    leaks: list[Leak] = []
    tokens: dict[int, int] = {}
    for prompt, canaries in without_ids:
        tenant = tenants.get(prompt.hint)
        if tenant is not None:
            tokens[tenant] = tokens.get(tenant, 0) + prompt.tokens
        requester = "an unknown session" if tenant is None else f"session {tenant}"
        leaks.extend(
            _leak("prompt", requester, canary)
            for canary in canaries
            if _is_misplaced(canary, prompt, tenant, owners={each.owner for each in canaries})
        )
    return tokens, leaks


def _is_misplaced(canary: Canary, prompt: RecordedPrompt, tenant: int | None, *, owners: set[int]) -> bool:
    """Return whether the secret may not be in the tenant's prompt, in which secrets of `owners` are."""
    if canary.channel in ("key", "keyname") or tenant_of(canary.owner) != tenant:
        return True
    # A deleted session must not show up in the one that has its key now.
    return canary.owner >= PAST and (len(owners) > 1 or canary.owner in prompt.deleted_owners)


def _outside(allowed: frozenset[str], canaries: Iterable[Canary]) -> list[Canary]:
    return [canary for canary in canaries if canary.channel not in allowed]


def _leak(where: str, requester: str, canary: Canary) -> Leak:
    return Leak(kind="secret", where=where, requester=requester, owner=canary.owner, channel=canary.channel)
