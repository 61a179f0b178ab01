"""Planting: what a tenant does in the house, with a secret of its own in each thing that it says, sends,
names or gets.
"""

import asyncio
import base64
import json
from collections.abc import Coroutine, Iterable
from http import HTTPStatus

from nanobot.isolation.attempts import FILLERS, SAME, chat_body, export, form, seat_of
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import Attempt, AuditCaller, AuditClient, Reply, path_of
from nanobot.isolation.tenants import Aim, Tenant
from nanobot.isolation.witness import CALL, FAIL, WAIT, Witness

_CHAT = "POST /v1/chat/completions"
_PNG = b"\x89PNG\r\n\x1a\n\0"
_WAV = b"RIFF\0\0\0\0WAVE"
_LONGEST_HELD_S = 3_600.0


def in_base64(head: bytes, secret: str) -> str:
    """Return base64 of bytes that begin with `head` (a multiple of three), in which the secret can be read as
    it is.
    """
    return base64.b64encode(head).decode() + secret + "A" * (-len(secret) % 4)


class Life:
    """What one owner does. `aim` is what others could know of it."""

    def __init__(self, tenant: Tenant, owner: int, house: "House") -> None:
        self._tenant = tenant
        self._owner = owner
        self._house = house
        self._caller = AuditCaller(f"session {tenant.number}", tenant.token, owner)
        self._seat = seat_of(tenant)
        self._held_turn = self._title = ""
        self.aim = Aim(tenant.key)

    def _plant(self, channel: str) -> str:
        return self._house.canaries.plant(self._owner, channel)

    async def _send(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request about one of the tenant's own sessions."""
        key = key or self._tenant.key
        target = route.partition(" ")[2].replace("{key}", path_of(key))
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if "{key}" not in route and (key != self._tenant.key or self._seat.sends_key):
            headers["x-session-key"] = key
        reply = await self._house.asking.ask(
            self._caller, Attempt(route=route, target=target, headers=headers, body=body)
        )
        self._note(reply)
        return reply

    async def _do(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request that must succeed: else a secret is not where it is thought to be."""
        reply = await self._send(route, body, key=key, **more)
        if reply.status != HTTPStatus.OK:
            self._house.asking.report(
                "not planted", route, self._caller.name, detail=f"{reply.status}: {reply.text[:300]}"
            )
        return reply

    def _note(self, reply: Reply) -> None:
        turn = reply.headers.get("x-turn-id")
        if turn:
            self._house.canaries.note_ids(self._owner, [turn])
            if len(self.aim.turns) < 2 or (reply.status >= 400 and len(self.aim.turns) < 3):
                self.aim.turns.append(turn)

    # What it does ---------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Say the first things, which others may know of."""
        self.aim.word, self.aim.idempotency_key = self._plant("transcript"), self._plant("idempotency")
        self._tool = {
            "type": "function",
            "function": {
                "name": f"t_{self._plant('toolname')}",
                "description": self._plant("tooldescription"),
                "parameters": {
                    "type": "object",
                    "properties": {self._plant("toolschema"): {"type": "string"}},
                },
            },
        }
        messages: list[dict[str, object]] = [
            {"role": "system", "content": f"Instructions: {self._plant('instructions')}"},
            {"role": "user", "content": f"my secret is {self.aim.word}"},
        ]
        labels = {"metadata": {"note": self._plant("label")}, "user": self._plant("user")}
        body = chat_body(messages, tools=[self._tool], **labels)
        first = await self._do(_CHAT, body, idempotency_key=self.aim.idempotency_key)
        self._first_answer = _said(first)
        await self._do(_CHAT, body, idempotency_key=self.aim.idempotency_key)
        await self._send(_CHAT, chat_body(f"{FAIL} {self._plant('error')}"))
        await self._do(_CHAT, SAME)
        await self._do(_CHAT, chat_body(f"beside all that: {self._plant('aside')}"), key=self._tenant.keys[4])

    async def go_on(self) -> None:
        """Use every way in that there is."""
        await self._use_tools()
        await self._send_content()
        await self._do(_CHAT, chat_body(f"a title for {self._plant('untraced')}", store=False))
        await self._do(_CHAT, chat_body(f"say it: {self._plant('streamed')}", stream=True), x_events="tools")
        await self._edit()
        await self._use_files()
        await self._use_sessions()
        await self._use_responses()
        await self._race()
        await self._look_at_itself()

    async def _use_tools(self) -> None:
        function = self._tool["function"]
        name = function["name"] if isinstance(function, dict) else ""
        asked = await self._do(
            _CHAT, chat_body(f"{CALL} {name} of {self._plant('transcript')}", tools=[self._tool])
        )
        result: list[dict[str, object]] = [
            {"role": "tool", "tool_call_id": _call_id(asked), "content": self._plant("toolresult")}
        ]
        await self._do(_CHAT, chat_body(result, tools=[self._tool]))
        await self._do(
            _CHAT, chat_body(f"{CALL} vault of {self._plant('transcript')}", stream=True), x_events="tools"
        )

    async def _send_content(self) -> None:
        text = base64.b64encode(f"the file says {self._plant('file')}".encode()).decode()
        parts: list[dict[str, object]] = [
            {"type": "text", "text": f"look: {self._plant('transcript')}"},
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{in_base64(_PNG, self._plant('image'))}"},
            },
            {
                "type": "input_audio",
                "input_audio": {"data": in_base64(_WAV, self._plant("audio")), "format": "wav"},
            },
            {"type": "file", "file": {"filename": f"{self._plant('filename')}.txt", "file_data": text}},
        ]
        await self._do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _edit(self) -> None:
        """Go back to the first answer, and on from there: what was said since becomes a branch."""
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"my secret is {self.aim.word}"},
            {"role": "assistant", "content": self._first_answer},
            {"role": "user", "content": f"rather tell me of {self._plant('branch')}"},
        ]
        await self._do(_CHAT, chat_body(messages))

    async def _use_files(self) -> None:
        if "POST /v1/files" not in self._house.routes:
            return
        content = f"kept: {self._plant('uploadtext')}".encode()
        headers, body = form(
            {"purpose": "user_data"}, {"file": (f"{self._plant('uploadname')}.txt", content)}
        )
        uploaded = await self._do("POST /v1/files", body, content_type=headers["content-type"])
        file_id = uploaded.field("id")
        self.aim.files.append(file_id)
        self._house.canaries.note_ids(self._owner, [file_id])
        parts = [
            {"type": "text", "text": f"read {self._plant('transcript')}"},
            {"type": "file", "file": {"file_id": file_id}},
        ]
        await self._do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _use_sessions(self) -> None:
        if "POST /v1/sessions/{key}" not in self._house.routes:
            return
        _, fork, imported, _, _ = self._tenant.keys
        self._title = self._plant("title")
        names = {"title": self._title, "metadata": {"note": self._plant("sessionlabel")}}
        await self._do("POST /v1/sessions/{key}", json.dumps(names).encode())
        await self._do("POST /v1/sessions/{key}/fork", json.dumps({"key": fork}).encode())
        await self._do(_CHAT, chat_body(f"in the fork: {self._plant('fork')}"), key=fork)
        await self._do(
            "POST /v1/sessions/{key}/rewind", json.dumps({"message_id": "msg_2"}).encode(), key=fork
        )
        await self._do(_CHAT, chat_body(f"rewound: {self._plant('rewound')}"), key=fork)
        await self._do("POST /v1/sessions/{key}/import", export(self._plant("imported")), key=imported)
        await self._do(_CHAT, chat_body("what was imported?"), key=imported)

    async def _use_responses(self) -> None:
        """Through OpenAI's newer door: in the main session, and in a conversation that it makes."""
        if "POST /v1/responses" not in self._house.routes:
            return
        conversation = self._tenant.keys[3]
        made = {
            "items": [{"role": "user", "content": f"first: {self._plant('convitem')}"}],
            "metadata": {"note": self._plant("convlabel")},
        }
        await self._do("POST /v1/conversations", json.dumps(made).encode(), key=conversation)
        self.aim.conversations.append(conversation)
        asked: dict[str, object] = {
            "model": "nanobot",
            "input": f"answer {self._plant('responseinput')}",
            "instructions": f"mind {self._plant('responseinstructions')}",
            "metadata": {"note": self._plant("responselabel")},
        }
        first = await self._do("POST /v1/responses", json.dumps(asked).encode(), key=conversation)
        more = asked | {
            "input": f"more {self._plant('responseinput')}",
            "previous_response_id": first.field("id"),
            "stream": True,
        }
        await self._do("POST /v1/responses", json.dumps(more).encode(), key=conversation)
        behind = asked | {"input": f"behind {self._plant('background')}", "background": True}
        second = await self._do("POST /v1/responses", json.dumps(behind).encode(), key=conversation)
        self.aim.responses += [first.field("id"), second.field("id")]
        listed = await self._read(
            "GET /v1/conversations/{conversation_id}/items", "{conversation_id}", conversation
        )
        data = _object(listed).get("data")
        self.aim.items += [str(item["id"]) for item in data[:2]] if isinstance(data, list) else []

    async def _race(self) -> None:
        """All at once in one session: in line, into the running turn, and in its place."""
        bodies = [
            (policy, chat_body(f"{policy} {self._plant('race')}", stream=stream))
            for policy in ("queue", "steer", "interrupt", "queue")
            for stream in (False, True)
        ]
        await asyncio.gather(*(self._send(_CHAT, body, x_when_busy=policy) for policy, body in bodies))

    async def _look_at_itself(self) -> None:
        """Read all that is its own: what was planted must be there, else nothing would be shown by its being
        nowhere else.
        """
        for route in self._house.routes:
            if not route.startswith("GET ") or route.endswith("/events") or route not in FILLERS:
                continue
            for attempt in FILLERS[route](route, self._seat, self.aim):
                await self._house.asking.ask(self._caller, attempt)

    # What goes on while others ask ----------------------------------------------------------------

    async def hold(self) -> None:
        """Begin a turn that goes on until its gate is opened, with others behind it and in it, and watch the
        session.
        """
        house = self._house
        if "GET /v1/sessions/{key}/events" in house.routes:
            house.start_watch(self._owner, self._watch())
        for policy, text in (
            ("queue", f"{WAIT} {self._plant('running')}"),
            ("queue", f"next {self._plant('queued')}"),
            ("steer", f"and {self._plant('steered')}"),
        ):
            begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            house.start(self._owner, self._held(text, policy, begun))
            turn = await begun
            house.canaries.note_ids(self._owner, [turn])
            self.aim.turns.append(turn)
        self._held_turn = self.aim.turns[-3]

    async def _held(self, text: str, policy: str, begun: "asyncio.Future[str]") -> None:
        headers = self._seat.own() | {"x-when-busy": policy, "x-events": "tools"}
        body = chat_body(text, stream=True)
        attempt = Attempt(
            route=_CHAT, target="/v1/chat/completions", headers=headers, body=body, longest_s=_LONGEST_HELD_S
        )
        await self._house.asking.ask(self._caller, attempt, begun)

    async def _watch(self) -> None:
        route = "GET /v1/sessions/{key}/events"
        target = route.partition(" ")[2].replace("{key}", path_of(self._tenant.key))
        await self._house.asking.ask(
            self._caller, Attempt(route=route, target=target, longest_s=_LONGEST_HELD_S)
        )

    async def missing(self) -> list[str]:
        """Return what should be there, once all has settled, and is not as it was left."""
        found = []
        turn = await self._read("GET /v1/turns/{turn_id}", "{turn_id}", self._held_turn)
        if turn.field("status") != "done":
            found.append(f"the turn {self._held_turn} is {turn.field('status') or 'gone'}")
        if "GET /v1/sessions/{key}" in self._house.routes:
            session = await self._read("GET /v1/sessions/{key}", "{key}", self._tenant.key)
            if session.field("title") != self._title:
                found.append(f"the title of session {self._tenant.key!r} is {session.field('title')!r}")
            messages = await self._read(
                "GET /v1/sessions/{key}/messages", "{key}", self._tenant.key, "?limit=100"
            )
            if self.aim.word not in messages.text:
                found.append(f"the transcript of session {self._tenant.key!r} lacks its beginning")
        kept = [
            await self._read("GET /v1/files/{file_id}", "{file_id}", file_id) for file_id in self.aim.files
        ]
        if any(reply.status != HTTPStatus.OK for reply in kept):
            found.append("a file is gone")
        return found

    async def _read(self, route: str, place: str, name: str, query: str = "") -> Reply:
        target = route.partition(" ")[2].replace(place, path_of(name)) + query
        return await self._house.asking.ask(
            self._caller, Attempt(route=route, target=target, headers=self._seat.own())
        )

    # The end of a past ----------------------------------------------------------------------------

    async def end(self) -> None:
        """Delete the session while turns of it run; from here on nothing of it may be seen again, its owner's
        successor included.
        """
        route = "DELETE /v1/sessions/{key}"
        await asyncio.gather(
            self._send(route),
            *(self._send(_CHAT, SAME, x_when_busy=policy) for policy in ("queue", "steer", "interrupt")),
        )
        # the main one too: what came after its end began it anew
        for key in self._tenant.keys:
            await self._send(route, key=key)
        self._house.witness.gone |= {self._owner}
        await self._house.settle(self._owner)


