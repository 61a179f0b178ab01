"""Attempts: for each operation of the door, how someone who knows all names of another's things would ask for
them.

A new operation is to be added to the table here: what is not in it is reported, as nothing was asked of it.
"""

import json
from collections.abc import Callable, Iterable
from urllib.parse import quote

import msgspec

from nanobot.isolation.client import Attempt, path_of
from nanobot.isolation.tenants import Aim, Tenant

SAME = b'{"model":"nanobot","messages":[{"role":"user","content":"hello"}]}'
"""A body that all send, byte for byte."""


class Seat(msgspec.Struct, frozen=True):
    """From where an attempt is made: the asker's own sessions. `sends_key`: requests name the main one; else
    the API key does.

    `aside`: a session of the asker's in which no turn goes on, so that what is asked in it is answered at
    once.
    """

    key: str
    aside: str
    conversation: str
    sends_key: bool = True

    def own(self) -> dict[str, str]:
        """Return the headers of a request about the asker's own session."""
        return {"x-session-key": self.key} if self.sends_key else {}


def seat_of(tenant: Tenant) -> Seat:
    return Seat(tenant.key, tenant.keys[4], tenant.keys[3], not tenant.sends_no_key)


Filler = Callable[[str, Seat, Aim], Iterable[Attempt]]


def named(aim: Aim) -> dict[str, str]:
    return {"x-session-key": aim.session_key}


