"""Which process answers, what is said of an answer that took long, and what a process said that has ended."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from nanobot.models.local.engine_chat import EngineChat, Watch
from nanobot.models.local.process import Endpoint, EngineProcess
from nanobot.testing import FakeClock


async def read_nothing(endpoint: Endpoint) -> None:
    """No engine starts here."""


def test_a_process_that_is_new_has_read_nothing(tmp_path: Path) -> None:
    process = EngineProcess(
        name="m",
        model_path=tmp_path,
        models_dir=tmp_path,
        slots_dir=tmp_path,
        log_path=tmp_path,
        context_tokens=1_000,
        clock=FakeClock(),
        sleep_idle_s=-1,
        warm=read_nothing,
    )
    chat = EngineChat(
        "m", process, context_tokens=1_000, template={}, clock=FakeClock(), random=random.Random(1)
    )
    first, second = Endpoint("http://a", "/a", "key"), Endpoint("http://a", "/b", "key")
    chat.meet(first)
    chat.slots.read(0, "conversation", 600)
    chat.meet(first)
    assert [slot.number for slot in chat.slots.to_erase(900, 1_000)] == [0]
    chat.meet(second)
    assert chat.slots.to_erase(900, 1_000) == []


async def waited(clock: FakeClock, *seconds: float) -> None:
    """An answer that waited so long for a place, for its first piece and for its last."""
    watch = Watch("m", clock)
    async with watch:
        clock.advance(seconds[0])
        watch.lent_at = clock.now()
        clock.advance(seconds[1])
        watch.see()
        clock.advance(seconds[2])
        watch.see()


@pytest.mark.asyncio
async def test_what_an_answer_has_waited_for_that_took_long_is_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    await waited(clock, 10, 20, 5)
    assert caplog.messages == []
    await waited(clock, 100, 20, 120)
    assert caplog.messages == [
        "m: an answer took 240 s: 100 s behind other answers, 20 s until its first piece, 120 s for 2 pieces"
    ]


def test_what_an_engine_has_printed_is_kept_when_the_next_one_starts(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    program = (
        "import sys; from pathlib import Path; from nanobot.models.local.engine import keep_output_apart;"
        " keep_output_apart(Path(sys.argv[1])); print(sys.argv[2], end='')"
    )
    for words in ("the first", "the second"):
        subprocess.run([sys.executable, "-c", program, str(log), words], check=True)
    assert log.read_text() == "the second"
    assert log.with_name("engine.log.before").read_text() == "the first"
