"""What is not the caller's does not exist: every operation of the door, asked with a key whose patterns match
nothing of the target.

The same requests go to two houses: one where the target's session, turn, file … exist, one where they do not.
All answers must be the same. A new operation is tested by itself; where it has a parameter or a body that is
not in the tables below, the test fails until it is.
"""

import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from nanobot.api.compaction import CompactBody
from nanobot.api.wire.approvals import ApprovalDecision
from nanobot.api.wire.chat_form import ChatForm
from nanobot.api.wire.chat_request import ChatBody
from nanobot.api.wire.conversations import ConversationBody, ItemsBody, MetadataBody
from nanobot.api.wire.files import UploadForm
from nanobot.api.wire.mcp import McpBody
from nanobot.api.wire.memory import FactChangeBody, NewFactBody
from nanobot.api.wire.people import LinkBody
from nanobot.api.wire.response_request import ResponseBody
from nanobot.api.wire.session_lists import ForkBody, RewindBody, SessionChange
from nanobot.core.model import ModelRequest
from nanobot.core.scopes import DEFAULT_RULES
from nanobot.http.guard import Guard
from nanobot.http.operations import Operation
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.access import OWNER, bearer, give_key
from tests.asgi import Exchange
from tests.forms import form
from tests.harness import Harness, OpenHarness

OWN = "other:mine"


class Names(msgspec.Struct, frozen=True):
    """What the target's things are called."""

    session: str
    turn: str
    file: str
    response: str
    item: str
    fact: str
    approval: str
    rule: str


def person_of(names: Names) -> str:
    """Return the name of the person whose session it is."""
    return DEFAULT_RULES.of(names.session).person


# How requests are filled --------------------------------------------------------------------------

NAMES: Mapping[str, Callable[[Names], tuple[str, ...]]] = {
    "key": lambda names: (names.session, f"{names.session}:new"),
    "person_id": lambda names: (person_of(names), f"{person_of(names)}:new"),
    "linked_name": lambda names: (f"tg:{names.session}", person_of(names)),
    "branch": lambda names: ("msg_1",),
    "turn_id": lambda names: (names.turn,),
    "file_id": lambda names: (names.file,),
    "response_id": lambda names: (names.response,),
    "conversation_id": lambda names: (names.session,),
    "item_id": lambda names: (names.item,),
    "fact_id": lambda names: (names.fact,),
    "approval_id": lambda names: (names.approval,),
    "rule_id": lambda names: (names.rule,),
    "x-session-key": lambda names: (names.session, OWN),
    "after": lambda names: (
        *(names.session, names.turn, names.file, names.fact, names.approval, person_of(names), "1"),
    ),
    "last-event-id": lambda names: (f"{names.turn}:1",),
}
"""Parameters that name something of a session, and what they are filled with, in turn."""

PLAIN: Mapping[str, str | None] = {
    "model_id": "nanobot",
    # A valid one is a key by itself.
    "token": "appr_1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "version": "0",
    "name": "page.js",
    "x-when-busy": None,
    "x-history-mode": None,
    "x-store": None,
    "x-disconnect-grace": None,
    "x-events": None,
    "idempotency-key": None,
    "limit": None,
    "order": None,
    "purpose": None,
    "state": None,
    "stream": None,
    "starting_after": None,
    "prefix": "wx",
    "q": "secret",
    "start": None,
    "end": None,
    "group": "day,model",
    "layer": None,
    "mcp-protocol-version": None,
    "mcp-method": None,
    "format": None,
}
"""Parameters that do not, and what they are filled with (None: left out)."""