class House:
    """What all lives share.

    `routes`: what the door offers; what is started here goes on until its owner's `settle`.
    """

    def __init__(
        self,
        asking: AuditClient,
        canaries: Canaries,
        witness: Witness,
        routes: Iterable[str],
        group: asyncio.TaskGroup,
    ) -> None:
        self.asking = asking
        self.canaries = canaries
        self.witness = witness
        self.routes = tuple(routes)
        self._group = group
        self._held: dict[int, list[asyncio.Task[None]]] = {}
        self._watches: dict[int, asyncio.Task[None]] = {}

    def start(self, owner: int, work: Coroutine[None, None, None]) -> None:
        self._held.setdefault(owner, []).append(self._group.create_task(work))

    def start_watch(self, owner: int, work: Coroutine[None, None, None]) -> None:
        self._watches[owner] = self._group.create_task(work)

    async def settle(self, owner: int) -> None:
        """Let the owner's turns go on, and return when they have ended."""
        self.witness.gate(owner).set()
        for task in self._held.pop(owner, ()):
            await task
        watch = self._watches.pop(owner, None)
        if watch is not None:
            watch.cancel()
            await asyncio.wait((watch,))


def _said(reply: Reply) -> str:
    """Return the text of a chat completion."""
    choices = _object(reply).get("choices")
    return str(choices[0]["message"]["content"] or "") if isinstance(choices, list) and choices else ""


def _call_id(reply: Reply) -> str:
    """Return the id of the first call that a chat completion asks for."""
    choices = _object(reply).get("choices")
    calls = choices[0]["message"].get("tool_calls") if isinstance(choices, list) and choices else None
    return str(calls[0]["id"]) if calls else "none"


def _object(reply: Reply) -> dict[str, object]:
    try:
        found = reply.json
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
