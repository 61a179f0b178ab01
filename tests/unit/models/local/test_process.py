"""The engine's process, one for each test: how it starts and ends, and what becomes of requests then."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, ModelUnavailable, ModelUnreachable
from nanobot.core.message import Message, user
from nanobot.models.local.model import LocalModel
from nanobot.models.local.process import Endpoint, EngineProcess
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from nanobot.models.weights.installed import find
from tests.unit.models.local.real import TINY, answer, local, request

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


async def test_a_crash_of_the_engine_is_survived_and_told(
    model: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    before = await loaded(model)
    os.kill(before, signal.SIGKILL)
    _, message = await answer(model, HELLO)
    assert message.text
    assert model.pid not in (None, before)
    assert any("signal 9" in note.getMessage() for note in caplog.records)


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


async def test_the_key_of_the_engine_is_on_no_command_line_and_in_no_log(
    models_dir: Path, tmp_path: Path
) -> None:
    path = find(TINY, models_dir)
    assert path is not None

    async def leave_cold(endpoint: Endpoint) -> None:
        """Read nothing ahead of the first request."""

    process = EngineProcess(
        name=TINY,
        model_path=path,
        models_dir=models_dir,
        slots_dir=tmp_path / "slots",
        log_path=tmp_path / "engine.log",
        context_tokens=2_048,
        clock=SystemClock(),
        sleep_idle_s=-1,
        warm=leave_cold,
    )
    process.start()
    try:
        endpoint = await process.ready()
        client = OpenAIChat(
            RemoteSettings(
                name=TINY,
                model="local",
                base_url=endpoint.base_url,
                socket_path=endpoint.socket_path,
                api_key=endpoint.api_key,
                context_tokens=2_048,
            ),
            clock=SystemClock(),
            random=random.Random(7),
        )
        async with aclosing(client.stream(HELLO)) as pieces:
            assert [piece async for piece in pieces if isinstance(piece, Message)]
        await client.close()
        key = endpoint.api_key
        assert key.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert key.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
        assert key not in (tmp_path / "engine.log").read_text()
    finally:
        await process.close()
