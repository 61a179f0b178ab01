"""Seeding: a tenant uses every route, with a new secret in everything that it says, sends, names or gets."""

import asyncio
import base64
import json

from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.bodies import SAME, chat_body, export, form
from nanobot.isolation.client import Attempt, Reply, path_of
from nanobot.isolation.damage import damage_to
from nanobot.isolation.owner import Owner
from nanobot.isolation.recording_model import CALL, FAIL, SEARCH, WAIT, WRITE
from nanobot.isolation.tenants import Tenant
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

    def __init__(self, tenant: Tenant, number: int, testbed: Testbed) -> None:
        self._tenant = tenant
        self._testbed = testbed
        self._owner = Owner(tenant, number, testbed)
        self._blocked_turn = self._title = ""
        self.resources = self._owner.resources

    # Seeding ---------------------------------------------------------------------------------

    async def seed(self) -> None:
        """Seed secrets by every channel; leave turns that wait for the owner's gate."""
        await self._seed_first_turns()
        await self._seed_all_channels()
        await self._start_blocked_turns()

    async def _seed_first_turns(self) -> None:
        """Say the first things, among them those that attackers know of."""
        self.resources.word, self.resources.idempotency_key = (
            self._owner.canary("transcript"),
            self._owner.canary("idempotency"),
        )
        self._tool = {
            "type": "function",
            "function": {
                "name": f"t_{self._owner.canary('toolname')}",
                "description": self._owner.canary("tooldescription"),
                "parameters": {
                    "type": "object",
                    "properties": {self._owner.canary("toolschema"): {"type": "string"}},
                },
            },
        }
        messages: list[dict[str, object]] = [
            {"role": "system", "content": f"Instructions: {self._owner.canary('instructions')}"},
            {"role": "user", "content": f"my secret is {self.resources.word}"},
        ]
        labels = {"metadata": {"note": self._owner.canary("label")}, "user": self._owner.canary("user")}
        body = chat_body(messages, tools=[self._tool], **labels)
        first = await self._owner.do(_CHAT, body, idempotency_key=self.resources.idempotency_key)
        self._first_answer = _answer_of(first)
        await self._owner.do(_CHAT, body, idempotency_key=self.resources.idempotency_key)
        await self._owner.send(_CHAT, chat_body(f"{FAIL} {self._owner.canary('error')}"))
        await self._owner.do(_CHAT, SAME)
        await self._owner.do(
            _CHAT, chat_body(f"beside all that: {self._owner.canary('aside')}"), key=self._tenant.keys[4]
        )

    async def _seed_all_channels(self) -> None:
        """Send secrets by every other channel."""
        await self._use_tools()
        await self._ask_for_approval()
        await self._send_content()
        await self._owner.do(_CHAT, chat_body(f"a title for {self._owner.canary('untraced')}", store=False))
        await self._owner.do(
            _CHAT, chat_body(f"say it: {self._owner.canary('streamed')}", stream=True), x_events="tools"
        )
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
        asked = await self._owner.do(
            _CHAT, chat_body(f"{CALL} {name} of {self._owner.canary('transcript')}", tools=[self._tool])
        )
        result: list[dict[str, object]] = [
            {"role": "tool", "tool_call_id": _call_id(asked), "content": self._owner.canary("toolresult")}
        ]
        await self._owner.do(_CHAT, chat_body(result, tools=[self._tool]))
        await self._owner.do(
            _CHAT,
            chat_body(f"{CALL} vault of {self._owner.canary('transcript')}", stream=True),
            x_events="tools",
        )

    async def _ask_for_approval(self) -> None:
        """Leave a call waiting in the main session, and agree in another one to all of a tool's calls."""
        if "POST /v1/approvals/{approval_id}" not in self._testbed.routes:
            return
        asking = chat_body(f"{CALL} safe of {self._owner.canary('transcript')}")
        await self._owner.do(_CHAT, asking)
        self.resources.approvals += _ids_in(await self._owner.do("GET /v1/approvals"))
        aside = self._tenant.keys[4]
        await self._owner.do(_CHAT, asking, key=aside)
        answered = _ids_in(await self._owner.do("GET /v1/approvals", key=aside))
        for approval in answered:
            decision = Attempt(
                route="POST /v1/approvals/{approval_id}",
                target=f"/v1/approvals/{path_of(approval)}",
                body=b'{"decision":"session"}',
            )
            await self._testbed.client.send(self._owner.requester, decision)
        await self._owner.do(_CHAT, chat_body(f"go on with {self._owner.canary('transcript')}"), key=aside)
        rules = await self._owner.send("GET /v1/approval-rules")
        self.resources.approval_rules += _ids_in(rules)
        ids = [*self.resources.approvals, *answered, *self.resources.approval_rules]
        self._testbed.canaries.add_ids(self._owner.number, ids)

    async def _send_content(self) -> None:
        text = base64.b64encode(f"the file says {self._owner.canary('file')}".encode()).decode()
        parts: list[dict[str, object]] = [
            {"type": "text", "text": f"look: {self._owner.canary('transcript')}"},
            {
                "type": "image_url",
                "image_url": {
                    "url": f"data:image/png;base64,{base64_around(_PNG, self._owner.canary('image'))}"
                },
            },
            {
                "type": "input_audio",
                "input_audio": {"data": base64_around(_WAV, self._owner.canary("audio")), "format": "wav"},
            },
            {
                "type": "file",
                "file": {"filename": f"{self._owner.canary('filename')}.txt", "file_data": text},
            },
        ]
        await self._owner.do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _edit(self) -> None:
        """Continue from the first answer, so that what was said since becomes a branch."""
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"my secret is {self.resources.word}"},
            {"role": "assistant", "content": self._first_answer},
            {"role": "user", "content": f"rather tell me of {self._owner.canary('branch')}"},
        ]
        await self._owner.do(_CHAT, chat_body(messages))

    async def _use_files(self) -> None:
        if "POST /v1/files" not in self._testbed.routes:
            return
        content = f"kept: {self._owner.canary('uploadtext')}".encode()
        headers, body = form(
            {"purpose": "user_data"}, {"file": (f"{self._owner.canary('uploadname')}.txt", content)}
        )
        uploaded = await self._owner.do("POST /v1/files", body, content_type=headers["content-type"])
        file_id = uploaded.field("id")
        self.resources.files.append(file_id)
        self._testbed.canaries.add_ids(self._owner.number, [file_id])
        parts = [
            {"type": "text", "text": f"read {self._owner.canary('transcript')}"},
            {"type": "file", "file": {"file_id": file_id}},
        ]
        await self._owner.do(_CHAT, chat_body([{"role": "user", "content": parts}]))

    async def _use_memory(self) -> None:
        """Have facts remembered, by hand and by the model. Those of a group are its members' together, which
        some tenants are: they keep theirs to the session.
        """
        if "POST /v1/memory" not in self._testbed.routes:
            return
        layers = ("session",) if DEFAULT_RULES.of(self._tenant.key).group else ("person", "session")
        for layer in layers:
            fact = {
                "text": f"keeps {self._owner.canary('fact')}",
                "layer": layer,
                "subject": self._owner.canary("subject"),
            }
            made = await self._owner.do("POST /v1/memory", json.dumps(fact).encode())
            self.resources.facts.append(made.field("id"))
        self._testbed.canaries.add_ids(self._owner.number, self.resources.facts)
        await self._owner.do(_CHAT, chat_body(f"{CALL} remember of {self._owner.canary('transcript')}"))
        await self._owner.do(_CHAT, chat_body(f"{CALL} recall of {self._owner.canary('transcript')}"))

    async def _use_workspace(self) -> None:
        """Let the agent write a file, and search all that it can see for anybody's secrets."""
        if "GET /v1/files" not in self._testbed.routes:
            return
        for tool in (WRITE, SEARCH):
            await self._owner.do(_CHAT, chat_body(f"{CALL} {tool} of {self._owner.canary('transcript')}"))
        listed = await self._owner.read("GET /v1/files", "", "", "?purpose=assistants_output")
        data = _object(listed).get("data")
        self.resources.files += [str(file["id"]) for file in data] if isinstance(data, list) else []

    async def _use_sessions(self) -> None:
        if "POST /v1/sessions/{key}" not in self._testbed.routes:
            return
        _, fork, imported, _, _ = self._tenant.keys
        self._title = self._owner.canary("title")
        names = {"title": self._title, "metadata": {"note": self._owner.canary("sessionlabel")}}
        await self._owner.do("POST /v1/sessions/{key}", json.dumps(names).encode())
        await self._owner.do("POST /v1/sessions/{key}/fork", json.dumps({"key": fork}).encode())
        await self._owner.do(_CHAT, chat_body(f"in the fork: {self._owner.canary('fork')}"), key=fork)
        await self._owner.do(
            "POST /v1/sessions/{key}/rewind", json.dumps({"message_id": "msg_2"}).encode(), key=fork
        )
        await self._owner.do(_CHAT, chat_body(f"rewound: {self._owner.canary('rewound')}"), key=fork)
        await self._owner.do(
            "POST /v1/sessions/{key}/import", export(self._owner.canary("imported")), key=imported
        )
        await self._owner.do(_CHAT, chat_body("what was imported?"), key=imported)

    async def _use_responses(self) -> None:
        """Use `/v1/responses`, in a conversation created through `/v1/conversations`."""
        if "POST /v1/responses" not in self._testbed.routes:
            return
        conversation = self._tenant.keys[3]
        new = {
            "items": [{"role": "user", "content": f"first: {self._owner.canary('convitem')}"}],
            "metadata": {"note": self._owner.canary("convlabel")},
        }
        await self._owner.do("POST /v1/conversations", json.dumps(new).encode(), key=conversation)
        self.resources.conversations.append(conversation)
        asked: dict[str, object] = {
            "model": "nanobot",
            "input": f"answer {self._owner.canary('responseinput')}",
            "instructions": f"mind {self._owner.canary('responseinstructions')}",
            "metadata": {"note": self._owner.canary("responselabel")},
        }
        first = await self._owner.do("POST /v1/responses", json.dumps(asked).encode(), key=conversation)
        more = asked | {
            "input": f"more {self._owner.canary('responseinput')}",
            "previous_response_id": first.field("id"),
            "stream": True,
        }
        await self._owner.do("POST /v1/responses", json.dumps(more).encode(), key=conversation)
        behind = asked | {"input": f"behind {self._owner.canary('background')}", "background": True}
        second = await self._owner.do("POST /v1/responses", json.dumps(behind).encode(), key=conversation)
        self.resources.responses += [first.field("id"), second.field("id")]
        listed = await self._owner.read(
            "GET /v1/conversations/{conversation_id}/items", "{conversation_id}", conversation
        )
        data = _object(listed).get("data")
        self.resources.items += [str(item["id"]) for item in data[:2]] if isinstance(data, list) else []

    async def _race(self) -> None:
        """Send turns to one session at once: queued, into the running one, and interrupting it."""
        bodies = [
            (policy, chat_body(f"{policy} {self._owner.canary('race')}", stream=stream))
            for policy in ("queue", "steer", "interrupt", "queue")
            for stream in (False, True)
        ]
        await asyncio.gather(*(self._owner.send(_CHAT, body, x_when_busy=policy) for policy, body in bodies))

    async def _read_own(self) -> None:
        """Read all of its own things: secrets that even their owner cannot see prove nothing elsewhere."""
        for route in self._testbed.routes:
            if not route.startswith("GET ") or route.endswith("/events") or route not in ATTEMPTS:
                continue
            for attempt in ATTEMPTS[route](route, self._owner.own, self.resources):
                await self._testbed.client.send(self._owner.requester, attempt)

    # While others attack ----------------------------------------------------------------

    async def _start_blocked_turns(self) -> None:
        """Start a turn that waits for its gate, one queued behind it and one steered into it; watch them.

        They go on until the testbed releases the owner.
        """
        testbed = self._testbed
        if "GET /v1/sessions/{key}/events" in testbed.routes:
            testbed.start_watch(self._owner.number, self._watch())
        for policy, text in (
            ("queue", f"{WAIT} {self._owner.canary('running')}"),
            ("queue", f"next {self._owner.canary('queued')}"),
            ("steer", f"and {self._owner.canary('steered')}"),
        ):
            started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            testbed.start_turn(self._owner.number, self._send_blocked(text, policy, started))
            turn = await started
            testbed.canaries.add_ids(self._owner.number, [turn])
            self.resources.turns.append(turn)
        self._blocked_turn = self.resources.turns[-3]

    async def _send_blocked(self, text: str, policy: str, started: "asyncio.Future[str]") -> None:
        headers = self._owner.own.headers() | {"x-when-busy": policy, "x-events": "tools"}
        body = chat_body(text, stream=True)
        attempt = Attempt(
            route=_CHAT,
            target="/v1/chat/completions",
            headers=headers,
            body=body,
            timeout_s=_BLOCKED_TIMEOUT_S,
        )
        await self._testbed.client.send(self._owner.requester, attempt, started)

    async def _watch(self) -> None:
        route = "GET /v1/sessions/{key}/events"
        target = route.partition(" ")[2].replace("{key}", path_of(self._tenant.key))
        await self._testbed.client.send(
            self._owner.requester, Attempt(route=route, target=target, timeout_s=_BLOCKED_TIMEOUT_S)
        )

    async def damage(self) -> list[str]:
        """Return, in words, what is no longer as the tenant left it, once its turns have ended."""
        return await damage_to(self._owner, self._blocked_turn, self._title)

    # Deletion ----------------------------------------------------------------------------

    async def delete_while_running(self) -> None:
        """Delete the session while turns of it run.

        From here on no one may see anything of it, not even the owner that has its keys next.
        """
        route = "DELETE /v1/sessions/{key}"
        await asyncio.gather(
            self._owner.send(route),
            *(
                self._owner.send(_CHAT, SAME, x_when_busy=policy)
                for policy in ("queue", "steer", "interrupt")
            ),
        )
        # Includes the main one: a turn that came after its deletion has created it again.
        for key in self._tenant.keys:
            await self._owner.send(route, key=key)
        self._testbed.model.deleted_owners |= {self._owner.number}
        await self._testbed.release(self._owner.number)


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
