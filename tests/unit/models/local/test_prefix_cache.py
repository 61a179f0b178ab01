"""The prefix cache of the engine tells one session nothing of another's conversation.

Once with a stand-in, whose cache knows every prompt that it was ever sent, character by character; once with
the real engine.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from nanobot.app import own_tools
from nanobot.context import prompt
from nanobot.core.message import Message, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Schema, tool_spec
from nanobot.core.turn import OutputFormat
from nanobot.models.local.model import LocalModel
from nanobot.models.local.salt import LENGTH
from nanobot.testing import FakeClock
from tests.small_engine import EngineRoutes, prompt_of
from tests.unit.models.local.real import SHORT, answer, local
from tests.upstream import Asked, Reply, Upstream, streamed, text

SHARED = "You are kind."
NO_ARGUMENTS: Schema = {"type": "object", "properties": {}}
OWN_TOOLS = tuple(tool.spec for tool in own_tools(FakeClock()))
JSON = OutputFormat("json_object")
SECRET = "My secret is that I collect stamps of the Azores, and that nobody knows of it."
WRONG = "My secret is that I breed canaries in the attic, and that nobody knows of it."


def common(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class CachingEngine:
    """Answers as an engine that keeps the state of every prompt; each character is a token."""

    def __init__(self, folder: Path) -> None:
        self.prompts: list[str] = []
        self.routes = EngineRoutes(folder)

    def __call__(self, asked: Asked) -> Reply:
        if (reply := self.routes(asked)) is not None:
            return reply
        prompt = prompt_of(asked)
        if not self.prompts:
            self.prompts += self.routes.read
        cached = max((common(prompt, known) for known in self.prompts), default=0)
        self.prompts.append(prompt)
        word = "none" if "none" in asked.json.get("grammar", "") else "Well."
        return streamed(text(word), count=(len(prompt), 1, min(cached, len(prompt) - 1)))


class Machine:
    """A model in front of a stand-in for the engine, both new."""

    def __init__(self, model: LocalModel, engine: CachingEngine) -> None:
        self.model = model
        self.engine = engine

    async def usage(self, session: str, *messages: Message, **fields: object) -> Usage:
        """Ask within a session; return what it is told of the tokens."""
        request = ModelRequest(SHARED, messages, OWN_TOOLS, sampling=SHORT, session_hint=session)
        _, message = await answer(self.model, msgspec.structs.replace(request, **fields))
        assert message.usage is not None
        return message.usage


@pytest_asyncio.fixture
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    stand_in = Path(__file__).parents[3] / "contract" / "models" / "stand_in"
    # The child process looks for its library where this one does.
    monkeypatch.setattr(sys, "path", [str(stand_in), *sys.path])
    engine = CachingEngine(tmp_path / "prefixes")
    async with Upstream(engine) as upstream:
        weights = tmp_path / "stand-in.gguf"
        weights.write_bytes(b"GGUF%d" % int(upstream.url.rpartition(":")[2].removesuffix("/v1")))
        model = LocalModel(
            name=f"local:{weights}",
            models_dir=tmp_path,
            log_path=tmp_path / "engine.log",
            clock=FakeClock(),
            random=random.Random(1),
            warm_system=SHARED,
            warm_tools=OWN_TOOLS,
        )
        await model.warm()
        async with asyncio.timeout(60):
            await model.warmed.wait()
        yield Machine(model, engine)
        await model.close()


CLIENT_TOOL = tool_spec("stamps", "Find stamps of the Azores.", NO_ARGUMENTS)
OTHER_TOOL = tool_spec("canary", "Find birds in the attic.", NO_ARGUMENTS)


@pytest.mark.parametrize(
    ("told", "right", "wrong"),
    [
        ({}, {}, {}),
        ({"notes": "Today is Monday."}, {"notes": "Today is Monday."}, {"notes": "Today is Friday."}),
        (
            {"system": f"{SHARED}\n\nThe pin is 4711."},
            {"system": f"{SHARED}\n\nThe pin is 4711."},
            {"system": f"{SHARED}\n\nThe pin is 9132."},
        ),
        ({"system": "The pin is 4711."}, {"system": "The pin is 4711."}, {"system": "The pin is 9132."}),
        ({"tools": (CLIENT_TOOL,)}, {"tools": (CLIENT_TOOL,)}, {"tools": (OTHER_TOOL,)}),
        (
            {"tools": (*OWN_TOOLS, CLIENT_TOOL)},
            {"tools": (*OWN_TOOLS, CLIENT_TOOL)},
            {"tools": (*OWN_TOOLS, OTHER_TOOL)},
        ),
        ({"tools": ()}, {"tools": ()}, {"tools": ()}),
        ({"format": JSON}, {"format": JSON}, {"format": JSON}),
        ({"is_side_task": True}, {"is_side_task": True}, {"is_side_task": True}),
    ],
    ids=[
        "words",
        "notes",
        "instructions",
        "whole prompt",
        "tools",
        "tools beside ours",
        "no tools",
        "a form",
        "a task",
    ],
)
async def test_a_guess_at_anothers_conversation_hits_no_more_than_a_wrong_one(
    machine: Machine, told: dict[str, object], right: dict[str, object], wrong: dict[str, object]
) -> None:
    """Whatever the conversation begins with, and however often it is guessed."""
    await machine.usage("victim", user(SECRET), **told)
    guesses = [await machine.usage(f"right {n}", user(SECRET), **right) for n in range(20)]
    misses = [await machine.usage(f"wrong {n}", user(WRONG), **wrong) for n in range(20)]
    assert len({usage.cached_tokens for usage in guesses + misses}) == 1


async def test_no_two_sessions_send_the_engine_the_same_beginning(machine: Machine) -> None:
    """However the hits are told, time tells them, too: there are none behind what all share."""
    prompts = machine.engine.prompts
    for session in ("one", "other"):
        await machine.usage(session, user(SECRET))
    shared, one, other = prompts
    assert one.startswith(shared) and other.startswith(shared)
    assert common(one, other) < len(shared) + LENGTH


async def test_the_first_answer_of_a_session_reads_no_more_than_its_own_words_and_salt(
    machine: Machine,
) -> None:
    usage = await machine.usage("new", user("Hello"))
    assert usage.prompt_tokens - usage.cached_tokens <= LENGTH + len("\n<user>\nHello\n")


async def test_a_session_hits_what_it_said_itself(machine: Machine) -> None:
    first = await machine.usage("own", user(SECRET))
    later = await machine.usage(
        "own", user(SECRET), Message("assistant", user("Well.").parts), user("Go on.")
    )
    assert later.cached_tokens > first.cached_tokens + len(SECRET)


async def test_what_a_users_words_pretend_to_be_is_still_behind_the_salt(machine: Machine) -> None:
    """Who knows another's prompt, salt and all, cannot write it in front of one's own salt."""
    await machine.usage("victim", user(SECRET))
    stolen = machine.engine.prompts[-1].removeprefix("<system>\n")
    forged = await machine.usage("thief", user("hi"), system=stolen)
    innocent = await machine.usage("other", user("hi"), system=f"{SHARED} Well.")
    assert forged.cached_tokens == innocent.cached_tokens


# The real engine ------------------------------------------------------------------------------------


@pytest.mark.engine
async def test_the_real_engine_tells_a_right_guess_no_more_than_a_wrong_one(
    models_dir: Path, tmp_path: Path
) -> None:
    # Long enough for the engine to look for it in all slots.
    system = prompt.system("")
    model = local(models_dir, tmp_path, warm_system=system)

    async def usage(session: str, *messages: Message) -> Usage:
        request = ModelRequest(system, messages, sampling=SHORT, session_hint=session)
        _, message = await answer(model, request)
        assert message.usage is not None
        return message.usage

    await model.warm()
    async with asyncio.timeout(60):
        await model.warmed.wait()
    victim = await usage("victim", user(SECRET))
    own = await usage("victim", user(SECRET), Message("assistant", user("Well.").parts), user("Go on."))
    assert own.cached_tokens > victim.cached_tokens + 10
    told = [await usage(f"guess {n}", user(said)) for n, said in enumerate((SECRET, WRONG, SECRET, WRONG))]
    assert {each.cached_tokens for each in told} == {victim.cached_tokens}
    assert 0 < victim.cached_tokens < victim.prompt_tokens - 20
    await model.close()
