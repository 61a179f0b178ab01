"""Models that ask no server: the small one of this machine, and those of tests."""

import asyncio
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from nanobot.core.clock import SystemClock
from nanobot.core.model import Model
from nanobot.models.echo import EchoModel
from nanobot.models.local.model import LocalModel
from nanobot.testing import Say, ScriptedModel, call
from tests import upstream
from tests.clock import PausedClock
from tests.contract.models.remote_stages import reply_of
from tests.contract.models.stage import BEGINNING, FAULTS, MIDWAY, RETRY_AFTER_S, Ability, Fault
from tests.small_engine import EngineRoutes
from tests.upstream import Asked, Gate, Reply, Upstream, streamed
from tests.weights import TINY, tiny_weights


class LocalStage:
    """`LocalModel` with its process, in which a stand-in for the engine forwards to a scripted server."""

    lacks: Mapping[Ability | Fault, str] = {
        "no first byte": "the engine is waited for as long as it loads, whatever a test's patience",
        "stalled answer": "the engine is waited for as long as it loads, whatever a test's patience",
    }

    async def open(self, folder: Path) -> None:
        self._reply: Reply | None = None
        self._route = "none"
        self._routes = EngineRoutes(folder / "prefixes")
        self._upstream = await Upstream(self._choose).__aenter__()
        weights = folder / "stand-in.gguf"
        weights.write_bytes(b"GGUF%d" % int(self._upstream.url.rpartition(":")[2].removesuffix("/v1")))
        # The child process looks for its library where this one does.
        self._stand_in = str(Path(__file__).with_name("stand_in"))
        sys.path.insert(0, self._stand_in)
        model = LocalModel(
            name=f"local:{weights}",
            models_dir=folder,
            log_path=folder / "engine.log",
            clock=PausedClock(),
            random=random.Random(1),
        )
        self.model: Model = model
        await model.warm()
        async with asyncio.timeout(60):
            await model.warmed.wait()

    async def close(self) -> None:
        await self.model.close()
        await self._upstream.__aexit__(None, None, None)
        sys.path.remove(self._stand_in)

    async def reset(self) -> None:
        self._reply, self._route = None, "none"

    def says(self, *pieces: str) -> str | None:
        self._reply = streamed(*map(upstream.text, pieces))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        self._reply = streamed(upstream.text(first), gate, upstream.text(second))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        self._reply = streamed(upstream.text(f"<think>{thought}</think>"), upstream.text(text))

    def calls(self, name: str, arguments: str) -> None:
        self._route = f"{name} {arguments}"

    def fails(self, fault: Fault) -> None:
        self._reply = reply_of(fault)

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _choose(self, asked: Asked) -> Reply:
        if (reply := self._routes(asked)) is not None:
            return reply
        # Before each answer the model asks, under a grammar, which tool it needs.
        if "grammar" in asked.json:
            return streamed(upstream.text(self._route))
        return self._reply or upstream.greet(asked)


class _NothingToSetUp:
    """What says the same whatever a test wants."""

    async def reset(self) -> None:
        """Nothing is set up."""

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        raise NotImplementedError

    def thinks(self, thought: str, text: str) -> None:
        raise NotImplementedError

    def calls(self, name: str, arguments: str) -> None:
        raise NotImplementedError

    def fails(self, fault: Fault) -> None:
        raise NotImplementedError

    async def abandoned(self) -> None:
        raise NotImplementedError


class EngineStage(_NothingToSetUp):
    """`LocalModel` with the real engine and the smallest weights."""

    lacks: Mapping[Ability | Fault, str] = {
        **dict.fromkeys(get_args(Fault), "the real engine does not fail on demand"),
        "thinking": "the test weights do not think",
        "tools": "which tools so small a model calls cannot be said beforehand",
        "pauses": "the real engine does not wait for a test",
    }

    async def open(self, folder: Path) -> None:
        model = LocalModel(
            name=TINY,
            models_dir=tiny_weights(),
            log_path=folder / "engine.log",
            clock=SystemClock(),
            random=random.Random(7),
            context_tokens=2_048,
        )
        self.model: Model = model
        await model.warm()
        async with asyncio.timeout(60):
            await model.warmed.wait()

    async def close(self) -> None:
        await self.model.close()

    def says(self, *pieces: str) -> str | None:
        return None


class EchoStage(_NothingToSetUp):
    """`EchoModel`, which needs no provider."""

    lacks: Mapping[Ability | Fault, str] = {
        **dict.fromkeys(get_args(Fault), "echo asks nobody, so nobody can fail it"),
        "thinking": "echo does not think",
        "tools": "echo calls no tools",
        "pauses": "echo has its whole answer at once",
    }

    async def open(self, folder: Path) -> None:
        self.model: Model = EchoModel()

    async def close(self) -> None:
        await self.model.close()

    def says(self, *pieces: str) -> str | None:
        return "You said: hi"


class ScriptedStage:
    """`ScriptedModel`, whose script is the provider."""

    lacks: Mapping[Ability | Fault, str] = {
        "thinking": "a script's deltas are text",
        "closing": "a script has no request that could be cut",
    }

    async def open(self, folder: Path) -> None:
        self._follow()

    async def close(self) -> None:
        await self._model.close()

    async def reset(self) -> None:
        self._follow()

    def says(self, *pieces: str) -> str | None:
        self._follow(Say(pieces))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        resumed = asyncio.Event()
        self._follow(Say((first, second), between=resumed))
        return resumed.set

    def thinks(self, thought: str, text: str) -> None:
        raise NotImplementedError

    def calls(self, name: str, arguments: str) -> None:
        self._follow(call(name, arguments))

    def fails(self, fault: Fault) -> None:
        pause_s = RETRY_AFTER_S if fault == "rate limit" else None
        error = FAULTS[fault](fault, retry_after_s=pause_s)
        self._follow(Say((BEGINNING,) if fault in MIDWAY else (), error=error))

    async def abandoned(self) -> None:
        assert self._model.closed_streams == len(self._model.requests)

    def _follow(self, *script: str | Say) -> None:
        self._model = ScriptedModel(*script)
        self.model: Model = self._model
