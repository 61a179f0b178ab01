"""Attempts on people and the links of their accounts."""

import json
from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from nanobot.isolation.attacker import OwnSessions, naming, target_of
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources

person = partial(naming, "person_id", lambda victim: (victim.person,), by="key")


def listed(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/people?limit=100")
    yield Attempt(route=route, target=f"/v1/people?after={quote(victim.person, safe='')}", refers_by="key")


def sessions(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield from person()(route, own, victim)
    target = target_of(route, "person_id", own.person)
    after = quote(victim.session_key, safe="")
    yield Attempt(route=route, target=f"{target}?after={after}", refers_by="key")


def link(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    """Yield links of the victim's account to one's own, and the other way round."""
    yield from person({"person": own.person}, {"code": "7K2MQ-04XTR"})(route, own, victim)
    target = target_of(route, "person_id", own.person)
    # Not by `refers_by`: without the right `admin` it is refused before anything is looked for.
    yield Attempt(route=route, target=target, body=json.dumps({"person": victim.person}).encode())


def unlink(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = target_of(route, "linked_name", victim.person)
    for name in (victim.person, own.person):
        yield Attempt(route=route, target=target.replace("{person_id}", path_of(name)), refers_by="key")
