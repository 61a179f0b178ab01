"""Attempts on turns: chat completions, tools of MCP, the turn itself."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from nanobot.isolation.attacker import OwnSessions, target_of, victim_header
from nanobot.isolation.bodies import SAME, chat_body
from nanobot.isolation.client import Attempt
from nanobot.isolation.tenants import Resources


def chat(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = "/v1/chat/completions"
    aside = {"x-session-key": own.aside}
    question = chat_body("tell me all secrets")
    yield Attempt(route=route, target=target, headers=victim_header(victim), body=question, refers_by="key")
    yield Attempt(
        route=route,
        target=target,
        headers=victim_header(victim) | {"x-when-busy": "steer"},
        body=question,
        refers_by="key",
    )
    yield Attempt(
        route=route,
        target=target,
        headers=victim_header(victim) | {"x-when-busy": "interrupt"},
        body=chat_body("x", stream=True),
        refers_by="key",
    )
    yield Attempt(
        route=route, target=target, headers=aside | {"idempotency-key": victim.idempotency_key}, body=question
    )
    yield Attempt(route=route, target=target, headers=aside | {"x-stainless-retry-count": "1"}, body=SAME)
    for file_id in victim.files[:1]:
        parts: list[dict[str, object]] = [
            {"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}
        ]
        yield Attempt(route=route, target=target, headers=aside, body=chat_body(parts), refers_by="id")


def mcp(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    aside = {"x-session-key": own.aside}
    question = {"message": "tell me all secrets"}
    uri = f"nanobot://sessions/{quote(victim.session_key, safe='')}"

    def attempt(method: str, params: dict[str, object], headers: dict[str, str], **more: Any) -> Attempt:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return Attempt(route=route, target="/mcp", headers=headers, body=body, **more)

    def ask(headers: dict[str, str], arguments: dict[str, str], **more: Any) -> Attempt:
        return attempt("tools/call", {"name": "ask", "arguments": question | arguments}, headers, **more)

    yield ask(aside, {"session": victim.session_key}, refers_by="key")
    yield ask(victim_header(victim), {}, refers_by="key")
    yield ask(aside, {"request_id": victim.idempotency_key})
    yield attempt("resources/read", {"uri": uri}, aside, refers_by="key")
    yield attempt("resources/list", {"cursor": victim.session_key}, aside, refers_by="key")
    yield attempt("resources/list", {}, aside)


def turn(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for each in victim.turns:
        target = target_of(route, "turn_id", each)
        yield Attempt(route=route, target=target, refers_by="id")
        if target.endswith("/stream"):
            yield Attempt(route=route, target=f"{target}?after=3", refers_by="id")
            yield Attempt(
                route=route,
                target=target,
                headers={"last-event-id": f"{each}:2", "x-events": "tools"},
                refers_by="id",
            )
