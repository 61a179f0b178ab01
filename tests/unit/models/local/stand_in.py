"""A local model in front of a stand-in for its engine, which writes what a test says."""

import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.app import own_tools
from nanobot.context import prompt
from nanobot.core.message import Message
from nanobot.core.model import ModelRequest
from nanobot.models.local.model import LocalModel
from nanobot.testing import FakeClock
from tests.small_engine import EngineRoutes, prompt_of
from tests.unit.models.local.real import answer
from tests.upstream import Asked, Reply, Upstream, streamed, text

OWN_TOOLS = tuple(tool.spec for tool in own_tools(FakeClock()))
SYSTEM = prompt.system("")


class Written(msgspec.Struct, frozen=True):
    """What the engine writes next, in pieces."""

    pieces: tuple[str, ...]
    reason: str = "stop"


class Machine:
    """The model, and what its engine was asked. `says`: what the engine writes, answer by answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.routes = EngineRoutes(folder / "prefixes")
        self.asked: list[Asked] = []
        self.says: list[Written] = []
        self.model: LocalModel

    def __call__(self, asked: Asked) -> Reply:
        if (reply := self.routes(asked)) is not None:
            return reply
        self.asked.append(asked)
        written = self.says.pop(0) if self.says else Written(("Well.",))
        return streamed(*map(text, written.pieces), reason=written.reason)

    def writes(self, *pieces: str, reason: str = "stop") -> None:
        self.says.append(Written(pieces, reason))

    @property
    def prompts(self) -> list[str]:
        """The prompts of chat, in order."""
        return [prompt_of(asked) for asked in self.asked]

    async def ask(self, *messages: Message, session: str = "a", **fields: Any) -> tuple[str, Message]:
        """Return what was shown, and the message."""
        request = ModelRequest(SYSTEM, messages, OWN_TOOLS, notes="Today is Monday.", session_hint=session)
        return await answer(self.model, msgspec.structs.replace(request, **fields))


@asynccontextmanager
async def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """Lend a machine whose engine has read what all prompts begin with."""
    stand_in = Path(__file__).parents[3] / "contract" / "models" / "stand_in"
    # The child process looks for its library where this one does.
    monkeypatch.setattr(sys, "path", [str(stand_in), *sys.path])
    standing = Machine(folder)
    async with Upstream(standing) as upstream:
        weights = folder / "stand-in.gguf"
        weights.write_bytes(b"GGUF%d" % int(upstream.url.rpartition(":")[2].removesuffix("/v1")))
        standing.model = LocalModel(
            name=f"local:{weights}",
            models_dir=folder,
            log_path=folder / "engine.log",
            clock=standing.clock,
            random=random.Random(1),
            warm_system=SYSTEM,
            warm_tools=OWN_TOOLS,
            # Each character is a token here.
            context_tokens=65_536,
        )
        await standing.model.warm()
        await standing.model.warmed.wait()
        try:
            yield standing
        finally:
            await standing.model.close()
