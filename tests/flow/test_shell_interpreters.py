"""A session keeps its Python: variables stay from call to call, and nobody else sees them."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nanobot.app.shell import INTERPRETERS_EVERY_S
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.harness import Harness, OpenHarness
from tests.processes import is_there, nap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
ASK = {"role": "user", "content": "Go on."}
KEPT: dict[str, Any] = {
    "shell": {"sessions": ["*"], "python": "session"},
    "policy": [{"tools": {"@shell": "allow"}}],
}
NEW = "[a new interpreter"


def python(code: str, **arguments: object) -> Say:
    return call("python", msgspec.json.encode({"code": code, **arguments}).decode())


async def run(harness: Harness, model: ScriptedModel, key: str = "k") -> str:
    """Let the agent take its next turn; return the result of its call."""
    await harness.door.chat(key, [ASK])
    return model.requests[-1].messages[-1].tool_results[0].content


def scripted(*pieces: Say) -> ScriptedModel:
    return ScriptedModel(*(each for piece in pieces for each in (piece, "Done.")))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_variables_imports_and_functions_stay_between_calls(open_harness: OpenHarness) -> None:
    model = scripted(
        python("import math\nkumquat = 41\ndef more(n): return n + 1"),
        python("print('seen')\nmore(kumquat), math.floor(2.5)"),
        python("_ = None; undefined"),
        python("kumquat"),
    )
    harness = await open_harness(model, **KEPT)
    assert await run(harness, model) == (
        "[a new interpreter; variables of earlier calls are not there]\n[done, no output]"
    )
    assert await run(harness, model) == "seen\n(42, 2)\n"
    broken = await run(harness, model)
    assert 'File "<call 3>", line 1' in broken and "_ = None; undefined" in broken
    assert "interpreter_program" not in broken and "<string>" not in broken
    assert broken.endswith(
        "NameError: name 'undefined' is not defined\n\n[it raised an error; its variables are kept]"
    )
    assert await run(harness, model) == "41\n"
    assert "variables and imports stay" in next(
        tool.description for tool in model.requests[0].tools if tool.name == "python"
    )


async def test_it_has_no_variable_of_another_session(open_harness: OpenHarness) -> None:
    model = scripted(python("secret = 'canary-7'"), python("secret"), python("secret"))
    harness = await open_harness(model, **KEPT)
    await run(harness, model, "wx:dm:a")
    other = await run(harness, model, "wx:dm:b")
    assert other.startswith(NEW) and "NameError" in other and "canary-7" not in other
    assert await run(harness, model, "wx:dm:a") == "'canary-7'\n"


async def test_what_takes_too_long_is_interrupted_and_its_variables_stay(open_harness: OpenHarness) -> None:
    model = scripted(
        python("import time, subprocess, os\nx = 1\nprint('begun')\ntime.sleep(60)", timeout_s=1),
        python("os.system('sleep 61'); y = 2", timeout_s=1),
        python("while True: x = 3", timeout_s=1),
        python("x, 'y' in dir()"),
    )
    harness = await open_harness(model, **KEPT)
    first = await run(harness, model)
    assert "begun" in first and "KeyboardInterrupt" in first
    assert first.endswith("[ended: interrupted after 1 s; its variables are kept]")
    await run(harness, model)
    assert "variables are kept" in await run(harness, model)
    assert (await run(harness, model)).startswith("(3, ")


async def test_what_cannot_be_interrupted_is_ended_and_the_model_told_what_is_lost(
    open_harness: OpenHarness,
) -> None:
    deaf = (
        "import signal, time\nx = 1\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(9)"
    )
    model = scripted(python(deaf, timeout_s=1), python("x"))
    harness = await open_harness(model, **KEPT)
    ended = await run(harness, model)
    assert ended.endswith("it took longer than 1 s and could not be interrupted; its variables are gone]")
    again = await run(harness, model)
    assert again.startswith("[a new interpreter: the last one is gone") and "NameError" in again


async def test_a_crash_is_said_and_the_next_call_begins_anew(open_harness: OpenHarness) -> None:
    model = scripted(
        python("x = 1"),
        python("import ctypes; print('last words', flush=True); ctypes.string_at(0)"),
        python("x"),
    )
    harness = await open_harness(model, **KEPT)
    await run(harness, model)
    crashed = await run(harness, model)
    assert "last words" in crashed and crashed.endswith("; its variables are gone]")
    assert (await run(harness, model)).startswith("[a new interpreter: the last one is gone, it was ended;")


async def test_too_much_memory_ends_it_and_the_reason_is_said(open_harness: OpenHarness) -> None:
    model = scripted(
        python("import mmap\nm = mmap.mmap(-1, 400 << 20)\nfor i in range(0, len(m), 4096): m[i] = 1")
    )
    shell = {**KEPT["shell"], "memory_mb": 128}
    harness = await open_harness(model, shell=shell, policy=KEPT["policy"])
    ended = await run(harness, model)
    assert "MiB of memory: 128 are allowed; its variables are gone]" in ended


async def test_output_is_bounded_and_cannot_end_a_call_by_itself(open_harness: OpenHarness) -> None:
    model = scripted(
        python(
            "print('x' * 5_000_000); import os; os.write(1, b'\\0' + b'0' * 32 + b'\\x000\\n'); print('end')"
        ),
        python("1 + 1"),
    )
    harness = await open_harness(model, **KEPT)
    output = await run(harness, model)
    assert len(output) < 70_000 and "bytes left out" in output and "end\n" in output
    assert await run(harness, model) == "2\n"


async def test_code_that_forks_or_starts_threads_does_not_answer_twice(open_harness: OpenHarness) -> None:
    model = scripted(
        python("import os\nif os.fork() == 0:\n    print('child')\nelse:\n    os.wait(); print('parent')"),
        python(
            "from multiprocessing import Pool\nimport math\n"
            "with Pool(2) as pool: print(pool.map(math.sqrt, [4, 9]))"
        ),
        python("input()"),
        python("raise SystemExit(3)"),
        python("'still here'"),
    )
    harness = await open_harness(model, **KEPT)
    assert (await run(harness, model)).endswith("child\nparent\n")
    assert await run(harness, model) == "[2.0, 3.0]\n"
    assert "EOFError" in await run(harness, model)
    assert "it raised an error" in await run(harness, model)
    assert await run(harness, model) == "'still here'\n"


async def test_one_that_is_not_used_ends(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    model = scripted(python(f"import subprocess\np = subprocess.Popen({nap(722).split()})"), python("p"))
    harness = await open_harness(model, clock=clock, **KEPT)
    await run(harness, model)
    await until(lambda: is_there(nap(722)))
    clock.advance(900 + 2 * INTERPRETERS_EVERY_S)
    await until(lambda: not is_there(nap(722)))
    again = await run(harness, model)
    assert again.startswith("[a new interpreter: the last one is gone, it was not used for 900 s;")


async def test_a_session_that_is_deleted_takes_it_along(open_harness: OpenHarness) -> None:
    model = scripted(
        python(f"import subprocess\nx = 1\np = subprocess.Popen({nap(723).split()})"), python("x")
    )
    harness = await open_harness(model, **KEPT)
    await run(harness, model)
    await until(lambda: is_there(nap(723)))
    await harness.door.call("DELETE", "/v1/sessions/k")
    await until(lambda: not is_there(nap(723)))
    again = await run(harness, model)
    assert again.startswith(NEW) and "NameError" in again


async def test_the_server_ends_all_and_after_its_restart_the_model_is_told(open_harness: OpenHarness) -> None:
    model = scripted(
        python(f"import subprocess\nx = 1\np = subprocess.Popen({nap(724).split()})"), python("x")
    )
    harness = await open_harness(model, **KEPT)
    await run(harness, model)
    await harness.close()
    assert not is_there(nap(724))
    again = await open_harness(model, data=harness.data, **KEPT)
    told = await run(again, model)
    assert (
        told.startswith("[a new interpreter; variables of earlier calls are not there]")
        and "NameError" in told
    )


async def test_beyond_the_most_the_one_that_was_used_longest_ago_makes_room(
    open_harness: OpenHarness,
) -> None:
    model = scripted(python("x = 1"), python("x = 2"), python("x = 3"), python("x"), python("x"))
    shell = {**KEPT["shell"], "max_interpreters": 2}
    harness = await open_harness(model, shell=shell, policy=KEPT["policy"])
    for key in ("a", "b", "c"):
        await run(harness, model, key)
    assert await run(harness, model, "c") == "3\n"
    first = await run(harness, model, "a")
    assert first.startswith("[a new interpreter: the last one is gone, others needed the room;")


async def test_files_and_modules_of_the_workspace_are_there_but_take_no_place_of_its_own(
    open_harness: OpenHarness,
) -> None:
    model = scripted(
        python("open('json.py', 'w').write('raise SystemExit'); open('mine.py', 'w').write('Y = 5')"),
        python("import mine\nimport os; os.chdir('/tmp'); mine.Y"),
        python("raise KeyboardInterrupt"),
    )
    harness = await open_harness(model, **KEPT)
    await run(harness, model)
    assert await run(harness, model) == "5\n"
    assert "KeyboardInterrupt" in await run(harness, model)
