"""What can be changed in an old database through every route that writes, and what can be read then."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.migration.routes import ALICE, BOB, CAROL, SEARCHES, Walk, key_path, read_usage

CHAT = "/v1/chat/completions"


def _body(messages: list[dict[str, Any]] | str, **fields: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return {"model": "nanobot", "messages": said, **fields}


async def resend(walk: Walk) -> None:
    """Send again, known by its count alone, what was answered while its client was away."""
    walk.chapter("then ")
    asked, own = _body("Queued behind silence"), {"x_session_key": BOB, "x_stainless_retry_count": "1"}
    await walk.send("POST", CHAT, asked, "group", **own)
    walk.chapter("")


async def change(walk: Walk) -> None:
    """Go on with what is there, through every route that writes; then read again what has changed."""
    walk.chapter("then ")
    turns: dict[str, list[str]] = {}
    for id_, key in walk.known["turns"]:
        turns.setdefault(key, []).append(id_)
    await _send_again(walk)
    await _send_histories(walk)
    await _answer_calls(walk)
    await _go_on_from_responses(walk)
    await _change_sessions(walk)
    await walk.send("POST", f"/v1/turns/{turns[ALICE][0]}/cancel")
    await _read_again(walk, turns)


async def _send_again(walk: Walk) -> None:
    """Send again what is known, and what is not known any more."""
    await walk.send("POST", CHAT, _body("Queued one"), x_session_key="crash:tools", idempotency_key="crash-2")
    await walk.send("POST", CHAT, _body("Queued two"), x_session_key="crash:tools", idempotency_key="crash-2")
    await walk.send(
        "POST",
        CHAT,
        _body("Crash with tools", stream=True),
        x_session_key="crash:tools",
        idempotency_key="crash-9",
    )
    await walk.send("POST", CHAT, _body("Also this"), x_session_key="steer", idempotency_key="steer-1")
    await walk.send(
        "POST",
        CHAT,
        _body("Think about owls", reasoning_effort="high"),
        "alice",
        x_session_key=ALICE,
        idempotency_key="owls-1",
    )
    await walk.send(
        "POST", CHAT, _body("Be overloaded for good"), x_session_key="fails", idempotency_key="retry-3"
    )
    known = {"model": "nanobot", "input": "Known again", "conversation": "resp:parts"}
    await walk.send("POST", "/v1/responses", known, idempotency_key="response-1")
    again = {"model": "nanobot", "input": "Leave nothing at all", "store": False}
    await walk.send("POST", "/v1/responses", again)


async def _send_histories(walk: Walk) -> None:
    """Send lists of messages: at the end of the session, edited, of a branch that was left, unheard of."""
    said = (
        {"role": "user", "content": "Fünf Gänse gehen über die Brücke"},
        {"role": "assistant", "content": "You said: Fünf Gänse gehen über die Brücke"},
    )
    await walk.send(
        "POST", CHAT, _body([*said, {"role": "user", "content": "And six"}]), "alice", x_session_key=ALICE
    )
    pears = {"role": "user", "content": "Two pears"}, {"role": "assistant", "content": "You said: Two pears"}
    await walk.send(
        "POST",
        CHAT,
        _body([*pears, {"role": "user", "content": "Back to the pears"}]),
        "group",
        x_session_key=CAROL,
    )
    odd = {"role": "user", "content": "?"}, {"role": "assistant", "content": "never said"}
    await walk.send(
        "POST",
        CHAT,
        _body([*odd, {"role": "user", "content": "Unheard of"}], stream=True),
        x_session_key="a_b",
    )
    museum = (
        {"role": "user", "content": "Where is the amphora?"},
        {"role": "assistant", "content": "In the museum."},
    )
    await walk.send(
        "POST",
        CHAT,
        _body([*museum, {"role": "user", "content": "Which one?"}]),
        x_session_key="imported:hand",
    )
    fork = {"role": "user", "content": "One apple"}, {"role": "assistant", "content": "You said: One apple"}
    forked = "wx:group:g1:user:carol:old"
    await walk.send(
        "POST",
        CHAT,
        _body([*fork, {"role": "user", "content": "In the fork"}], store=False),
        x_session_key=forked,
    )
    await walk.send("POST", CHAT, _body("In the fork, to stay"), x_session_key=forked)


async def _answer_calls(walk: Walk) -> None:
    """Answer the calls of client tools, and refer to uploads."""
    output = {"role": "tool", "tool_call_id": "call_w2", "content": "Hail"}
    await walk.send("POST", CHAT, _body([{**output, "tool_call_id": "call_w9"}]), x_session_key="tools:open")
    await walk.send("POST", CHAT, _body([output]), x_session_key="tools:open")
    await walk.send("POST", CHAT, _body([output]), x_session_key="tools:dropped")
    await walk.send(
        "POST", CHAT, _body([{**output, "tool_call_id": "call_w4"}]), x_session_key="crash:client"
    )
    for file_id, key in walk.known["files"]:
        part = {"type": "file", "file": {"file_id": file_id}}
        await walk.send(
            "POST", CHAT, _body([{"role": "user", "content": [part]}]), x_session_key="with " + key
        )
        if file_id == walk.known["files"][0][0]:
            await walk.send("POST", CHAT, _body([{"role": "user", "content": [part]}]), x_session_key=key)


async def _go_on_from_responses(walk: Walk) -> None:
    """Go on from responses, and change conversations."""
    responses = walk.known["responses"]
    begun, second, *_ = (id_ for id_, _ in responses)
    for previous, text in (
        (begun, "After the first"),
        (second, "After the second"),
        (begun, "After the first, in a stream"),
    ):
        body = {
            "model": "nanobot",
            "input": text,
            "previous_response_id": previous,
            "stream": text.endswith("stream"),
        }
        await walk.send("POST", "/v1/responses", body)
    for id_, key in responses:
        if key in ("resp:failed", "resp:background", "resp:crash"):
            await walk.send(
                "POST",
                "/v1/responses",
                {"model": "nanobot", "input": "Go on from each", "previous_response_id": id_},
            )
    items = await walk.get(f"/v1/conversations/{key_path('resp:parts')}/items?limit=100&order=asc")
    reference = [
        {"type": "item_reference", "id": items["data"][0]["id"]},
        {"role": "user", "content": "What was that?"},
    ]
    await walk.send(
        "POST", "/v1/responses", {"model": "nanobot", "input": reference, "conversation": "resp:reference"}
    )
    await walk.send("POST", "/v1/conversations", {"metadata": {}}, x_session_key="conv:items")
    await walk.send(
        "POST",
        "/v1/conversations/conv%3Aempty/items",
        {"items": [{"role": "user", "content": "Not empty any more"}]},
    )
    await walk.send("POST", "/v1/conversations/conv%3Aitems", {"metadata": {"new": "one"}})
    await walk.send("POST", f"/v1/responses/{second}/cancel")
    await walk.send("DELETE", f"/v1/responses/{begun}")
    await walk.send(
        "POST",
        "/v1/responses",
        {"model": "nanobot", "input": "From what is gone", "previous_response_id": begun},
    )


async def _change_sessions(walk: Walk) -> None:
    """Rewind, fork, rename, import and delete sessions, and their files."""
    path = f"/v1/sessions/{key_path(CAROL)}"
    await walk.send("POST", f"{path}/rewind", {"message_id": "msg_6"}, "group")
    await walk.send("POST", f"{path}/rewind", {"message_id": "msg_999"}, "group")
    await walk.send("POST", CHAT, _body("After going back"), "group", x_session_key=CAROL)
    await walk.send(
        "POST", f"{path}/fork", {"key": "wx:group:g1:user:carol:new", "message_id": "msg_10"}, "group"
    )
    await walk.send("POST", f"{path}/fork", {"key": "wx:group:g1:user:carol:old"}, "group")
    await walk.send(
        "POST",
        f"/v1/sessions/{key_path('crash:tools')}",
        {"title": "It crashed", "metadata": {"when": "once"}},
    )
    exported = await walk.get(f"/v1/sessions/{key_path('tools:done')}/export")
    await walk.send(
        "POST",
        "/v1/sessions/imported%3Aagain/import",
        "\n".join(json.dumps(line) for line in exported).encode(),
    )
    await walk.send("POST", "/v1/sessions/long/import", b"{}")
    for key in ("..", "long", "quiet", "uploads:only", "crash:steered", "none"):
        await walk.send("DELETE", f"/v1/sessions/{key_path(key)}")
    await walk.send("DELETE", "/v1/conversations/resp%3Abackground")
    form = (
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="new.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nnew words\r\n--x--\r\n"
    )
    boundary = "multipart/form-data; boundary=x"
    await walk.send("POST", "/v1/files", form, "group", x_session_key=BOB, content_type=boundary)
    file_id, key = walk.known["files"][1]
    await walk.send("DELETE", f"/v1/files/{file_id}", x_session_key=key)


async def _read_again(walk: Walk, turns: Mapping[str, list[str]]) -> None:
    """Read what was changed, and what is gone."""
    walk.chapter("at last ")
    await walk.get("/v1/sessions?limit=100")
    for words in SEARCHES:
        await walk.get(f"/v1/sessions?q={quote(words)}&limit=2")
    changed = (
        ALICE,
        BOB,
        CAROL,
        "a_b",
        "crash:tools",
        "steer",
        "fails",
        "imported:hand",
        "wx:group:g1:user:carol:old",
        "tools:open",
        "crash:client",
        "wx:group:g1:user:carol:new",
        "imported:again",
        "conv:empty",
        "conv:items",
        "resp:crash",
        "resp:failed",
        "resp:reference",
    )
    gone = ("..", "long", "quiet", "uploads:only", "crash:steered", "resp:background")
    for key in (*changed, *gone):
        path = f"/v1/sessions/{key_path(key)}"
        branches = await walk.get(f"{path}/branches")
        await walk.get(f"{path}/messages?limit=4&order=desc")
        await walk.get(f"{path}/usage?group=model")
        for branch in branches.get("data", ())[:3]:
            await walk.get(f"{path}/messages?branch={branch['id']}&limit=2&order=desc")
    for key in gone:
        for id_ in turns.get(key, ())[:1]:
            await walk.get(f"/v1/turns/{id_}")
        await walk.get("/v1/files", x_session_key=key)
    await walk.get("/v1/files", x_session_key=BOB)
    await read_usage(walk, "admin")
