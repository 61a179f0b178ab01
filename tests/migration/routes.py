"""What every route answers: what is under way, then all that can be read, what can be changed, and what can
be read then.

It asks through HTTP only, and knows of the database what a client may know (`known.json`): ids, session and
API keys.
"""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Ask(Protocol):
    """How to send a request, and get the whole answer."""

    async def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer: ...


Answers = dict[str, dict[str, Any]]
HEADERS = ("content-type", "content-disposition", "x-turn-id", "x-history", "retry-after", "x-should-retry")
"""What is looked at of the head. `x-request-id` is another one each time."""
USUAL = "application/json"
"""The type of most answers: not noted."""
UNSEEN = ("/metrics", "/openapi.json", "/docs", "/ready")
"""Routes that say nothing of the data: only their status and type are compared."""
ALICE, BOB, CAROL = "wx:dm:alice", "wx:group:g1:user:bob", "wx:group:g1:user:carol"
PAGED = (ALICE, CAROL, "crash:tools")
"""Sessions that are read in small pages, in both orders."""
SEARCHES = (
    "owls",
    "owl",
    "OWLS birds",
    '"quiet birds"',
    '"birds quiet"',
    "cafe zurich",
    "café",
    "图书馆",
    "书 图",
    "heliotrope",
    "xylophone",
    "zebras",
    "quokkas",
    "apples",
    "pears",
    "plums",
    "pipe organ village",
    "amphora",
    "Gänse",
    "ganse brucke",
    "crash",
    "steered",
    "calculate",
    "nothing-of-the-kind",
    "_",
    "item begin",
    "badger",
    '"unbalanced quote',
)
_EXPORT_VERSION = re.compile(rb'(nanobot\.session\\?", ?\\?"version\\?": ?)2')
_ID = re.compile(
    r"\b((?:turn|resp|req|conv|file|fork|msg|rs|fc|fco|chatcmpl)[-_])([0-9a-hjkmnp-tv-z]{26})(?![0-9a-z]{7})"
)


