"""Attempts on uploads, and on what the agent has written."""

from collections.abc import Iterable
from urllib.parse import quote

from nanobot.api.written_files import is_written
from nanobot.isolation.attacker import OwnSessions, target_of, victim_header
from nanobot.isolation.bodies import form
from nanobot.isolation.client import Attempt
from nanobot.isolation.tenants import Resources


def listed(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/files", headers=victim_header(victim), refers_by="key")
    for purpose in ("", "&purpose=assistants_output"):
        yield Attempt(route=route, target=f"/v1/files?limit=10000&order=asc{purpose}", headers=own.headers())
    for file_id in victim.files:
        purpose = "&purpose=assistants_output" if is_written(file_id) else ""
        yield Attempt(
            route=route,
            target=f"/v1/files?after={quote(file_id, safe='')}{purpose}",
            headers=own.headers(),
            refers_by="id",
        )


def upload(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    headers, body = form({"purpose": "user_data"}, {"file": ("x.txt", b"x")})
    yield Attempt(
        route=route, target="/v1/files", headers=headers | victim_header(victim), body=body, refers_by="key"
    )


def file(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for file_id in victim.files:
        target = target_of(route, "file_id", file_id)
        yield Attempt(route=route, target=target, headers=own.headers(), refers_by="id")
        yield Attempt(route=route, target=target, headers=victim_header(victim), refers_by="key")
