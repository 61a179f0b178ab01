"""An attacker who knows all of a victim's keys and ids, and the usual ways to ask for what they name."""

import json
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources, Tenant


class OwnSessions(msgspec.Struct, frozen=True):
    """The attacker's own sessions, which attempts are made from.

    `key`: the main one. `aside`: one without a running turn, so that requests in it are answered at once.
    `conversation`: one that was created through `/v1/conversations`. `sends_key`: requests name the main
    session in a header; otherwise the API key has it as its default.
    """

    key: str
    aside: str
    conversation: str
    sends_key: bool = True

    @property
    def person(self) -> str:
        """The name of the person whom the main session's key speaks of."""
        return DEFAULT_RULES.of(self.key).person

    def headers(self) -> dict[str, str]:
        """Return the headers of a request about the main session."""
        return {"x-session-key": self.key} if self.sends_key else {}


def own_sessions(tenant: Tenant) -> OwnSessions:
    return OwnSessions(tenant.key, tenant.keys[4], tenant.keys[3], not tenant.sends_no_key)


AttemptBuilder = Callable[[str, OwnSessions, Resources], Iterable[Attempt]]
"""Yields the attempts on one route, from the attacker's own sessions, on a victim's resources."""


def victim_header(victim: Resources) -> dict[str, str]:
    return {"x-session-key": victim.session_key}


def naming(
    field: str,
    victims: Callable[[Resources], Iterable[str]],
    *bodies: dict[str, object],
    by: Literal["key", "id"],
    queries: tuple[str, ...] = ("",),
) -> AttemptBuilder:
    """Attempt a route whose path has `field`, once for each of `victims`, of the queries and of the bodies.
    `by`: what it is that `victims` returns.
    """

    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for named in victims(victim):
            target = target_of(route, field, named)
            for query in queries:
                for body in bodies or (None,):
                    content = b"" if body is None else json.dumps(body).encode()
                    yield Attempt(route=route, target=target + query, body=content, refers_by=by)

    return build


def target_of(route: str, field: str, value: str) -> str:
    """Return the path of the route with a value for `field`; other fields stay."""
    return route.partition(" ")[2].replace(f"{{{field}}}", path_of(value))