BODIES: Mapping[type, Callable[[Names], tuple[bytes, ...]]] = {
    NewFactBody: lambda names: tuple(
        json.dumps({"text": "mine", **fields}).encode() for fields in ({}, {"replaces": names.fact})
    ),
    ApprovalDecision: lambda names: tuple(
        json.dumps({"decision": decision}).encode() for decision in ("once", "deny")
    ),
    FactChangeBody: lambda names: (b'{"text": "mine"}',),
    SessionChange: lambda names: (b'{"title": "mine"}',),
    ForkBody: lambda names: tuple(
        json.dumps({"message_id": "msg_1", "key": key}).encode() for key in (f"{names.session}:fork", OWN)
    ),
    RewindBody: lambda names: (b'{"message_id": "msg_1"}',),
    ResponseBody: lambda names: tuple(
        json.dumps({"model": "nanobot", "input": "hello", **fields}).encode()
        for fields in (
            {},
            {"conversation": names.session},
            {"conversation": {"id": names.session}},
            {"previous_response_id": names.response},
            {
                "conversation": OWN,
                "input": [{"role": "user", "content": [{"type": "input_file", "file_id": names.file}]}],
            },
        )
    ),
    McpBody: lambda names: tuple(
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        for method, params in (
            ("resources/list", {}),
            ("resources/list", {"cursor": names.session}),
            ("resources/read", {"uri": f"nanobot://sessions/{names.session.replace(':', '%3A')}"}),
            ("tools/call", {"name": "ask", "arguments": {"message": "hello", "session": names.session}}),
            ("tools/call", {"name": "ask", "arguments": {"message": "hello", "request_id": names.turn}}),
        )
    ),
    CompactBody: lambda names: tuple(
        json.dumps({"model": "nanobot", **fields}).encode()
        for fields in (
            {"input": "hello"},
            {"conversation": names.session},
            {"conversation": {"id": names.session}},
            {"previous_response_id": names.response},
            {
                "conversation": OWN,
                "input": [{"role": "user", "content": [{"type": "input_file", "file_id": names.file}]}],
            },
        )
    ),
    ConversationBody: lambda names: (b'{"metadata": {"a": "b"}}',),
    MetadataBody: lambda names: (b'{"metadata": {"a": "b"}}',),
    ItemsBody: lambda names: (b'{"items": [{"type": "message", "role": "user", "content": "hello"}]}',),
    LinkBody: lambda names: (b'{"person": "tg:77"}', b'{"code": "7K2MQ-04XTR"}'),
    ChatBody: lambda names: (_chat("hello"), _chat([{"type": "file", "file": {"file_id": names.file}}])),
}
"""Bodies by their type: each that points at something of a session."""

FORMS: Mapping[type, Callable[[Names], tuple[bytes, ...]]] = {
    ChatForm: lambda names: (form(("message", "hello")),),
    UploadForm: lambda names: (form(("purpose", "user_data"), ("file", ("a.txt", b"text"))),),
}

LINES: Mapping[str, bytes] = {
    "/v1/sessions/{key}/import": (
        b'{"format": "nanobot.session", "version": 1}\n{"role": "user", "content": "hello"}'
    ),
}
"""Bodies that have no type, by path."""

SERVER_WIDE = frozenset({"/metrics"})
"""Paths that tell of the server as a whole: numbers without names, which differ where others have asked
something.
"""


def _chat(content: object) -> bytes:
    return json.dumps({"model": "nanobot", "messages": [{"role": "user", "content": content}]}).encode()


