"""What every route answers: what is under way, then all that can be read. `writing_routes.py` goes on.

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
    await read_usage(walk, "admin")
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


async def read_usage(walk: Walk, who: str) -> None:
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
        await read_usage(walk, who)
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
