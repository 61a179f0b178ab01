"""Looking where no client looks: at what the model was shown, and at what was written down."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from nanobot.isolation.canaries import PAST, Canaries, Canary, tenant_of
from nanobot.isolation.client import Leak
from nanobot.isolation.witness import SeenPrompt

NAMES = frozenset({"id", "keyname"})
"""Secrets to other sessions, but names to whoever runs the server."""


class LogWatch(logging.Handler):
    """Reads the log while it is written, down to the last detail; nothing that was said, and no session key,
    may stand in it.
    """

    def __init__(self, canaries: Canaries, allowed: frozenset[str]) -> None:
        super().__init__(logging.DEBUG)
        self._canaries = canaries
        self._allowed = allowed
        self.count = 0
        self.leaks: list[Leak] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        line = self.format(record)
        for canary in written_down(self._canaries.find(line), self._allowed):
            where = f"log of {record.name}"
            self.leaks.append(
                Leak(
                    kind="secret",
                    where=where,
                    asker=record.levelname.lower(),
                    owner=canary.owner,
                    channel=canary.channel,
                )
            )

    def __enter__(self) -> "LogWatch":
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.setLevel(self._level)
        root.removeHandler(self)


def written_down(found: Iterable[Canary], allowed: frozenset[str]) -> list[Canary]:
    """Return those that are not to be written down."""
    return [canary for canary in found if canary.channel not in allowed]


def scan_audit_log(data: Path, canaries: Canaries, allowed: frozenset[str]) -> tuple[int, list[Leak]]:
    """Return how many lines the audit log has, and what is in it that is none of its business: who did what
    to which session is.
    """
    written = [
        (file.name, line)
        for file in sorted(data.glob("audit*.jsonl"))
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    leaks = [
        Leak(kind="secret", where="audit log", asker=name, owner=canary.owner, channel=canary.channel)
        for name, line in written
        for canary in written_down(canaries.find(line), allowed)
    ]
    return len(written), leaks


def scan_prompts(prompts: Sequence[SeenPrompt]) -> tuple[dict[int, int], list[Leak]]:
    """Return how many tokens each tenant's prompts and their answers had, and what was shown of a session in
    another's turn.

    Whose turn it was is told by the hint that goes with each prompt: all prompts with one hint must be of one
    tenant.
    """
    found = [(prompt, [canary for canary in prompt.shown if canary.channel != "id"]) for prompt in prompts]
    whose: dict[str, int] = {}
    for prompt, shown in found:
        if len({canary.owner for canary in shown}) == 1:
            whose.setdefault(prompt.hint, tenant_of(shown[0].owner))
    leaks: list[Leak] = []
    spent: dict[int, int] = {}
    for prompt, shown in found:
        tenant = whose.get(prompt.hint)
        if tenant is not None:
            spent[tenant] = spent.get(tenant, 0) + prompt.tokens
        lives = {canary.owner for canary in shown}
        for canary in shown:
            is_past = canary.owner >= PAST and (len(lives) > 1 or canary.owner in prompt.gone)
            if canary.channel in ("key", "keyname") or tenant_of(canary.owner) != tenant or is_past:
                asker = "an unknown session" if tenant is None else f"session {tenant}"
                leaks.append(
                    Leak(
                        kind="secret", where="prompt", asker=asker, owner=canary.owner, channel=canary.channel
                    )
                )
    return spent, leaks
