"""Attempts on conversations and their items."""

from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from nanobot.isolation.attacker import OwnSessions, naming, target_of, victim_header
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources

conversation = partial(
    naming, "conversation_id", lambda victim: (victim.session_key, *victim.conversations), by="key"
)
"""By the main session key, and by those created through `/v1/conversations`."""


def create(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(
        route=route, target="/v1/conversations", headers=victim_header(victim), body=b"{}", refers_by="key"
    )


def items(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield from conversation(queries=("", "?order=asc&limit=100"))(route, own, victim)
    path = target_of(route, "conversation_id", own.conversation)
    for item in victim.items:
        yield Attempt(route=route, target=f"{path}?after={quote(item, safe='')}", refers_by="id")


def item(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for each in victim.items:
        target = target_of(route, "item_id", each)
        for key in (victim.session_key, *victim.conversations):
            yield Attempt(
                route=route, target=target.replace("{conversation_id}", path_of(key)), refers_by="key"
            )
        yield Attempt(
            route=route, target=target.replace("{conversation_id}", path_of(own.conversation)), refers_by="id"
        )
