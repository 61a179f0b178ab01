"""The local model with the real engine, on the smallest weights there are.

Only the form of its answers is looked at, as what such weights say is nonsense. One engine serves all tests
that do not kill or close it.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, ContextOverflow, ModelUnavailable, ModelUnreachable
from nanobot.core.event import TextDelta
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.tool import Schema, ToolSpec, tool_spec
from nanobot.core.turn import Sampling
from nanobot.models.local import routing
from nanobot.models.local.model import LocalModel
from nanobot.models.local.process import Endpoint, Process
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.weights.fetch import fetch
from tests.weights import TINY, tiny_weights

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]
SHORT = Sampling(temperature=0.0, max_output_tokens=8)
PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "kind": {"enum": ["a", 'b "quoted"', 3, None]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "integer"}}},
        "extra": {},
    },
    "required": ["name", "kind", "tags", "where", "extra"],
}
TOOL = tool_spec("register", "Register a thing.", PARAMETERS)


@pytest.fixture(scope="session")
def models_dir() -> Path:
    return tiny_weights()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalModel]:
    """A model that no test kills or closes."""
    model = local(models_dir, tmp_path_factory.mktemp("shared"))
    yield model
    await model.close()


@pytest_asyncio.fixture(loop_scope="module")
async def own(models_dir: Path, tmp_path: Path) -> AsyncIterator[LocalModel]:
    """A model of the test's own, not yet started."""
    model = local(models_dir, tmp_path)
    yield model
    await model.close()


@pytest.fixture(scope="module")
def engine_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("process") / "engine.log"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(models_dir: Path, engine_log: Path) -> AsyncIterator[Process]:
    """The engine's process by itself, started."""

    async def warm(endpoint: Endpoint) -> None:
        return

    process = Process(
        name=TINY,
        model_path=fetch(TINY, models_dir, lambda *report: None),
        models_dir=models_dir,
        log_path=engine_log,
        context_tokens=2_048,
        clock=SystemClock(),
        sleep_idle_s=-1,
        warm=warm,
    )
    process.start()
    yield process
    await process.close()


def local(models_dir: Path, tmp_path: Path, name: str = TINY) -> LocalModel:
    return LocalModel(
        name=name,
        models_dir=models_dir,
        log_path=tmp_path / "engine.log",
        clock=SystemClock(),
        random=random.Random(7),
        warm_system="You are kind.",
        context_tokens=2_048,
    )


def asked(*messages: Message, tools: tuple[ToolSpec, ...] = (), sampling: Sampling = SHORT) -> ModelRequest:
    return ModelRequest("You are kind.", messages, tools, sampling=sampling)


async def answer(model: Model, request: ModelRequest) -> tuple[str, Message]:
    """Return the deltas, joined, and the message."""
    heard = ""
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Message):
                return heard, piece
            heard += piece.text
    raise AssertionError("no message came")


async def gone(pid: int) -> None:
    """Return when no process has this id any more."""
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


async def test_it_answers_and_counts_both_calls(own: LocalModel) -> None:
    """The first request starts the engine by itself; usage sums routing and answer."""
    heard, message = await answer(own, asked(user("Hello, who are you?")))
    assert heard == message.text != ""
    assert message.model == TINY
    assert message.stop_reason in ("stop", "length")
    assert message.usage is not None
    assert message.usage.completion_tokens > 8 or message.stop_reason == "stop"
    assert message.usage.prompt_tokens > 100
    await own.check()


async def test_the_prompt_that_most_requests_share_is_read_once(own: LocalModel) -> None:
    await own.warm()
    async with asyncio.timeout(60):
        await own.warmed.wait()
    _, message = await answer(own, asked(user("Hello")))
    assert message.usage is not None
    assert message.usage.cached_tokens > message.usage.prompt_tokens * 0.8


async def test_conversations_take_turns_without_losing_what_was_read(shared: LocalModel) -> None:
    """A second conversation in between does not push the first one out."""
    first = (user("Tell me of the sea. " * 20),)
    _, told = await answer(shared, asked(*first))
    await answer(shared, asked(user("Now of the mountains, please. " * 20)))
    _, again = await answer(shared, asked(*first, msgspec.structs.replace(told, usage=None), user("Go on.")))
    assert again.usage is not None
    assert again.usage.cached_tokens > again.usage.prompt_tokens * 0.7


async def test_the_grammar_of_a_tool_holds_the_model_to_its_arguments(process: Process) -> None:
    """The engine takes the grammar whatever the schema; what comes out are whole arguments or none."""
    endpoint = await process.ready()
    model = OpenAIChat(
        name=TINY,
        model="local",
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        context_tokens=2_048,
        clock=SystemClock(),
        random=random.Random(7),
        socket_path=endpoint.socket_path,
        extra_body={"grammar": routing.grammar((TOOL,))},
    )
    question = user("Register a thing named x of kind a.")
    request = ModelRequest(
        routing.instructions((TOOL,)),
        (*routing.examples((TOOL,)), question),
        sampling=Sampling(temperature=0.0, max_output_tokens=routing.MAX_ROUTE_TOKENS),
    )
    _, message = await answer(model, request)
    await model.close()
    first = message.text.splitlines()[0]
    assert first in ("none", "recall last", "recall first", "recall all") or first.startswith("register {")
    if message.stop_reason == "stop" and first.startswith("register"):
        arguments = msgspec.json.decode(first.removeprefix("register "))
        assert list(arguments) == ["name", "kind", "tags", "where", "extra"]
        assert arguments["kind"] in ("a", 'b "quoted"', 3, None)


