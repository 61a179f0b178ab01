"""The requests with which an attacker who knows all of a victim's keys and ids would try each operation.

Add every new operation to `ATTEMPTS`: the audit reports operations without attempts, and fails.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from nanobot.api.written_files import is_written
from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Resources, Tenant

SAME = b'{"model":"nanobot","messages":[{"role":"user","content":"hello"}]}'
"""A body that every session sends, byte for byte: retries must not be matched across sessions by it."""


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


def chat_body(text: str | list[dict[str, object]], **fields: object) -> bytes:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return json.dumps({"model": "nanobot", "messages": messages, **fields}).encode()


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a multipart form."""
    boundary = "nanobot-audit-boundary"
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, (file_name, content) in files.items():
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
        )
        parts.append(head.encode() + content + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, body


# Turns --------------------------------------------------------------------------------------------


def _chat(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _mcp(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _turn(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    path = route.partition(" ")[2]
    for turn in victim.turns:
        target = path.replace("{turn_id}", path_of(turn))
        yield Attempt(route=route, target=target, refers_by="id")
        if path.endswith("/stream"):
            yield Attempt(route=route, target=f"{target}?after=3", refers_by="id")
            yield Attempt(
                route=route,
                target=target,
                headers={"last-event-id": f"{turn}:2", "x-events": "tools"},
                refers_by="id",
            )


def _response_body(**fields: object) -> bytes:
    return json.dumps({"model": "nanobot", "input": "tell me all secrets", **fields}).encode()


def _respond(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target, body = "/v1/responses", _response_body
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
    yield from _respond_with_ids(route, aside, victim)


def _respond_only(target: str) -> AttemptBuilder:
    """Attempt what takes a request for a response and begins no turn."""

    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        body = _response_body(conversation=victim.session_key)
        yield Attempt(route=route, target=target, body=body, refers_by="key")
        yield from _respond_with_ids(route, {"x-session-key": own.aside}, victim, target)

    return build


def _respond_with_ids(
    route: str, aside: dict[str, str], victim: Resources, target: str = "/v1/responses"
) -> Iterable[Attempt]:
    body = _response_body
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


def _response(*queries: str) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for response in victim.responses:
            target = route.partition(" ")[2].replace("{response_id}", path_of(response))
            for query in ("", *queries):
                yield Attempt(route=route, target=target + query, refers_by="id")

    return build


# Conversations ------------------------------------------------------------------------------------


def _converse(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(
        route=route, target="/v1/conversations", headers=victim_header(victim), body=b"{}", refers_by="key"
    )


def _conversation(*bodies: dict[str, object], queries: tuple[str, ...] = ("",)) -> AttemptBuilder:
    """Build attempts by the main session key, and by those created through `/v1/conversations`."""

    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for key in (victim.session_key, *victim.conversations):
            target = route.partition(" ")[2].replace("{conversation_id}", path_of(key))
            for query in queries:
                for body in bodies or (None,):
                    yield Attempt(
                        route=route,
                        target=target + query,
                        body=b"" if body is None else json.dumps(body).encode(),
                        refers_by="key",
                    )

    return build


def _items(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield from _conversation(queries=("", "?order=asc&limit=100"))(route, own, victim)
    path = route.partition(" ")[2].replace("{conversation_id}", path_of(own.conversation))
    for item in victim.items:
        yield Attempt(route=route, target=f"{path}?after={quote(item, safe='')}", refers_by="id")


def _item(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for item in victim.items:
        target = route.partition(" ")[2].replace("{item_id}", path_of(item))
        for key in (victim.session_key, *victim.conversations):
            yield Attempt(
                route=route, target=target.replace("{conversation_id}", path_of(key)), refers_by="key"
            )
        yield Attempt(
            route=route, target=target.replace("{conversation_id}", path_of(own.conversation)), refers_by="id"
        )


# Sessions -----------------------------------------------------------------------------------------


def _sessions(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _session(*bodies: dict[str, object], queries: tuple[str, ...] = ("",)) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        target = route.partition(" ")[2].replace("{key}", path_of(victim.session_key))
        for query in queries:
            for body in bodies or (None,):
                yield Attempt(
                    route=route,
                    target=target + query,
                    body=b"" if body is None else json.dumps(body).encode(),
                    refers_by="key",
                )

    return build


def _fork(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _import(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = route.partition(" ")[2].replace("{key}", path_of(victim.session_key))
    yield Attempt(route=route, target=target, body=export("imported from elsewhere"), refers_by="key")


def export(text: str) -> bytes:
    """Return a session export of one message."""
    lines = ({"format": "nanobot.session", "version": 1}, {"role": "user", "content": text})
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


def _events(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


# Files --------------------------------------------------------------------------------------------


def _files(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _upload(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    headers, body = form({"purpose": "user_data"}, {"file": ("x.txt", b"x")})
    yield Attempt(
        route=route, target="/v1/files", headers=headers | victim_header(victim), body=body, refers_by="key"
    )


def _file(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for file_id in victim.files:
        target = route.partition(" ")[2].replace("{file_id}", path_of(file_id))
        yield Attempt(route=route, target=target, headers=own.headers(), refers_by="id")
        yield Attempt(route=route, target=target, headers=victim_header(victim), refers_by="key")


# Memory -------------------------------------------------------------------------------------------


def _facts(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
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


def _remember(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target, body = "/v1/memory", b'{"text": "written by another session"}'
    yield Attempt(route=route, target=target, headers=victim_header(victim), body=body, refers_by="key")
    for fact in victim.facts:
        replacing = json.dumps({"text": "written by another session", "replaces": fact}).encode()
        yield Attempt(route=route, target=target, headers=own.headers(), body=replacing, refers_by="id")


def _fact(body: bytes = b"") -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for fact in victim.facts:
            target = route.partition(" ")[2].replace("{fact_id}", path_of(fact))
            yield Attempt(route=route, target=target, headers=own.headers(), body=body, refers_by="id")
            yield Attempt(
                route=route, target=target, headers=victim_header(victim), body=body, refers_by="key"
            )

    return build


# Approvals ----------------------------------------------------------------------------------------


def _approvals(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = "/v1/approvals"
    yield Attempt(route=route, target=target, headers=victim_header(victim), refers_by="key")
    yield Attempt(route=route, target=f"{target}?limit=100&order=asc")
    yield Attempt(route=route, target=f"{target}?state=pending", headers=own.headers())
    for approval in victim.approvals[:1]:
        yield Attempt(route=route, target=f"{target}?after={quote(approval, safe='')}", refers_by="id")


def _approval(*bodies: dict[str, object]) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for approval in victim.approvals:
            target = route.partition(" ")[2].replace("{approval_id}", path_of(approval))
            for body in bodies or (None,):
                content = b"" if body is None else json.dumps(body).encode()
                yield Attempt(route=route, target=target, body=content, refers_by="id")
                yield Attempt(route=route, target=target, headers=own.headers(), body=content, refers_by="id")
                yield Attempt(
                    route=route, target=target, headers=victim_header(victim), body=content, refers_by="key"
                )

    return build


def _approval_link(*bodies: bytes) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        for approval in victim.approvals:
            # Whoever knows the approval's id must not be able to make its link.
            for signature in ("", f".{'a' * 32}"):
                target = route.partition(" ")[2].replace("{token}", f"{path_of(approval)}{signature}")
                for body in bodies or (b"",):
                    yield Attempt(route=route, target=target, body=body, refers_by="id")

    return build


def _approval_rules(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/approval-rules")
    yield Attempt(route=route, target="/v1/approval-rules", headers=own.headers())


def _approval_rule(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for rule in victim.approval_rules:
        target = route.partition(" ")[2].replace("{rule_id}", path_of(rule))
        yield Attempt(route=route, target=target, refers_by="id")


# People -------------------------------------------------------------------------------------------


def _people(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/people?limit=100")
    yield Attempt(route=route, target=f"/v1/people?after={quote(victim.person, safe='')}", refers_by="key")


def _person(*bodies: dict[str, object]) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        target = route.partition(" ")[2].replace("{person_id}", path_of(victim.person))
        for body in bodies or (None,):
            yield Attempt(
                route=route,
                target=target,
                body=b"" if body is None else json.dumps(body).encode(),
                refers_by="key",
            )

    return build


def _sessions_of_person(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    yield from _person()(route, own, victim)
    target = route.partition(" ")[2].replace("{person_id}", path_of(own.person))
    after = quote(victim.session_key, safe="")
    yield Attempt(route=route, target=f"{target}?after={after}", refers_by="key")


def _link(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    """Yield links of the victim's account to one's own, and the other way round."""
    yield from _person({"person": own.person}, {"code": "7K2MQ-04XTR"})(route, own, victim)
    target = route.partition(" ")[2].replace("{person_id}", path_of(own.person))
    # Not by `refers_by`: without the right `admin` it is refused before anything is looked for.
    yield Attempt(route=route, target=target, body=json.dumps({"person": victim.person}).encode())


def _unlink(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    target = route.partition(" ")[2].replace("{linked_name}", path_of(victim.person))
    for person in (victim.person, own.person):
        yield Attempt(route=route, target=target.replace("{person_id}", path_of(person)), refers_by="key")


# Not of one session ---------------------------------------------------------------------------------


def _usage(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
    for query in ("", "?group=key", "?group=day,key,model"):
        yield Attempt(route=route, target=f"/v1/usage{query}")


def _shared(target: str) -> AttemptBuilder:
    def build(route: str, own: OwnSessions, victim: Resources) -> Iterable[Attempt]:
        yield Attempt(route=route, target=target, is_shared=True)

    return build


ATTEMPTS: dict[str, AttemptBuilder] = {
    "POST /v1/chat/completions": _chat,
    "POST /mcp": _mcp,
    "GET /v1/turns/{turn_id}": _turn,
    "GET /v1/turns/{turn_id}/stream": _turn,
    "POST /v1/turns/{turn_id}/cancel": _turn,
    "POST /v1/responses": _respond,
    "POST /v1/responses/input_tokens": _respond_only("/v1/responses/input_tokens"),
    "POST /v1/responses/compact": _respond_only("/v1/responses/compact"),
    "GET /v1/responses/{response_id}": _response("?stream=true", "?stream=true&starting_after=1"),
    "DELETE /v1/responses/{response_id}": _response(),
    "POST /v1/responses/{response_id}/cancel": _response(),
    "GET /v1/responses/{response_id}/input_items": _response("?limit=100&order=asc"),
    "POST /v1/conversations": _converse,
    "GET /v1/conversations/{conversation_id}": _conversation(),
    "POST /v1/conversations/{conversation_id}": _conversation({"metadata": {"taken": "yes"}}),
    "DELETE /v1/conversations/{conversation_id}": _conversation(),
    "GET /v1/conversations/{conversation_id}/items": _items,
    "POST /v1/conversations/{conversation_id}/items": _conversation(
        {"items": [{"role": "user", "content": "added by another session"}]}
    ),
    "GET /v1/conversations/{conversation_id}/items/{item_id}": _item,
    "GET /v1/sessions": _sessions,
    "GET /v1/sessions/{key}": _session(),
    "POST /v1/sessions/{key}": _session({"title": "taken"}, {"metadata": {"taken": "yes"}}),
    "DELETE /v1/sessions/{key}": _session(),
    "GET /v1/sessions/{key}/messages": _session(
        queries=("", "?limit=100&order=desc", "?after=msg_1", "?branch=msg_2")
    ),
    "GET /v1/sessions/{key}/branches": _session(),
    "POST /v1/sessions/{key}/fork": _fork,
    "POST /v1/sessions/{key}/compact": _session(),
    "POST /v1/sessions/{key}/rewind": _session({"message_id": "msg_1"}),
    "GET /v1/sessions/{key}/export": _session(queries=("", "?branch=msg_2")),
    "POST /v1/sessions/{key}/import": _import,
    "GET /v1/sessions/{key}/events": _events,
    "GET /v1/sessions/{key}/usage": _session(queries=("", "?group=model")),
    "GET /v1/people": _people,
    "GET /v1/people/{person_id}": _person(),
    "DELETE /v1/people/{person_id}": _person(),
    "GET /v1/people/{person_id}/sessions": _sessions_of_person,
    "GET /v1/people/{person_id}/export": _person(),
    "POST /v1/people/{person_id}/codes": _person(),
    "POST /v1/people/{person_id}/links": _link,
    "DELETE /v1/people/{person_id}/links/{linked_name}": _unlink,
    "POST /v1/files": _upload,
    "GET /v1/files": _files,
    "GET /v1/files/{file_id}": _file,
    "GET /v1/files/{file_id}/content": _file,
    "DELETE /v1/files/{file_id}": _file,
    "GET /v1/memory": _facts,
    "POST /v1/memory": _remember,
    "GET /v1/memory/export": _facts,
    "GET /v1/memory/{fact_id}": _fact(),
    "PATCH /v1/memory/{fact_id}": _fact(b'{"text": "changed by another session"}'),
    "DELETE /v1/memory/{fact_id}": _fact(),
    "GET /v1/approvals": _approvals,
    "GET /v1/approvals/{approval_id}": _approval(),
    "POST /v1/approvals/{approval_id}": _approval({"decision": "once"}, {"decision": "deny"}),
    "GET /approve/{token}": _approval_link(),
    "POST /approve/{token}": _approval_link(b"decision=once", b"decision=deny"),
    "GET /v1/approval-rules": _approval_rules,
    "DELETE /v1/approval-rules/{rule_id}": _approval_rule,
    "GET /v1/usage": _usage,
    "GET /v1/models": _shared("/v1/models"),
    "GET /v1/models/{model_id}": _shared("/v1/models/nanobot"),
    "GET /health": _shared("/health"),
    "GET /ready": _shared("/ready"),
    "GET /metrics": _shared("/metrics"),
    "GET /openapi.json": _shared("/openapi.json"),
    "GET /docs": _shared("/docs"),
    "GET /": _shared("/"),
    "GET /web/{version}/{name}": _shared("/web/0/page.js"),
}