class Sent(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def in_path(operation: Operation) -> list[str]:
    return re.findall(r"{(\w+)(?::\w+)?}", operation.path)


def requests(operation: Operation, names: Names) -> list[Sent]:
    """Return requests for the operation that name the target's things, in all combinations with the caller's
    own.
    """
    wheres = {parameter.name: parameter.where for parameter in operation.parameters}
    choices: list[list[tuple[str, str | None]]] = []
    for name in (*in_path(operation), *wheres):
        if name in NAMES:
            absent = [] if name in in_path(operation) else [(name, None)]
            choices.append([*absent, *((name, value) for value in NAMES[name](names))])
        elif name in PLAIN:
            choices.append([(name, PLAIN[name])])
        else:
            pytest.fail(
                f"{operation.method} {operation.path} has the parameter {name!r}: say in NAMES or PLAIN how"
                " to fill it"
            )
    bodies: list[tuple[dict[str, str], bytes]] = [({}, LINES.get(operation.path, b""))]
    if operation.body is not None or operation.form is not None:
        bodies = [
            *_bodies(operation.body, BODIES, "application/json", names),
            *_bodies(operation.form, FORMS, "multipart/form-data; boundary=xyz", names),
        ]
    return [
        _sent(operation, dict(chosen), wheres, *body)
        for chosen in itertools.product(*choices)
        for body in bodies
    ]


def _bodies(
    kind: type | None,
    table: Mapping[type, Callable[[Names], tuple[bytes, ...]]],
    content_type: str,
    names: Names,
) -> list[tuple[dict[str, str], bytes]]:
    if kind is None:
        return []
    if kind not in table:
        pytest.fail(
            f"no request is known with a body of {kind.__name__}: say in BODIES or FORMS how to fill one"
        )
    return [({"content-type": content_type}, body) for body in table[kind](names)]


def _sent(
    operation: Operation,
    chosen: dict[str, str | None],
    wheres: Mapping[str, str],
    headers: dict[str, str],
    body: bytes,
) -> Sent:
    path = re.sub(
        r"{(\w+)(?::\w+)?}", lambda found: str(chosen[found[1]]).replace(":", "%3A"), operation.path
    )
    given = {name: value for name, value in chosen.items() if value is not None and name in wheres}
    query = "&".join(
        f"{name}={value.replace(':', '%3A')}" for name, value in given.items() if wheres[name] == "query"
    )
    sent = {name: value for name, value in given.items() if wheres[name] == "header"}
    return Sent(operation.method, f"{path}?{query}" if query else path, {**headers, **sent}, body)


# Asking -------------------------------------------------------------------------------------------


def offered(harness: Harness) -> list[Operation]:
    """Return every operation of the door, those that delete last."""
    guard = harness.app.asgi
    assert isinstance(guard, Guard)
    found = [operation for path in guard.paths.values() for operation in path.operations.values()]
    return sorted(found, key=lambda operation: operation.method == "DELETE")


async def plant(harness: Harness, session: str) -> Names:
    """Let the owner make a session with a turn and a file in it."""
    owner = bearer(OWNER) | {"x-session-key": session}
    said = await harness.door.chat(session, "a secret", bearer(OWNER))
    assert said.status == 200
    body = form(("purpose", "user_data"), ("file", ("secret.txt", b"a secret")))
    kept = await harness.door.call(
        "POST", "/v1/files", body=body, headers=owner | {"content-type": "multipart/form-data; boundary=xyz"}
    )
    assert kept.status == 200, kept.text
    asked = json.dumps({"model": "nanobot", "input": "a secret", "conversation": session}).encode()
    answered = await harness.door.call("POST", "/v1/responses", body=asked, headers=bearer(OWNER))
    assert answered.status == 200, answered.text
    await harness.app.store.link_people(DEFAULT_RULES.of(session).person, f"tg:{session}")
    noted = await harness.door.call(
        "POST",
        "/v1/memory",
        body=b'{"text": "a secret"}',
        headers=owner | {"content-type": "application/json"},
    )
    assert noted.status == 200, noted.text
    agreed, asked_about = [await ask_about(harness, session, what) for what in ("calculate", "current_time")]
    made = await harness.door.call(
        "POST", f"/v1/approvals/{agreed}", body=b'{"decision": "session"}', headers=bearer(OWNER)
    )
    assert made.status == 200, made.text
    rules = (await harness.door.get("/v1/approval-rules", owner)).json["data"]
    return Names(
        session,
        said.turn_id,
        kept.json["id"],
        answered.json["id"],
        answered.json["output"][0]["id"],
        noted.json["id"],
        asked_about,
        next(rule["id"] for rule in rules if rule["session_key"] == session),
    )


async def ask_about(harness: Harness, session: str, tool: str) -> str:
    """Let the agent ask whether it may call the tool; return the id of the approval."""
    assert (await harness.door.chat(session, f"call {tool}", bearer(OWNER))).status == 200
    headers = bearer(OWNER) | {"x-session-key": session}
    pending = (await harness.door.get("/v1/approvals?state=pending", headers)).json["data"]
    return str(next(each["id"] for each in pending if each["tool"] == tool))


ASKING: Mapping[str, Any] = {
    "api": {"key": OWNER},
    "policy": [{"tools": {"calculate": "ask", "current_time": "ask"}}],
}


def secretive() -> ScriptedModel:
    """Return a model that makes the calls that a user names."""

    def answer(request: ModelRequest) -> str | Say:
        last = request.messages[-1]
        if last.role == "user" and last.text.startswith("call "):
            name = last.text.removeprefix("call ")
            return call(name, '{"expression": "1 + 1"}' if name == "calculate" else "{}")
        return "ok"

    return ScriptedModel(answer)


async def ask(harness: Harness, sent: Sent, key: Mapping[str, str]) -> Exchange:
    """Return the answer, of a stream without end its head."""
    exchange = harness.door.start(sent.method, sent.path, body=sent.body, headers=sent.headers | dict(key))
    if exchange.task is not None and sent.path.partition("?")[0].endswith("/events"):
        await exchange.begun()
        exchange.disconnect()
    return await exchange.done()


_ID = re.compile(r"\b(turn|req|file|resp|msg|conv|call|mem|chatcmpl|cmp)[-_][0-9a-z]{26}")
_SEALED = re.compile(r"\bnanobot1\.[\w.-]+")
"""A summary that only the server can open, sealed with a secret of its own."""


def shown(answer: Exchange, names: Names) -> str:
    """Return status and body, with what may differ from one house to the other (ids that were made just now)
    taken out.
    """
    text = f"{answer.status} {answer.raw.decode()}"
    for name in (
        names.turn,
        names.file,
        names.session,
        person_of(names),
        names.response,
        names.item,
        names.approval,
        names.rule,
        names.fact,
    ):
        text = text.replace(name, "NAME")
    return _SEALED.sub("SEALED", _ID.sub("ID", text))


async def said(harness: Harness) -> list[str]:
    return [row.message.text for row in await harness.app.store.messages("wx:dm:ann", limit=99)]


async def test_what_a_key_may_not_see_is_answered_as_what_is_not_there_on_every_operation(
    open_harness: OpenHarness,
) -> None:
    full = await open_harness(secretive(), clock=FakeClock(), **ASKING)
    empty = await open_harness(secretive(), clock=FakeClock(), **ASKING)
    names = await plant(full, "wx:dm:ann")
    before = await said(full)
    foreign = [await give_key(harness, "foreign", "other:*") for harness in (full, empty)]
    asked = 0
    for operation in offered(full):
        for sent in requests(operation, names) if operation.path not in SERVER_WIDE else ():
            there, nowhere = await ask(full, sent, foreign[0]), await ask(empty, sent, foreign[1])
            assert shown(there, names) == shown(nowhere, names), (
                f"{sent} tells a stranger that something is there"
            )
            assert "secret" not in there.text, sent
            asked += 1
    assert asked > 50
    assert await said(full) == before
    for path in (f"/v1/files/{names.file}", f"/v1/memory/{names.fact}"):
        kept = await full.door.get(path, bearer(OWNER) | {"x-session-key": "wx:dm:ann"})
        assert kept.status == 200, "a stranger deleted it"


async def test_the_same_requests_reach_something_when_the_owner_sends_them(open_harness: OpenHarness) -> None:
    """Else the test above would prove nothing."""
    harness = await open_harness(secretive(), clock=FakeClock(), **ASKING)
    for number, operation in enumerate(offered(harness)):
        names = await plant(harness, f"wx:dm:ann{number}")
        if any(name in NAMES for name in in_path(operation)):
            answers = [await ask(harness, sent, bearer(OWNER)) for sent in requests(operation, names)]
            assert any(answer.status < 400 for answer in answers), (
                f"no request reaches anything of {operation.method} {operation.path}"
            )


def test_a_parameter_or_a_body_that_nobody_knows_how_to_fill_fails() -> None:
    async def run(*_: object) -> None: ...

    class New(msgspec.Struct):
        secret_id: str

    names = Names("a", "t", "f", "r", "i", "m", "p", "u")
    for operation in (
        Operation(method="GET", path="/v1/new/{new_id}", run=run, summary="", tag="", right="chat"),
        Operation(method="POST", path="/v1/new", run=run, summary="", tag="", right="chat", body=New),
        Operation(method="POST", path="/v1/new", run=run, summary="", tag="", right="chat", form=New),
    ):
        with pytest.raises(pytest.fail.Exception):
            requests(operation, names)