class Walk:
    """One walk through the routes.

    Ids that the database does not have were made while walking: they are counted instead of shown.
    """

    def __init__(self, ask: Ask, known: Mapping[str, Any], tokens: Mapping[str, str]) -> None:
        self._ask = ask
        self._tokens = tokens
        self.known = known
        self.answers: Answers = {}
        self._prefix = ""
        self._old = json.dumps(known)
        self._new: dict[str, str] = {}

    def chapter(self, prefix: str) -> None:
        """Let what is asked from now on stand under another name: the same may be asked again."""
        self._prefix = prefix

    async def get(self, path: str, who: str | None = "admin", **headers: str) -> Any:
        return await self.send("GET", path, who=who, **headers)

    async def send(
        self, method: str, path: str, body: Any = None, who: str | None = "admin", **headers: str
    ) -> Any:
        """Ask; note the answer; return its body, decoded as it is noted but for the ids."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        own = {"authorization": f"Bearer {self._tokens[who]}"} if who else {}
        answer = await self._ask(method, path, {**own, **given}, raw)
        # An export is as it was but for the version of its format.
        shown = _decoded(answer._replace(body=_EXPORT_VERSION.sub(rb"\g<1>1", answer.body)))
        noted: dict[str, Any] = {"status": answer.status}
        noted |= {name: answer.headers[name] for name in HEADERS if answer.headers.get(name, USUAL) != USUAL}
        if not path.startswith(UNSEEN) and method != "HEAD":
            noted["body"] = shown
        with_headers = "".join(f" [{name}: {value}]" for name, value in sorted(given.items()))
        asked = f"{self._prefix}{method} {path} (as {who or 'nobody'}){with_headers}" + (
            f" {raw.decode(errors='replace')}" if raw else ""
        )
        name = self._masked(asked)
        while name in self.answers:
            name += " again"
        self.answers[name] = json.loads(self._masked(json.dumps(noted, ensure_ascii=False)))
        return shown

    def _masked(self, text: str) -> str:
        return _ID.sub(lambda found: found[1] + self._name(found[1], found[2]), text)

    def _name(self, prefix: str, id_: str) -> str:
        if id_ in self._old or id_.startswith("0" * 8):
            return id_
        if prefix == "req_":  # seen only where the server fails: the others' numbers must not depend on it
            return "NEW"
        return self._new.setdefault(id_, f"NEW{len(self._new) + 1}-")

    async def pages(self, path: str, who: str = "admin", **headers: str) -> list[Any]:
        """Read a list page after page; return what was in it."""
        found: list[Any] = []
        after = ""
        while True:
            page = await self.get(f"{path}{after}", who, **headers)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = f"&after={quote(page['last_id'], safe='')}"


def _decoded(answer: Answer) -> Any:
    """Return the body to be compared: JSON as such, lines one by one, what is no text in base64."""
    kind = answer.headers.get("content-type", "")
    try:
        if kind.startswith("application/json"):
            return json.loads(answer.body)
        if kind.startswith("application/jsonl"):
            return [json.loads(line) for line in answer.body.splitlines()]
        if kind.startswith("text/event-stream"):
            return [_event(block) for block in answer.body.decode().split("\n\n") if block.strip("\n")]
        return answer.body.decode()
    except ValueError:
        return base64.b64encode(answer.body).decode()


def _event(block: str) -> dict[str, Any]:
    """Return the fields of an event, whose order means nothing; the JSON in it decoded."""
    fields: dict[str, Any] = {}
    for line in block.strip("\n").split("\n"):
        name, _, value = line.partition(": ")
        fields[name] = json.loads(value) if name == "data" and value.startswith("{") else value
    return fields


def key_path(key: str) -> str:
    """Return the session key as a piece of a path."""
    return quote(key, safe="").replace(".", "%2E")


async def settle(ask: Ask, known: Mapping[str, Any], tokens: Mapping[str, str]) -> None:
    """Return when the turns that were open at the crash have come to their end. Their answers are not
    followed: they are not delivered yet.
    """
    own = {"authorization": f"Bearer {tokens['admin']}"}
    for id_, _ in known["open_turns"]:
        while json.loads((await ask("GET", f"/v1/turns/{id_}", own)).body)["status"] in ("queued", "running"):
            await asyncio.sleep(0)


async def resend(walk: Walk) -> None:
    """Send again, known by its count alone, what was answered while its client was away."""
    walk.chapter("then ")
    asked, own = _body("Queued behind silence"), {"x_session_key": BOB, "x_stainless_retry_count": "1"}
    await walk.send("POST", "/v1/chat/completions", asked, "group", **own)
    walk.chapter("")


# What is under way ------------------------------------------------------------------------------------------


async def look(walk: Walk) -> None:
    """Ask for the turns that the crash cut off, while their models have not answered yet."""
    walk.chapter("at first ")
    await walk.get("/v1/sessions?limit=100")
    for id_, _ in walk.known["open_turns"]:
        await walk.get(f"/v1/turns/{id_}")
    live = {id_.replace("turn_", "resp_") for id_, _ in walk.known["open_turns"]}
    for id_, _ in walk.known["responses"]:
        if id_ in live:
            await walk.get(f"/v1/responses/{id_}")
            await walk.get(f"/v1/responses/{id_}/input_items")
    for key in sorted({key for _, key in walk.known["open_turns"]}):
        path = f"/v1/sessions/{key_path(key)}"
        last = await walk.get(f"{path}/messages?limit=100")
        await walk.get(f"{path}/branches")
        await walk.get(f"{path}/export")
        await walk.send("POST", f"{path}/rewind", {"message_id": last["data"][0]["id"]})
        await walk.get(f"/v1/conversations/{key_path(key)}/items?limit=100")
    walk.chapter("")


# What can be read -------------------------------------------------------------------------------------------


async def read(walk: Walk) -> None:
    """Ask every route that only reads, for everything there is: as the key of everything, then as others."""
    for path in (
        "/health",
        *UNSEEN,
        "/v1/models",
        "/v1/models/nanobot",
        "/v1/models/small",
        "/v1/models/none",
        "/v1/nothing",
    ):
        await walk.get(path)
    await _lists(walk)
    for key in walk.known["sessions"]:
        await _session(walk, key)
    for id_, _ in walk.known["turns"]:
        await _turn(walk, id_)
    for id_, _ in walk.known["responses"]:
        await _response(walk, id_)
    for id_, key in walk.known["files"]:
        await walk.get(f"/v1/files/{id_}", x_session_key=key)
        await walk.get(f"/v1/files/{id_}/content", x_session_key=key)
    await _usage(walk, "admin")
    await _missing(walk)
    await _as_others(walk)


async def _lists(walk: Walk) -> None:
    await walk.get("/v1/sessions?limit=100")
    for order in ("desc", "asc"):
        await walk.pages(f"/v1/sessions?limit=20&order={order}")
    for prefix in ("wx:", "wx:group:g1:", "a", "a_", "%25", "*odd", "%D0%BA", "none"):
        await walk.get(f"/v1/sessions?prefix={prefix}")
    for words in SEARCHES:
        await walk.get(f"/v1/sessions?q={quote(words)}&limit=3")
    await walk.pages("/v1/sessions?q=said&limit=10&order=asc")
    await walk.get("/v1/sessions?q=said&prefix=wx:group&limit=2&after=wx:group:g1:user:carol:old")


async def _session(walk: Walk, key: str) -> None:
    path, conversation = f"/v1/sessions/{key_path(key)}", f"/v1/conversations/{key_path(key)}"
    await walk.get(path)
    messages = await walk.get(f"{path}/messages?limit=100")
    await walk.get(f"{path}/messages?limit=2&order=desc")
    if key in PAGED:
        for order in ("asc", "desc"):
            await walk.pages(f"{path}/messages?limit=7&order={order}")
        await walk.pages(f"{path}/branches?limit=1")
        await walk.pages(f"{path}/branches?limit=2&order=asc")
        await walk.pages(f"{conversation}/items?limit=5")
    branches = await walk.get(f"{path}/branches")
    for branch in branches.get("data", ()):
        if not branch["current"]:
            await walk.get(f"{path}/messages?branch={branch['id']}&limit=100")
            await walk.get(f"{path}/export?branch={branch['id']}")
    if messages.get("data"):
        middle = messages["data"][len(messages["data"]) // 2]["id"]
        await walk.get(f"{path}/messages?branch={middle}&order=desc&limit=1")
        await walk.get(f"{path}/messages?after={middle}&limit=1")
    await walk.get(f"{path}/export")
    await walk.get(f"{path}/usage")
    await walk.get(f"{path}/usage?group=day,model")
    await walk.send("HEAD", f"{path}/events")
    await walk.get(conversation)
    items = await walk.get(f"{conversation}/items?limit=100&order=asc")
    for item in items.get("data", ()):
        await walk.get(f"{conversation}/items/{item['id']}")
    uploads = await walk.get("/v1/files?limit=100", x_session_key=key)
    if uploads["data"]:
        await walk.pages("/v1/files?limit=1&order=asc", x_session_key=key)
        await walk.get("/v1/files?purpose=vision", x_session_key=key)


async def _turn(walk: Walk, id_: str) -> None:
    turn = await walk.get(f"/v1/turns/{id_}")
    await walk.get(f"/v1/turns/{id_}/stream?after=0", x_events="tools")
    if turn["answer"]:
        await walk.get(
            f"/v1/turns/{id_}/stream", last_event_id=f"{id_}:{1 + len(turn['answer']['content']) // 2}"
        )


async def _response(walk: Walk, id_: str) -> None:
    await walk.get(f"/v1/responses/{id_}")
    await walk.get(f"/v1/responses/{id_}?stream=true&starting_after=3")
    await walk.get(f"/v1/responses/{id_}/input_items")
    await walk.get(f"/v1/responses/{id_}/input_items?limit=1&order=asc")


async def _usage(walk: Walk, who: str) -> None:
    await walk.get("/v1/usage", who)
    for group in ("day", "key", "model", "day,key", "key,model", "day,key,model"):
        await walk.get(f"/v1/usage?group={group}", who)
    await walk.get("/v1/usage?start=2027-01-16&end=2027-01-17&group=day,model", who)


async def _missing(walk: Walk) -> None:
    """What is asked for and is not there."""
    none = "0" * 26
    for path in (
        "/v1/sessions/none",
        "/v1/sessions/none/messages",
        "/v1/sessions/none/branches",
        "/v1/sessions/none/export",
        "/v1/sessions/none/usage",
        f"/v1/sessions/{key_path(ALICE)}/messages?branch=msg_999",
        f"/v1/sessions/{key_path(ALICE)}/usage",
        "/v1/sessions/none/events",
        "/v1/sessions?after=none",
        f"/v1/turns/turn_{none}",
        f"/v1/turns/turn_{none}/stream",
        f"/v1/responses/resp_{none}",
        f"/v1/responses/resp_{none}/input_items",
        "/v1/conversations/none",
        "/v1/conversations/none/items",
        f"/v1/conversations/none/items/msg_{none}000000",
        f"/v1/conversations/{key_path(ALICE)}/items/msg_{none}000000",
        "/v1/usage?group=hour",
    ):
        await walk.get(path)
    chat_turn = next(id_ for id_, key in walk.known["turns"] if key == ALICE)
    await walk.get(f"/v1/responses/{chat_turn.replace('turn_', 'resp_')}")
    file_id, _ = walk.known["files"][0]
    await walk.get(f"/v1/files/{file_id}", x_session_key=ALICE)
    await walk.get(f"/v1/files/{file_id}/content", x_session_key=ALICE)
    await walk.get(f"/v1/files/file-{none}", x_session_key=BOB)
    await walk.get("/v1/files")


async def _as_others(walk: Walk) -> None:
    """What other keys see, and do not see: one of everything of each session."""
    await walk.get("/v1/models", None)
    for who in ("revoked", "forgotten", "expired"):
        await walk.get("/v1/models", who)
    for who in ("alice", "group", "reader", "lasting"):
        await walk.get("/v1/sessions?limit=100", who)
        await walk.get("/v1/sessions?q=said&limit=100&order=asc", who)
        await walk.get("/v1/files", who)
        await _usage(walk, who)
    for who in ("alice", "group", "lasting"):
        for name in ("turns", "responses"):
            seen: set[str] = set()
            for id_, key in walk.known[name]:
                if key not in seen:
                    seen.add(key)
                    await walk.get(f"/v1/{name}/{id_}", who)
        for key in walk.known["sessions"]:
            await walk.get(f"/v1/sessions/{key_path(key)}/messages?limit=1", who)
            await walk.get(f"/v1/conversations/{key_path(key)}", who)
        for id_, key in walk.known["files"]:
            await walk.get(f"/v1/files/{id_}/content", who, x_session_key=key)


# What can be changed ----------------------------------------------------------------------------------------


def _body(messages: list[dict[str, Any]] | str, **fields: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return {"model": "nanobot", "messages": said, **fields}


async def change(walk: Walk) -> None:
    """Go on with what is there, through every route that writes; then read again what has changed."""
    walk.chapter("then ")
    chat = "/v1/chat/completions"
    turns: dict[str, list[str]] = {}
    for id_, key in walk.known["turns"]:
        turns.setdefault(key, []).append(id_)

    # Known again, or not.
    await walk.send("POST", chat, _body("Queued one"), x_session_key="crash:tools", idempotency_key="crash-2")
    await walk.send("POST", chat, _body("Queued two"), x_session_key="crash:tools", idempotency_key="crash-2")
    await walk.send(
        "POST",
        chat,
        _body("Crash with tools", stream=True),
        x_session_key="crash:tools",
        idempotency_key="crash-9",
    )
    await walk.send("POST", chat, _body("Also this"), x_session_key="steer", idempotency_key="steer-1")
    await walk.send(
        "POST",
        chat,
        _body("Think about owls", reasoning_effort="high"),
        "alice",
        x_session_key=ALICE,
        idempotency_key="owls-1",
    )
    await walk.send(
        "POST", chat, _body("Be overloaded for good"), x_session_key="fails", idempotency_key="retry-3"
    )
    known = {"model": "nanobot", "input": "Known again", "conversation": "resp:parts"}
    await walk.send("POST", "/v1/responses", known, idempotency_key="response-1")
    again = {"model": "nanobot", "input": "Leave nothing at all", "store": False}
    await walk.send("POST", "/v1/responses", again)

    # Histories: at its end, edited, of a branch that was left, unheard of.
    said = (
        {"role": "user", "content": "Fünf Gänse gehen über die Brücke"},
        {"role": "assistant", "content": "You said: Fünf Gänse gehen über die Brücke"},
    )
    await walk.send(
        "POST", chat, _body([*said, {"role": "user", "content": "And six"}]), "alice", x_session_key=ALICE
    )
    pears = {"role": "user", "content": "Two pears"}, {"role": "assistant", "content": "You said: Two pears"}
    await walk.send(
        "POST",
        chat,
        _body([*pears, {"role": "user", "content": "Back to the pears"}]),
        "group",
        x_session_key=CAROL,
    )
    odd = {"role": "user", "content": "?"}, {"role": "assistant", "content": "never said"}
    await walk.send(
        "POST",
        chat,
        _body([*odd, {"role": "user", "content": "Unheard of"}], stream=True),
        x_session_key="a_b",
    )
    museum = (
        {"role": "user", "content": "Where is the amphora?"},
        {"role": "assistant", "content": "In the museum."},
    )
    await walk.send(
        "POST",
        chat,
        _body([*museum, {"role": "user", "content": "Which one?"}]),
        x_session_key="imported:hand",
    )
    fork = {"role": "user", "content": "One apple"}, {"role": "assistant", "content": "You said: One apple"}
    forked = "wx:group:g1:user:carol:old"
    await walk.send(
        "POST",
        chat,
        _body([*fork, {"role": "user", "content": "In the fork"}], store=False),
        x_session_key=forked,
    )
    await walk.send("POST", chat, _body("In the fork, to stay"), x_session_key=forked)

    # Tools of the client, uploads.
    output = {"role": "tool", "tool_call_id": "call_w2", "content": "Hail"}
    await walk.send("POST", chat, _body([{**output, "tool_call_id": "call_w9"}]), x_session_key="tools:open")
    await walk.send("POST", chat, _body([output]), x_session_key="tools:open")
    await walk.send("POST", chat, _body([output]), x_session_key="tools:dropped")
    await walk.send(
        "POST", chat, _body([{**output, "tool_call_id": "call_w4"}]), x_session_key="crash:client"
    )
    for file_id, key in walk.known["files"]:
        part = {"type": "file", "file": {"file_id": file_id}}
        await walk.send(
            "POST", chat, _body([{"role": "user", "content": [part]}]), x_session_key="with " + key
        )
        if file_id == walk.known["files"][0][0]:
            await walk.send("POST", chat, _body([{"role": "user", "content": [part]}]), x_session_key=key)

    # Responses and conversations.
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

    # Sessions.
    path = f"/v1/sessions/{key_path(CAROL)}"
    await walk.send("POST", f"{path}/rewind", {"message_id": "msg_6"}, "group")
    await walk.send("POST", f"{path}/rewind", {"message_id": "msg_999"}, "group")
    await walk.send("POST", chat, _body("After going back"), "group", x_session_key=CAROL)
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
    await walk.send("POST", f"/v1/turns/{turns[ALICE][0]}/cancel")

    await _after(walk, turns)


async def _after(walk: Walk, turns: Mapping[str, list[str]]) -> None:
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
    await _usage(walk, "admin")
