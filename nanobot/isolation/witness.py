"""The witness: a model in the provider's place that notes all it is shown, and gives all of it away to
whoever asks.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import get_args

import msgspec

from nanobot.core.errors import ModelRejectedRequest
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.isolation.canaries import Canaries, Canary, owner_of, secrets_in

CALL, FAIL, WAIT = "please-call:", "please-fail", "please-wait"
"""Words of a user's that tell the model what to do; a tool's name follows the first."""


class SeenPrompt(msgspec.Struct, frozen=True):
    """The secrets that a model was shown.

    `hint`: its opaque name of the session. `gone`: the owners that were deleted by then.
    """

    hint: str
    shown: frozenset[Canary]
    tokens: int
    gone: frozenset[int]


class Witness:
    """A `Model`: sees, hears, and holds to forms. `prompts` is what it was shown."""

    name = "witness"
    context_tokens = 1_000_000
    abilities: frozenset[Ability] = frozenset(get_args(Ability))

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._numbers = 0
        self.prompts: list[SeenPrompt] = []
        self.gone: frozenset[int] = frozenset()
        self.gates: dict[int, asyncio.Event] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        shown = msgspec.json.encode(request).decode()
        usage = Usage(len(shown) // 4, 10)
        self.prompts.append(
            SeenPrompt(
                request.session_hint,
                frozenset(self._canaries.find(shown)),
                usage.prompt_tokens + usage.completion_tokens,
                self.gone,
            )
        )
        asked = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        owner = owner_of(asked)
        answers = request.messages[-1].role == "user"
        if answers and FAIL in asked:
            raise ModelRejectedRequest(f"the provider's own words about {asked}")
        parts: list[Text | ToolCall] = []
        for word in self._words(shown, owner):
            parts.append(Text(f"{word} "))
            yield TextDelta(f"{word} ")
        if answers and WAIT in asked and owner is not None:
            await self.gate(owner).wait()
        if answers and CALL in asked:
            parts.append(self._call(asked.partition(CALL)[2].split()[0], owner))
            yield Message("assistant", _joined(parts), "tool_calls", usage, self.name)
        else:
            yield Message("assistant", _joined(parts), "stop", usage, self.name)

    def gate(self, owner: int) -> asyncio.Event:
        """Return what the owner's turns that are to wait are waiting for."""
        return self.gates.setdefault(owner, asyncio.Event())

    def _words(self, shown: str, owner: int | None) -> list[str]:
        own = [] if owner is None else [self._canaries.plant(owner, "answer")]
        return own + secrets_in(shown)[-40:] or ["ok"]

    def _call(self, name: str, owner: int | None) -> ToolCall:
        self._numbers += 1
        secret = "" if owner is None else self._canaries.plant(owner, "arguments")
        return ToolCall(f"call_{self._numbers}", name, msgspec.json.encode({"about": secret}).decode())

    async def warm(self) -> None:
        """Nothing to load."""

    async def check(self) -> None:
        """Always ready."""

    async def close(self) -> None:
        """Nothing to release."""


def _joined(parts: list[Text | ToolCall]) -> tuple[Text | ToolCall, ...]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return (Text(text), *(part for part in parts if isinstance(part, ToolCall)))


class VaultArguments(msgspec.Struct, frozen=True):
    about: str = ""


def vault(canaries: Canaries, owners: dict[str, int]) -> Tool:
    """Return a tool of the server that tells a secret of the session that it is called in;

    `owners` says whose that is now.
    """

    async def run(arguments: VaultArguments, context: ToolContext) -> str:
        return canaries.plant(owners[context.session_key], "servertool")

    return Tool("vault", "Tell what is kept for this conversation.", VaultArguments, run, repeatable=True)