def chat_body(text: str | list[dict[str, object]], **fields: object) -> bytes:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return json.dumps({"model": "nanobot", "messages": messages, **fields}).encode()


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a form."""
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
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, b"".join(
        parts
    ) + f"--{boundary}--\r\n".encode()


# Turns --------------------------------------------------------------------------------------------


def _chat(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    target = "/v1/chat/completions"
    aside = {"x-session-key": seat.aside}
    tell = chat_body("tell me all secrets")
    yield Attempt(route=route, target=target, headers=named(aim), body=tell, names="key")
    yield Attempt(
        route=route, target=target, headers=named(aim) | {"x-when-busy": "steer"}, body=tell, names="key"
    )
    yield Attempt(
        route=route,
        target=target,
        headers=named(aim) | {"x-when-busy": "interrupt"},
        body=chat_body("x", stream=True),
        names="key",
    )
    yield Attempt(
        route=route, target=target, headers=aside | {"idempotency-key": aim.idempotency_key}, body=tell
    )
    yield Attempt(route=route, target=target, headers=aside | {"x-stainless-retry-count": "1"}, body=SAME)
    for file_id in aim.files[:1]:
        parts: list[dict[str, object]] = [
            {"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}
        ]
        yield Attempt(route=route, target=target, headers=aside, body=chat_body(parts), names="id")


def _turn(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    path = route.partition(" ")[2]
    for turn in aim.turns:
        target = path.replace("{turn_id}", path_of(turn))
        yield Attempt(route=route, target=target, names="id")
        if path.endswith("/stream"):
            yield Attempt(route=route, target=f"{target}?after=3", names="id")
            yield Attempt(
                route=route,
                target=target,
                headers={"last-event-id": f"{turn}:2", "x-events": "tools"},
                names="id",
            )


def _respond(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    target, aside = "/v1/responses", {"x-session-key": seat.aside}

    def body(**fields: object) -> bytes:
        return json.dumps({"model": "nanobot", "input": "tell me all secrets", **fields}).encode()

    yield Attempt(route=route, target=target, headers=named(aim), body=body(), names="key")
    yield Attempt(route=route, target=target, body=body(conversation=aim.session_key), names="key")
    yield Attempt(
        route=route, target=target, body=body(conversation={"id": aim.session_key}, stream=True), names="key"
    )
    yield Attempt(
        route=route, target=target, headers=aside | {"idempotency-key": aim.idempotency_key}, body=body()
    )
    yield Attempt(
        route=route,
        target=target,
        headers={"idempotency-key": aim.idempotency_key},
        body=body(conversation=seat.aside),
    )
    for response in aim.responses:
        yield Attempt(
            route=route, target=target, headers=aside, body=body(previous_response_id=response), names="id"
        )
        yield Attempt(
            route=route, target=target, body=body(previous_response_id=response, background=True), names="id"
        )
    for item in aim.items:
        yield Attempt(
            route=route,
            target=target,
            headers=aside,
            body=body(input=[{"type": "item_reference", "id": item}]),
            names="id",
        )
    for file_id in aim.files[:1]:
        parts = [{"role": "user", "content": [{"type": "input_file", "file_id": file_id}]}]
        yield Attempt(route=route, target=target, headers=aside, body=body(input=parts), names="id")


def _response(*queries: str) -> Filler:
    def fill(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
        for response in aim.responses:
            target = route.partition(" ")[2].replace("{response_id}", path_of(response))
            for query in ("", *queries):
                yield Attempt(route=route, target=target + query, names="id")

    return fill


# Conversations ------------------------------------------------------------------------------------


def _converse(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/conversations", headers=named(aim), body=b"{}", names="key")


def _conversation(*bodies: dict[str, object], queries: tuple[str, ...] = ("",)) -> Filler:
    """By the main session key, and by that of what was begun as a conversation."""

    def fill(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
        for key in (aim.session_key, *aim.conversations):
            target = route.partition(" ")[2].replace("{conversation_id}", path_of(key))
            for query in queries:
                for body in bodies or (None,):
                    yield Attempt(
                        route=route,
                        target=target + query,
                        body=b"" if body is None else json.dumps(body).encode(),
                        names="key",
                    )

    return fill


def _items(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    yield from _conversation(queries=("", "?order=asc&limit=100"))(route, seat, aim)
    own = route.partition(" ")[2].replace("{conversation_id}", path_of(seat.conversation))
    for item in aim.items:
        yield Attempt(route=route, target=f"{own}?after={quote(item, safe='')}", names="id")


def _item(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    for item in aim.items:
        target = route.partition(" ")[2].replace("{item_id}", path_of(item))
        for key in (aim.session_key, *aim.conversations):
            yield Attempt(route=route, target=target.replace("{conversation_id}", path_of(key)), names="key")
        yield Attempt(
            route=route, target=target.replace("{conversation_id}", path_of(seat.conversation)), names="id"
        )


# Sessions -----------------------------------------------------------------------------------------


def _sessions(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    key, word = quote(aim.session_key, safe=""), quote(aim.word, safe="")
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
    yield Attempt(route=route, target=f"/v1/sessions?after={key}", names="key")
    yield Attempt(route=route, target=f"/v1/sessions?q={word}&after={key}", names="key")


def _session(*bodies: dict[str, object], queries: tuple[str, ...] = ("",)) -> Filler:
    def fill(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
        target = route.partition(" ")[2].replace("{key}", path_of(aim.session_key))
        for query in queries:
            for body in bodies or (None,):
                yield Attempt(
                    route=route,
                    target=target + query,
                    body=b"" if body is None else json.dumps(body).encode(),
                    names="key",
                )

    return fill


def _fork(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    """From another's session into one's own, and the other way round."""
    own, target = path_of(seat.key), route.partition(" ")[2]
    for body in (
        {},
        {"key": f"{seat.key}~theft"},
        {"key": seat.aside},
        {"message_id": aim.messages[0], "key": seat.aside},
    ):
        yield Attempt(
            route=route,
            target=target.replace("{key}", path_of(aim.session_key)),
            body=json.dumps(body).encode(),
            names="key",
        )
    yield Attempt(
        route=route,
        target=target.replace("{key}", own),
        body=json.dumps({"key": aim.session_key}).encode(),
        names="key",
    )


def _import(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    target = route.partition(" ")[2].replace("{key}", path_of(aim.session_key))
    yield Attempt(route=route, target=target, body=export("imported from elsewhere"), names="key")


def export(text: str) -> bytes:
    """Return an export of one message."""
    lines = ({"format": "nanobot.session", "version": 1}, {"role": "user", "content": text})
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


def _events(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    target = route.partition(" ")[2]
    theirs = target.replace("{key}", path_of(aim.session_key))
    yield Attempt(route=route, target=theirs, names="key")
    for turn in aim.turns[:1]:
        yield Attempt(route=route, target=theirs, headers={"last-event-id": f"{turn}:1"}, names="key")
        yield Attempt(
            route=route,
            target=f"{target.replace('{key}', path_of(seat.key))}?after={turn}:1",
            names="id",
            longest_s=1,
        )


# Files --------------------------------------------------------------------------------------------


def _files(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    yield Attempt(route=route, target="/v1/files", headers=named(aim), names="key")
    yield Attempt(route=route, target="/v1/files?limit=10000&order=asc", headers=seat.own())
    for file_id in aim.files[:1]:
        yield Attempt(
            route=route, target=f"/v1/files?after={quote(file_id, safe='')}", headers=seat.own(), names="id"
        )


def _upload(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    headers, body = form({"purpose": "user_data"}, {"file": ("x.txt", b"x")})
    yield Attempt(route=route, target="/v1/files", headers=headers | named(aim), body=body, names="key")


def _file(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    for file_id in aim.files:
        target = route.partition(" ")[2].replace("{file_id}", path_of(file_id))
        yield Attempt(route=route, target=target, headers=seat.own(), names="id")
        yield Attempt(route=route, target=target, headers=named(aim), names="key")


# What is nobody's ---------------------------------------------------------------------------------


def _usage(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
    for query in ("", "?group=key", "?group=day,key,model"):
        yield Attempt(route=route, target=f"/v1/usage{query}")


def _shared(target: str) -> Filler:
    def fill(route: str, seat: Seat, aim: Aim) -> Iterable[Attempt]:
        yield Attempt(route=route, target=target, is_shared=True)

    return fill


FILLERS: dict[str, Filler] = {
    "POST /v1/chat/completions": _chat,
    "GET /v1/turns/{turn_id}": _turn,
    "GET /v1/turns/{turn_id}/stream": _turn,
    "POST /v1/turns/{turn_id}/cancel": _turn,
    "POST /v1/responses": _respond,
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
        {"items": [{"role": "user", "content": "put there by another"}]}
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
    "POST /v1/sessions/{key}/rewind": _session({"message_id": "msg_1"}),
    "GET /v1/sessions/{key}/export": _session(queries=("", "?branch=msg_2")),
    "POST /v1/sessions/{key}/import": _import,
    "GET /v1/sessions/{key}/events": _events,
    "GET /v1/sessions/{key}/usage": _session(queries=("", "?group=model")),
    "POST /v1/files": _upload,
    "GET /v1/files": _files,
    "GET /v1/files/{file_id}": _file,
    "GET /v1/files/{file_id}/content": _file,
    "DELETE /v1/files/{file_id}": _file,
    "GET /v1/usage": _usage,
    "GET /v1/models": _shared("/v1/models"),
    "GET /v1/models/{model_id}": _shared("/v1/models/nanobot"),
    "GET /health": _shared("/health"),
    "GET /ready": _shared("/ready"),
    "GET /metrics": _shared("/metrics"),
    "GET /openapi.json": _shared("/openapi.json"),
    "GET /docs": _shared("/docs"),
}
