"""Attempts on what is of no one session."""

from collections.abc import Iterable

from nanobot.isolation.attacker import AttemptBuilder, OwnSessions
from nanobot.isolation.client import Attempt
from nanobot.isolation.tenants import Resources


def usage(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for query in ("", "?group=key", "?group=day,key,model"):
        yield Attempt(route=route, target=f"/v1/usage{query}")


def same_for_all(target: str) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        yield Attempt(route=route, target=target, is_shared=True)

    return build
