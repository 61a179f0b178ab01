"""A model that records every prompt it is sent, and repeats all the secrets in it to whoever asks."""

import asyncio
from collections.abc import AsyncGenerator
from typing import get_args

import msgspec

from nanobot.core.errors import ModelRejectedRequest
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.isolation.canaries import CANARY, Canaries, Canary, owner_of, secrets_in

CALL, FAIL, WAIT = "please-call:", "please-fail", "please-wait"
"""Words in a user's message that tell the model what to do; a tool's name follows the first."""
WRITE, SEARCH, REMEMBER, RECALL = "write_file", "grep", "remember", "recall"
"""Tools of the server that it calls with arguments of their own."""


class RecordedPrompt(msgspec.Struct, frozen=True):
    """The secrets in a prompt.

    `hint`: the opaque name of the session that the provider gets. `tokens`: of prompt and answer.
    `deleted_owners`: those whose sessions had been deleted by then.
    """

    hint: str
    canaries: frozenset[Canary]
    tokens: int
    deleted_owners: frozenset[int]


class RecordingModel:
    """A `Model` with all abilities. `prompts`: what it was sent so far."""

    name = "recording"
    context_tokens = 1_000_000
    abilities: frozenset[Ability] = frozenset(get_args(Ability))

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._calls = 0
        self._gates: dict[int, asyncio.Event] = {}
        self.prompts: list[RecordedPrompt] = []
        self.deleted_owners: frozenset[int] = frozenset()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        prompt = msgspec.json.encode(msgspec.structs.replace(request, audience=None)).decode()
        usage = Usage(len(prompt) // 4, 10)
        self._record(request, prompt, usage)
        question = next(
            (message.text for message in reversed(request.messages) if message.role == "user"), ""
        )
        owner = owner_of(question)
        # Once a tool has answered, the words of the question have been obeyed.
        is_fresh = request.messages[-1].role == "user"
        if is_fresh and FAIL in question:
            raise ModelRejectedRequest(f"the provider's own words about {question}")
        parts: list[Text | ToolCall] = []
        for word in self._words(prompt, owner):
            parts.append(Text(f"{word} "))
            yield TextDelta(f"{word} ")
        if is_fresh and WAIT in question and owner is not None:
            await self.gate(owner).wait()
        if is_fresh and CALL in question:
            parts.append(self._call(question.partition(CALL)[2].split()[0], owner))
            yield Message("assistant", _joined(parts), "tool_calls", usage, self.name)
        else:
            yield Message("assistant", _joined(parts), "stop", usage, self.name)

    def _record(self, request: ModelRequest, prompt: str, usage: Usage) -> None:
        self.prompts.append(
            RecordedPrompt(
                request.session_hint,
                frozenset(self._canaries.find(prompt)),
                usage.prompt_tokens + usage.completion_tokens,
                self.deleted_owners,
            )
        )

    def gate(self, owner: int) -> asyncio.Event:
        """Return the event that the owner's turns wait for where their input says `WAIT`."""
        return self._gates.setdefault(owner, asyncio.Event())

    def _words(self, prompt: str, owner: int | None) -> list[str]:
        own = [] if owner is None else [self._canaries.create(owner, "answer")]
        return own + secrets_in(prompt)[-40:] or ["ok"]

    def _call(self, name: str, owner: int | None) -> ToolCall:
        self._calls += 1
        return ToolCall(
            f"call_{self._calls}", name, msgspec.json.encode(self._arguments(name, owner)).decode()
        )

    def _arguments(self, name: str, owner: int | None) -> dict[str, object]:
        """Return arguments with secrets of the owner, as far as the tool takes some."""
        if name == SEARCH:
            # Of anybody: its own are all that may be found.
            return {"pattern": CANARY}
        if name == WRITE and owner is not None:
            return {
                "path": f"{self._canaries.create(owner, 'workspacename')}.txt",
                "content": f"written: {self._canaries.create(owner, 'workspacetext')}",
            }
        secret = "" if owner is None else self._canaries.create(owner, "arguments")
        if name == REMEMBER:
            return {"fact": f"noted {secret}", "only_here": True}
        return {"query" if name == RECALL else "about": secret}

    async def check(self) -> None:
        """Always ready."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Holds nothing."""


def _joined(parts: list[Text | ToolCall]) -> tuple[Text | ToolCall, ...]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return (Text(text), *(part for part in parts if isinstance(part, ToolCall)))


class VaultArguments(msgspec.Struct, frozen=True):
    """Arguments of the tool `vault`."""

    about: str = ""


def vaults(canaries: Canaries, owners: dict[str, int]) -> tuple[Tool, ...]:
    """Return server-side tools that reveal a secret of the session they are called in: `vault` at once,
    `safe` only once its user has agreed to the call.

    `owners`: the current owner of each session key.
    """

    async def run(arguments: VaultArguments, context: ToolContext) -> str:
        return canaries.create(owners[context.session_key], "servertool")

    text = "Tell what is kept for this conversation."
    return (
        Tool("vault", text, VaultArguments, run, repeatable=True),
        Tool("safe", text, VaultArguments, run, repeatable=True, by_default="ask"),
    )