async def test_after_a_result_it_answers_in_words(shared: LocalModel) -> None:
    call = Message("assistant", (ToolCall("1", "register", '{"name":"x"}'),))
    result = Message("tool", (ToolResult("1", "done"),))
    _, message = await answer(shared, asked(user("Register x."), call, result, tools=(TOOL,)))
    assert message.tool_calls == ()
    assert message.text != ""


async def test_several_are_answered_at_once(shared: LocalModel) -> None:
    answers = await asyncio.gather(
        *(answer(shared, asked(user(f"Count from {number}."))) for number in range(5))
    )
    assert all(message.text for _, message in answers)


async def test_more_than_the_window_holds_is_an_overflow(shared: LocalModel) -> None:
    with pytest.raises(ContextOverflow):
        await answer(shared, asked(user("word " * 5_000)))


async def test_closing_the_stream_stops_the_model(shared: LocalModel) -> None:
    """Else the next request would wait for an answer that nobody wants: here one of the whole window, under a
    time limit.
    """
    endless = asked(
        user("Count to one million, every number."),
        sampling=Sampling(temperature=0.0, max_output_tokens=1_900),
    )
    async with aclosing(shared.stream(endless)) as pieces:
        async for piece in pieces:
            assert isinstance(piece, TextDelta)
            break
    _, message = await answer(shared, asked(user("Hello")))
    assert message.text


async def test_a_crash_of_the_engine_is_survived(own: LocalModel) -> None:
    await answer(own, asked(user("Hello")))
    before = own.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    _, message = await answer(own, asked(user("Hello")))
    assert message.text
    assert own.pid not in (None, before)


async def started(model: LocalModel, before: int | None = None) -> int:
    """Return the engine's process id, once it has one other than `before`."""
    await model.warm()
    async with asyncio.timeout(60):
        while (pid := model.pid) is None or pid == before:
            await asyncio.sleep(0)
    return pid


async def test_an_engine_that_crashes_again_and_again_is_given_up(own: LocalModel) -> None:
    """Not without end: each start costs a gigabyte of reading."""
    pid: int | None = None
    for _ in range(3):
        pid = await started(own, pid)
        await answer(own, asked(user("Hello")))
        os.kill(pid, signal.SIGSEGV)
        await gone(pid)
    with pytest.raises(ModelUnavailable, match=r"crashed 3 times: .* signal 11; see .*engine\.log"):
        await answer(own, asked(user("Hello")))


async def test_an_instruction_that_the_processor_lacks_is_told_as_such(own: LocalModel) -> None:
    os.kill(await started(own), signal.SIGILL)
    with pytest.raises(ModelUnavailable, match=r"AVX2.*--model"):
        await answer(own, asked(user("Hello")))


async def test_closing_ends_the_process_and_whoever_asks_later_is_told(own: LocalModel) -> None:
    await answer(own, asked(user("Hello")))
    pid = own.pid
    assert pid is not None
    await own.close()
    await gone(pid)
    await own.close()
    with pytest.raises((ModelUnavailable, ModelUnreachable)):
        await answer(own, asked(user("Hello")))


async def test_while_it_is_loading_it_is_not_ready(own: LocalModel) -> None:
    await own.warm()
    with pytest.raises(ModelUnreachable, match="still being loaded"):
        await own.check()


async def test_a_file_that_is_no_model_is_told_at_once(models_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    model = local(models_dir, tmp_path, f"local:{broken}")
    try:
        with pytest.raises(ModelUnavailable, match=r"broken\.gguf could not be loaded"):
            await answer(model, asked(user("Hello")))
        with pytest.raises(ModelUnavailable):
            await model.check()
    finally:
        await model.close()


async def test_weights_that_are_not_there_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nanobot model pull local:tiny"):
        local(tmp_path, tmp_path)
    with pytest.raises(ConfigError):
        local(tmp_path, tmp_path, "local:unheard")


_PARENT = """
import asyncio, random, sys
from pathlib import Path
from nanobot.core.clock import SystemClock
from nanobot.models.local.model import LocalModel

async def main():
    model = LocalModel(name="local:tiny", models_dir=Path(sys.argv[1]), log_path=Path(sys.argv[2]), clock=SystemClock(), random=random.Random(1))
    await model.warm()
    while model.pid is None:
        await asyncio.sleep(0)
    if sys.argv[3] == "warmed":
        await model.warmed.wait()
    print(model.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["loading", "warmed"])
async def test_the_engine_dies_with_its_parent(models_dir: Path, tmp_path: Path, when: str) -> None:
    """Also where the parent is killed and can say nothing, and while the weights are still being read."""
    command = [sys.executable, "-c", _PARENT, str(models_dir), str(tmp_path / "engine.log"), when]
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    finally:
        parent.kill()
        await parent.communicate()
    await gone(pid)


async def test_the_key_of_the_engine_is_on_no_command_line_and_in_no_log(
    process: Process, engine_log: Path
) -> None:
    key = (await process.ready()).api_key
    assert key.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert key.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert key not in engine_log.read_text()
