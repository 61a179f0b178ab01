"""Attempts on sessions: what is listed, read, changed, copied, watched."""

import json
from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from nanobot.isolation.attacker import OwnSessions, naming, target_of
from nanobot.isolation.bodies import export
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources

session = partial(naming, "key", lambda victim: (victim.session_key,), by="key")


def listed(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    key, word = quote(victim.session_key, safe=""), quote(victim.word, safe="")
    for query in (
        "limit=100",
        "limit=100&order=asc",
        f"prefix={key}",
        f"q={word}",
        f"q={word[:12]}",
        "q=cnry",
        f"q={word}&prefix={key}",
    ):
        yield Attempt(route=route, target=f"/v1/sessions?{query}")
    yield Attempt(route=route, target=f"/v1/sessions?after={key}", refers_by="key")
    yield Attempt(route=route, target=f"/v1/sessions?q={word}&after={key}", refers_by="key")


def fork(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    """Yield copies of the victim's session into one's own, and the other way round."""
    own_key, target = path_of(own.key), route.partition(" ")[2]
    for body in (
        {},
        {"key": f"{own.key}~theft"},
        {"key": own.aside},
        {"message_id": victim.messages[0], "key": own.aside},
    ):
        yield Attempt(
            route=route,
            target=target.replace("{key}", path_of(victim.session_key)),
            body=json.dumps(body).encode(),
            refers_by="key",
        )
    yield Attempt(
        route=route,
        target=target.replace("{key}", own_key),
        body=json.dumps({"key": victim.session_key}).encode(),
        refers_by="key",
    )


def import_(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = target_of(route, "key", victim.session_key)
    yield Attempt(route=route, target=target, body=export("imported from elsewhere"), refers_by="key")


def events(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = route.partition(" ")[2]
    theirs = target.replace("{key}", path_of(victim.session_key))
    yield Attempt(route=route, target=theirs, refers_by="key")
    for turn in victim.turns[:1]:
        yield Attempt(route=route, target=theirs, headers={"last-event-id": f"{turn}:1"}, refers_by="key")
        yield Attempt(
            route=route,
            target=f"{target.replace('{key}', path_of(own.key))}?after={turn}:1",
            refers_by="id",
        )
