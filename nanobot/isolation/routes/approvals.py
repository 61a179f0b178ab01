"""Attempts on questions to people, on their links, and on rules that came of them."""

import json
from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from nanobot.isolation.attacker import AttemptBuilder, OwnSessions, naming, target_of, victim_header
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources

rule = partial(naming, "rule_id", lambda victim: victim.approval_rules, by="id")


def listed(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = "/v1/approvals"
    yield Attempt(route=route, target=target, headers=victim_header(victim), refers_by="key")
    yield Attempt(route=route, target=f"{target}?limit=100&order=asc")
    yield Attempt(route=route, target=f"{target}?state=pending", headers=own.headers())
    for approval in victim.approvals[:1]:
        yield Attempt(route=route, target=f"{target}?after={quote(approval, safe='')}", refers_by="id")


def approval(*bodies: dict[str, object]) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for approval in victim.approvals:
            target = target_of(route, "approval_id", approval)
            for body in bodies or (None,):
                content = b"" if body is None else json.dumps(body).encode()
                yield Attempt(route=route, target=target, body=content, refers_by="id")
                yield Attempt(route=route, target=target, headers=own.headers(), body=content, refers_by="id")
                yield Attempt(
                    route=route, target=target, headers=victim_header(victim), body=content, refers_by="key"
                )

    return build


def link(*bodies: bytes) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for approval in victim.approvals:
            # Whoever knows the approval's id must not be able to make its link.
            for signature in ("", f".{'a' * 32}"):
                target = route.partition(" ")[2].replace("{token}", f"{path_of(approval)}{signature}")
                for body in bodies or (b"",):
                    yield Attempt(route=route, target=target, body=body, refers_by="id")

    return build


def rules(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/approval-rules")
    yield Attempt(route=route, target="/v1/approval-rules", headers=own.headers())
