"""The process of the real engine, one for each test: how it starts, ends, and what requests get meanwhile."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, ModelUnavailable, ModelUnreachable
from nanobot.core.message import user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Schema, tool_spec
from nanobot.core.turn import Sampling
from nanobot.models.local import routing
from nanobot.models.local.model import LocalModel
from nanobot.models.local.process import Endpoint, Process
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.weights.installed import find
from tests.unit.models.local.real import answer, local, request
from tests.weights import TINY

pytestmark = pytest.mark.engine
BOUND_S = 60.0
HELLO = request(user("Hello"))


@pytest.fixture
async def model(models_dir: Path, tmp_path: Path) -> AsyncIterator[LocalModel]:
    model = local(models_dir, tmp_path)
    yield model
    await model.close()


async def started(model: LocalModel, before: int | None = None) -> int:
    """Return the engine's process id, once it has one other than `before`."""
    await model.warm()
    async with asyncio.timeout(BOUND_S):
        while (pid := model.pid) is None or pid == before:
            await asyncio.sleep(0)
    return pid


async def loaded(model: LocalModel, before: int | None = None) -> int:
    """Return the engine's process id, once it is another than `before` and takes requests."""
    pid = await started(model, before)
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                await model.check()
            except ModelUnreachable:
                await asyncio.sleep(0.01)
            else:
                return pid


async def gone(pid: int) -> None:
    """Return when no process has this id any more."""
    async with asyncio.timeout(BOUND_S):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


async def test_while_it_is_loading_it_is_not_ready(model: LocalModel) -> None:
    await model.warm()
    with pytest.raises(ModelUnreachable, match="still being loaded"):
        await model.check()


async def test_a_crash_of_the_engine_is_survived(model: LocalModel) -> None:
    before = await loaded(model)
    os.kill(before, signal.SIGKILL)
    _, message = await answer(model, HELLO)
    assert message.text
    assert model.pid not in (None, before)


async def test_an_engine_that_crashes_again_and_again_is_given_up(model: LocalModel) -> None:
    """Not without end: each start costs a gigabyte of reading."""
    pid: int | None = None
    for _ in range(3):
        pid = await loaded(model, pid)
        os.kill(pid, signal.SIGSEGV)
        await gone(pid)
    with pytest.raises(ModelUnavailable, match=r"crashed 3 times: .* signal 11; see .*engine\.log"):
        await answer(model, HELLO)


async def test_an_instruction_that_the_processor_lacks_is_told_as_such(model: LocalModel) -> None:
    os.kill(await started(model), signal.SIGILL)
    with pytest.raises(ModelUnavailable, match=r"AVX2.*--model"):
        await answer(model, HELLO)


async def test_closing_ends_the_process_and_whoever_asks_later_is_told(model: LocalModel) -> None:
    pid = await loaded(model)
    await model.close()
    await gone(pid)
    await model.close()
    with pytest.raises((ModelUnavailable, ModelUnreachable)):
        await answer(model, HELLO)


async def test_a_file_that_is_no_model_is_told_at_once(models_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    model = local(models_dir, tmp_path, f"local:{broken}")
    try:
        with pytest.raises(ModelUnavailable, match=r"broken\.gguf could not be loaded"):
            await answer(model, HELLO)
        with pytest.raises(ModelUnavailable):
            await model.check()
    finally:
        await model.close()


def test_weights_that_are_not_there_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nanobot model pull local:tiny"):
        local(tmp_path, tmp_path)
    with pytest.raises(ConfigError):
        local(tmp_path, tmp_path, "local:unheard")


_PARENT = """
import asyncio, sys
from pathlib import Path
from tests.unit.models.local.real import local

async def main():
    model = local(Path(sys.argv[1]), Path(sys.argv[2]))
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
    command = [sys.executable, "-c", _PARENT, str(models_dir), str(tmp_path), when]
    parent = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert parent.stdout is not None
    try:
        pid = int(await asyncio.wait_for(parent.stdout.readline(), BOUND_S))
    finally:
        parent.kill()
        await parent.communicate()
    await gone(pid)


# Straight to the engine ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("process") / "engine.log"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(models_dir: Path, engine_log: Path) -> AsyncIterator[Process]:
    """The engine's process by itself, started."""
    path = find(TINY, models_dir)
    assert path is not None

    async def leave_cold(endpoint: Endpoint) -> None:
        """Read nothing ahead of the first request."""

    process = Process(
        name=TINY,
        model_path=path,
        models_dir=models_dir,
        log_path=engine_log,
        context_tokens=2_048,
        clock=SystemClock(),
        sleep_idle_s=-1,
        warm=leave_cold,
    )
    process.start()
    yield process
    await process.close()


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


@pytest.mark.asyncio(loop_scope="module")
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
    asked = ModelRequest(
        routing.instructions((TOOL,)),
        (*routing.examples((TOOL,)), question),
        sampling=Sampling(temperature=0.0, max_output_tokens=routing.MAX_ROUTE_TOKENS),
    )
    _, message = await answer(model, asked)
    await model.close()
    first = message.text.splitlines()[0]
    assert first in ("none", "recall last", "recall first", "recall all") or first.startswith("register {")
    if message.stop_reason == "stop" and first.startswith("register"):
        arguments = msgspec.json.decode(first.removeprefix("register "))
        assert list(arguments) == ["name", "kind", "tags", "where", "extra"]
        assert arguments["kind"] in ("a", 'b "quoted"', 3, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_key_of_the_engine_is_on_no_command_line_and_in_no_log(
    process: Process, engine_log: Path
) -> None:
    key = (await process.ready()).api_key
    assert key.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert key.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert key not in engine_log.read_text()
