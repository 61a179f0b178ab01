"""Seeding: a tenant uses every route, with a new secret in everything that it says, sends, names or gets."""

import asyncio
import base64
import json
from http import HTTPStatus

from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.attacker import own_sessions
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.bodies import SAME, chat_body, export, form
from nanobot.isolation.client import Attempt, Reply, Requester, path_of
from nanobot.isolation.recording_model import CALL, FAIL, SEARCH, WAIT, WRITE
from nanobot.isolation.tenants import Resources, Tenant
from nanobot.isolation.testbed import Testbed

_CHAT = "POST /v1/chat/completions"
_PNG = b"\x89PNG\r\n\x1a\n\0"
_WAV = b"RIFF\0\0\0\0WAVE"
_BLOCKED_TIMEOUT_S = 3_600.0


def base64_around(head: bytes, secret: str) -> str:
    """Return base64 whose text has the secret in it, of bytes that begin with `head`.

    The length of `head` must be a multiple of three.
    """
    # The secret stands in the encoded text itself, filled up to whole groups of four.
    return base64.b64encode(head).decode() + secret + "A" * (-len(secret) % 4)


class Seeder:
    """One owner's use of the server. `resources`: what others could know of it."""

    def __init__(self, tenant: Tenant, owner: int, testbed: Testbed) -> None:
        self._tenant = tenant
        self._owner = owner
        self._testbed = testbed
        self._requester = Requester(f"session {tenant.number}", tenant.token, owner)
        self._own = own_sessions(tenant)
        self._blocked_turn = self._title = ""
        self.resources = Resources(tenant.key)

    def _canary(self, channel: str) -> str:
        return self._testbed.canaries.create(self._owner, channel)

    async def _send(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request about one of the tenant's own sessions."""
        key = key or self._tenant.key
        target = route.partition(" ")[2].replace("{key}", path_of(key))
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if "{key}" not in route and (key != self._tenant.key or self._own.sends_key):
            headers["x-session-key"] = key
        reply = await self._testbed.client.send(
            self._requester, Attempt(route=route, target=target, headers=headers, body=body)
        )
        self._add_turn(reply)
        return reply

    async def _do(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request that must succeed, otherwise a secret is not where the audit assumes it."""
        reply = await self._send(route, body, key=key, **more)
        if reply.status != HTTPStatus.OK:
            self._testbed.client.report(
                "not seeded", route, self._requester.name, detail=f"{reply.status}: {reply.text[:300]}"
            )
        return reply

    def _add_turn(self, reply: Reply) -> None:
        turn = reply.headers.get("x-turn-id")
        if turn:
            self._testbed.canaries.add_ids(self._owner, [turn])
            if len(self.resources.turns) < 2 or (reply.status >= 400 and len(self.resources.turns) < 3):
                self.resources.turns.append(turn)

    # Seeding ---------------------------------------------------------------------------------

    async def seed(self) -> None:
        """Seed secrets by every channel; leave turns that wait for the owner's gate."""
        await self._seed_first_turns()
        await self._seed_all_channels()
        await self._start_blocked_turns()

    async def _seed_first_turns(self) -> None:
        """Say the first things, among them those that attackers know of."""
        self.resources.word, self.resources.idempotency_key = (
            self._canary("transcript"),
            self._canary("idempotency"),
        )
        self._tool = {
            "type": "function",
            "function": {
                "name": f"t_{self._canary('toolname')}",
                "description": self._canary("tooldescription"),
                "parameters": {
                    "type": "object",
                    "properties": {self._canary("toolschema"): {"type": "string"}},
                },
            },
        }
        messages: list[dict[str, object]] = [
            {"role": "system", "content": f"Instructions: {self._canary('instructions')}"},
            {"role": "user", "content": f"my secret is {self.resources.word}"},
        ]
        labels = {"metadata": {"note": self._canary("label")}, "user": self._canary("user")}
        body = chat_body(messages, tools=[self._tool], **labels)
        first = await self._do(_CHAT, body, idempotency_key=self.resources.idempotency_key)
        self._first_answer = _answer_of(first)
        await self._do(_CHAT, body, idempotency_key=self.resources.idempotency_key)
        await self._send(_CHAT, chat_body(f"{FAIL} {self._canary('error')}"))
        await self._do(_CHAT, SAME)
        await self._do(
            _CHAT, chat_body(f"beside all that: {self._canary('aside')}"), key=self._tenant.keys[4]
        )

    async def _seed_all_channels(self) -> None:
        """Send secrets by every other channel."""
        await self._use_tools()
        await self._ask_for_approval()
        await self._send_content()
        await self._do(_CHAT, chat_body(f"a title for {self._canary('untraced')}", store=False))
        await self._do(_CHAT, chat_body(f"say it: {self._canary('streamed')}", stream=True), x_events="tools")
        await self._edit()
        await self._use_files()
        await self._use_memory()
        await self._use_workspace()
        await self._use_sessions()
        await self._use_responses()
        await self._race()
        await self._read_own()

    async def _use_tools(self) -> None:
        function = self._tool["function"]
        name = function["name"] if isinstance(function, dict) else ""
        asked = await self._do(
            _CHAT, chat_body(f"{CALL} {name} of {self._canary('transcript')}", tools=[self._tool])
        )
        result: list[dict[str, object]] = [
            {"role": "tool", "tool_call_id": _call_id(asked), "content": self._canary("toolresult")}
        ]
        await self._do(_CHAT, chat_body(result, tools=[self._tool]))
        await self._do(
            _CHAT, chat_body(f"{CALL} vault of {self._canary('transcript')}", stream=True), x_events="tools"
        )

    async def _ask_for_approval(self) -> None:
        """Leave a call waiting in the main session, and agree in another one to all of a tool's calls."""
        if "POST /v1/approvals/{approval_id}" not in self._testbed.routes:
            return
        asking = chat_body(f"{CALL} safe of {self._canary('transcript')}")
        await self._do(_CHAT, asking)
        self.resources.approvals += _ids_in(await self._do("GET /v1/approvals"))
        aside = self._tenant.keys[4]
        await self._do(_CHAT, asking, key=aside)
        answered = _ids_in(await self._do("GET /v1/approvals", key=aside))
        for approval in answered:
            decision = Attempt(
                route="POST /v1/approvals/{approval_id}",
                target=f"/v1/approvals/{path_of(approval)}",
                body=b'{"decision":"session"}',
            )
            await self._testbed.client.send(self._requester, decision)
        await self._do(_CHAT, chat_body(f"go on with {self._canary('transcript')}"), key=aside)
        rules = await self._send("GET /v1/approval-rules")
        self.resources.approval_rules += _ids_in(rules)
        ids = [*self.resources.approvals, *answered, *self.resources.approval_rules]
        self._testbed.canaries.add_ids(self._owner, ids)

    async def _send_content(self) -> None:
        text = base64.b64encode(f"the file says {self._canary('file')}".encode()).decode()
        parts: list[dict[str, object]] = [
            {"type": "text", "text": f"look: {self._canary('transcript')}"},
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{base64_around(_PNG, self._canary('image'))}"},
            },
            {
                "type": "input_audio",
                "input_audio": {"data": base64_around(_WAV, self._canary("audio")), "format": "wav"},
            },
            {"type": "file", "file": {"filename": f"{self._canary('filename')}.txt", "file_data": text}},
        ]
        await self._do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _edit(self) -> None:
        """Continue from the first answer, so that what was said since becomes a branch."""
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"my secret is {self.resources.word}"},
            {"role": "assistant", "content": self._first_answer},
            {"role": "user", "content": f"rather tell me of {self._canary('branch')}"},
        ]
        await self._do(_CHAT, chat_body(messages))

    async def _use_files(self) -> None:
        if "POST /v1/files" not in self._testbed.routes:
            return
        content = f"kept: {self._canary('uploadtext')}".encode()
        headers, body = form(
            {"purpose": "user_data"}, {"file": (f"{self._canary('uploadname')}.txt", content)}
        )
        uploaded = await self._do("POST /v1/files", body, content_type=headers["content-type"])
        file_id = uploaded.field("id")
        self.resources.files.append(file_id)
        self._testbed.canaries.add_ids(self._owner, [file_id])
        parts = [
            {"type": "text", "text": f"read {self._canary('transcript')}"},
            {"type": "file", "file": {"file_id": file_id}},
        ]
        await self._do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _use_memory(self) -> None:
        """Have facts remembered, by hand and by the model. Those of a group are its members' together, which
        some tenants are: they keep theirs to the session.
        """
        if "POST /v1/memory" not in self._testbed.routes:
            return
        layers = ("session",) if DEFAULT_RULES.of(self._tenant.key).group else ("person", "session")
        for layer in layers:
            fact = {
                "text": f"keeps {self._canary('fact')}",
                "layer": layer,
                "subject": self._canary("subject"),
            }
            made = await self._do("POST /v1/memory", json.dumps(fact).encode())
            self.resources.facts.append(made.field("id"))
        self._testbed.canaries.add_ids(self._owner, self.resources.facts)
        await self._do(_CHAT, chat_body(f"{CALL} remember of {self._canary('transcript')}"))
        await self._do(_CHAT, chat_body(f"{CALL} recall of {self._canary('transcript')}"))

    async def _use_workspace(self) -> None:
        """Let the agent write a file, and search all that it can see for anybody's secrets."""
        if "GET /v1/files" not in self._testbed.routes:
            return
        for tool in (WRITE, SEARCH):
            await self._do(_CHAT, chat_body(f"{CALL} {tool} of {self._canary('transcript')}"))
        listed = await self._read("GET /v1/files", "", "", "?purpose=assistants_output")
        data = _object(listed).get("data")
        self.resources.files += [str(file["id"]) for file in data] if isinstance(data, list) else []

    async def _use_sessions(self) -> None:
        if "POST /v1/sessions/{key}" not in self._testbed.routes:
            return
        _, fork, imported, _, _ = self._tenant.keys
        self._title = self._canary("title")
        names = {"title": self._title, "metadata": {"note": self._canary("sessionlabel")}}
        await self._do("POST /v1/sessions/{key}", json.dumps(names).encode())
        await self._do("POST /v1/sessions/{key}/fork", json.dumps({"key": fork}).encode())
        await self._do(_CHAT, chat_body(f"in the fork: {self._canary('fork')}"), key=fork)
        await self._do(
            "POST /v1/sessions/{key}/rewind", json.dumps({"message_id": "msg_2"}).encode(), key=fork
        )
        await self._do(_CHAT, chat_body(f"rewound: {self._canary('rewound')}"), key=fork)
        await self._do("POST /v1/sessions/{key}/import", export(self._canary("imported")), key=imported)
        await self._do(_CHAT, chat_body("what was imported?"), key=imported)

    async def _use_responses(self) -> None:
        """Use `/v1/responses`, in a conversation created through `/v1/conversations`."""
        if "POST /v1/responses" not in self._testbed.routes:
            return
        conversation = self._tenant.keys[3]
        new = {
            "items": [{"role": "user", "content": f"first: {self._canary('convitem')}"}],
            "metadata": {"note": self._canary("convlabel")},
        }
        await self._do("POST /v1/conversations", json.dumps(new).encode(), key=conversation)
        self.resources.conversations.append(conversation)
        asked: dict[str, object] = {
            "model": "nanobot",
            "input": f"answer {self._canary('responseinput')}",
            "instructions": f"mind {self._canary('responseinstructions')}",
            "metadata": {"note": self._canary("responselabel")},
        }
        first = await self._do("POST /v1/responses", json.dumps(asked).encode(), key=conversation)
        more = asked | {
            "input": f"more {self._canary('responseinput')}",
            "previous_response_id": first.field("id"),
            "stream": True,
        }
        await self._do("POST /v1/responses", json.dumps(more).encode(), key=conversation)
        behind = asked | {"input": f"behind {self._canary('background')}", "background": True}
        second = await self._do("POST /v1/responses", json.dumps(behind).encode(), key=conversation)
        self.resources.responses += [first.field("id"), second.field("id")]
        listed = await self._read(
            "GET /v1/conversations/{conversation_id}/items", "{conversation_id}", conversation
        )
        data = _object(listed).get("data")
        self.resources.items += [str(item["id"]) for item in data[:2]] if isinstance(data, list) else []

    async def _race(self) -> None:
        """Send turns to one session at once: queued, into the running one, and interrupting it."""
        bodies = [
            (policy, chat_body(f"{policy} {self._canary('race')}", stream=stream))
            for policy in ("queue", "steer", "interrupt", "queue")
            for stream in (False, True)
        ]
        await asyncio.gather(*(self._send(_CHAT, body, x_when_busy=policy) for policy, body in bodies))

    async def _read_own(self) -> None:
        """Read all of its own things: secrets that even their owner cannot see prove nothing elsewhere."""
        for route in self._testbed.routes:
            if not route.startswith("GET ") or route.endswith("/events") or route not in ATTEMPTS:
                continue
            for attempt in ATTEMPTS[route](route, self._own, self.resources):
                await self._testbed.client.send(self._requester, attempt)

    # While others attack ----------------------------------------------------------------

    async def _start_blocked_turns(self) -> None:
        """Start a turn that waits for its gate, one queued behind it and one steered into it; watch them.

        They go on until the testbed releases the owner.
        """
        testbed = self._testbed
        if "GET /v1/sessions/{key}/events" in testbed.routes:
            testbed.start_watch(self._owner, self._watch())
        for policy, text in (
            ("queue", f"{WAIT} {self._canary('running')}"),
            ("queue", f"next {self._canary('queued')}"),
            ("steer", f"and {self._canary('steered')}"),
        ):
            started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            testbed.start_turn(self._owner, self._send_blocked(text, policy, started))
            turn = await started
            testbed.canaries.add_ids(self._owner, [turn])
            self.resources.turns.append(turn)
        self._blocked_turn = self.resources.turns[-3]

    async def _send_blocked(self, text: str, policy: str, started: "asyncio.Future[str]") -> None:
        headers = self._own.headers() | {"x-when-busy": policy, "x-events": "tools"}
        body = chat_body(text, stream=True)
        attempt = Attempt(
            route=_CHAT,
            target="/v1/chat/completions",
            headers=headers,
            body=body,
            timeout_s=_BLOCKED_TIMEOUT_S,
        )
        await self._testbed.client.send(self._requester, attempt, started)

    async def _watch(self) -> None:
        route = "GET /v1/sessions/{key}/events"
        target = route.partition(" ")[2].replace("{key}", path_of(self._tenant.key))
        await self._testbed.client.send(
            self._requester, Attempt(route=route, target=target, timeout_s=_BLOCKED_TIMEOUT_S)
        )

    async def damage(self) -> list[str]:
        """Return, in words, what is no longer as the tenant left it, once its turns have ended."""
        damages = []
        turn = await self._read("GET /v1/turns/{turn_id}", "{turn_id}", self._blocked_turn)
        if turn.field("status") != "done":
            damages.append(f"the turn {self._blocked_turn} is {turn.field('status') or 'gone'}")
        if "GET /v1/sessions/{key}" in self._testbed.routes:
            session = await self._read("GET /v1/sessions/{key}", "{key}", self._tenant.key)
            if session.field("title") != self._title:
                damages.append(f"the title of session {self._tenant.key!r} is {session.field('title')!r}")
            messages = await self._read(
                "GET /v1/sessions/{key}/messages", "{key}", self._tenant.key, "?limit=100"
            )
            if self.resources.word not in messages.text:
                damages.append(f"the transcript of session {self._tenant.key!r} lacks its beginning")
        kept = [
            await self._read("GET /v1/files/{file_id}", "{file_id}", file_id)
            for file_id in self.resources.files
        ]
        if any(reply.status != HTTPStatus.OK for reply in kept):
            damages.append("a file is gone")
        for fact in self.resources.facts:
            known = await self._read("GET /v1/memory/{fact_id}", "{fact_id}", fact)
            if not known.field("text").startswith("keeps "):
                damages.append("a fact is gone, or another")
        for approval in self.resources.approvals:
            standing = await self._read("GET /v1/approvals/{approval_id}", "{approval_id}", approval)
            if standing.field("state") != "pending":
                damages.append(f"the approval {approval} is {standing.field('state') or 'gone'}")
        return damages

    async def _read(self, route: str, parameter: str, name: str, query: str = "") -> Reply:
        target = route.partition(" ")[2].replace(parameter, path_of(name)) + query
        return await self._testbed.client.send(
            self._requester, Attempt(route=route, target=target, headers=self._own.headers())
        )

    # Deletion ----------------------------------------------------------------------------

    async def delete_while_running(self) -> None:
        """Delete the session while turns of it run.

        From here on no one may see anything of it, not even the owner that has its keys next.
        """
        route = "DELETE /v1/sessions/{key}"
        await asyncio.gather(
            self._send(route),
            *(self._send(_CHAT, SAME, x_when_busy=policy) for policy in ("queue", "steer", "interrupt")),
        )
        # Includes the main one: a turn that came after its deletion has created it anew.
        for key in self._tenant.keys:
            await self._send(route, key=key)
        self._testbed.model.deleted_owners |= {self._owner}
        await self._testbed.release(self._owner)


def _answer_of(reply: Reply) -> str:
    """Return the text of a chat completion."""
    choices = _object(reply).get("choices")
    return str(choices[0]["message"]["content"] or "") if isinstance(choices, list) and choices else ""


def _call_id(reply: Reply) -> str:
    """Return the id of the first call that a chat completion asks for."""
    choices = _object(reply).get("choices")
    calls = choices[0]["message"].get("tool_calls") if isinstance(choices, list) and choices else None
    return str(calls[0]["id"]) if calls else "none"


def _ids_in(page: Reply) -> list[str]:
    """Return the ids of what a page lists."""
    listed = _object(page).get("data")
    return [str(each["id"]) for each in listed] if isinstance(listed, list) else []


def _object(reply: Reply) -> dict[str, object]:
    try:
        body = reply.json
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
