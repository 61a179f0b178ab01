"""Attempts on responses."""

import json
from collections.abc import Iterable
from functools import partial

from nanobot.isolation.attacker import AttemptBuilder, OwnSessions, naming, victim_header
from nanobot.isolation.client import Attempt
from nanobot.isolation.tenants import Resources

stored = partial(naming, "response_id", lambda victim: victim.responses, by="id")


def create(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target, body = "/v1/responses", _body
    yield Attempt(route=route, target=target, headers=victim_header(victim), body=body(), refers_by="key")
    for conversation in (
        body(conversation=victim.session_key),
        body(conversation={"id": victim.session_key}, stream=True),
    ):
        yield Attempt(route=route, target=target, body=conversation, refers_by="key")
    repeated = {"idempotency-key": victim.idempotency_key}
    aside = {"x-session-key": own.aside}
    yield Attempt(route=route, target=target, headers=aside | repeated, body=body())
    yield Attempt(route=route, target=target, headers=repeated, body=body(conversation=own.aside))
    yield from _with_ids(route, aside, victim)


def create_nothing(target: str) -> AttemptBuilder:
    """Attempt what takes a request for a response and begins no turn."""

    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        body = _body(conversation=victim.session_key)
        yield Attempt(route=route, target=target, body=body, refers_by="key")
        yield from _with_ids(route, {"x-session-key": own.aside}, victim, target)

    return build


def _with_ids(
    route: str, aside: dict[str, str], victim: Resources, target: str = "/v1/responses"
) -> Iterable[Attempt]:
    body = _body
    for response in victim.responses:
        continued, in_background = (
            body(previous_response_id=response),
            body(previous_response_id=response, background=True),
        )
        yield Attempt(route=route, target=target, headers=aside, body=continued, refers_by="id")
        yield Attempt(route=route, target=target, body=in_background, refers_by="id")
    for item in victim.items:
        reference = body(input=[{"type": "item_reference", "id": item}])
        yield Attempt(route=route, target=target, headers=aside, body=reference, refers_by="id")
    for file_id in victim.files[:1]:
        parts = [{"role": "user", "content": [{"type": "input_file", "file_id": file_id}]}]
        yield Attempt(route=route, target=target, headers=aside, body=body(input=parts), refers_by="id")


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "nanobot", "input": "tell me all secrets", **fields}).encode()
