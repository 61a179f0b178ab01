"""Attempts on what is remembered."""

import json
from collections.abc import Iterable
from urllib.parse import quote

from nanobot.isolation.attacker import AttemptBuilder, OwnSessions, target_of, victim_header
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources


def listed(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    path = route.partition(" ")[2]
    for query in (
        ("", "?q=cnry", "?layer=person&limit=100") if path == "/v1/memory" else ("", "?format=markdown")
    ):
        target = f"{path}{query}"
        yield Attempt(route=route, target=target, headers=victim_header(victim), refers_by="key")
        yield Attempt(route=route, target=target, headers=own.headers())
    if path == "/v1/memory":
        word = quote(victim.word, safe="")
        yield Attempt(route=route, target=f"{path}?q={word}", headers=own.headers())
        for fact in victim.facts:
            yield Attempt(
                route=route, target=f"{path}?after={path_of(fact)}", headers=own.headers(), refers_by="id"
            )


def remember(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target, body = "/v1/memory", b'{"text": "written by another session"}'
    yield Attempt(route=route, target=target, headers=victim_header(victim), body=body, refers_by="key")
    for fact in victim.facts:
        replacing = json.dumps({"text": "written by another session", "replaces": fact}).encode()
        yield Attempt(route=route, target=target, headers=own.headers(), body=replacing, refers_by="id")


def fact(body: bytes = b"") -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for each in victim.facts:
            target = target_of(route, "fact_id", each)
            yield Attempt(route=route, target=target, headers=own.headers(), body=body, refers_by="id")
            yield Attempt(
                route=route, target=target, headers=victim_header(victim), body=body, refers_by="key"
            )

    return build
