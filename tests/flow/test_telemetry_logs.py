"""What a server logs, and what it never does."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.errors import ModelOverloaded
from nanobot.core.message import Message, ToolCall
from nanobot.telemetry.logs import FIELDS, ConsoleFormatter, JsonFormatter, SessionNames
from nanobot.testing import Say, ScriptedModel
from tests.harness import Harness, OpenHarness

KEY = "canary-api-key"
SESSION = "wx:dm:canary-session"


class Lines(logging.Handler):
    """Keeps the lines that its formatter makes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def log() -> Iterator[Lines]:
    """All lines of the program, at debug."""
    lines = Lines()
    root = logging.getLogger()
    before = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(lines)
    root.setLevel(before)


async def chatted(
    open_harness: OpenHarness,
    log: Lines,
    *,
    plain: bool = False,
    style: type[logging.Formatter] = JsonFormatter,
) -> Harness:
    harness = await open_harness(api={"key": KEY})
    log.setFormatter(style(SessionNames(harness.data, plain=plain)))  # type: ignore[arg-type]
    reply = await harness.door.chat(SESSION, "canary-words", {"authorization": f"Bearer {KEY}"})
    assert reply.status == 200
    await harness.close()
    return harness


async def test_a_request_and_its_turn_are_a_line_each_with_ids_that_fit(
    open_harness: OpenHarness, log: Lines
) -> None:
    await chatted(open_harness, log)
    (request,) = (line for line in log.objects if line.get("route") == "/v1/chat/completions")
    (turn,) = (line for line in log.objects if line.get("outcome"))
    assert request["method"] == "POST"
    assert request["status"] == 200
    assert request["request_id"].startswith("req_")
    assert request["turn_id"] == turn["turn_id"]
    assert request["session"] == turn["session"]
    assert turn["outcome"] == "done"
    assert turn["attempt"] == 1
    assert turn["completion_tokens"] > 0
    assert {"time", "level", "logger", "message", "ms"} <= set(request) & set(turn)


async def test_lines_have_no_other_fields_than_those_listed(open_harness: OpenHarness, log: Lines) -> None:
    await chatted(open_harness, log)
    assert {name for line in log.objects for name in line} <= set(FIELDS)


async def test_a_session_is_a_hash_that_stays_the_same_in_one_data_directory(
    open_harness: OpenHarness, log: Lines, tmp_path: Path
) -> None:
    harness = await chatted(open_harness, log)
    (shown,) = {line["session"] for line in log.objects if "session" in line}
    assert "canary" not in shown
    assert SessionNames(harness.data, plain=False).of(SESSION) == shown
    assert SessionNames(tmp_path, plain=False).of(SESSION) != shown
    assert SessionNames(harness.data, plain=False).of(SESSION + "2") != shown


async def test_session_keys_are_shown_where_the_setting_says_so(
    open_harness: OpenHarness, log: Lines
) -> None:
    await chatted(open_harness, log, plain=True)
    assert {line["session"] for line in log.objects if "session" in line} == {SESSION}


@pytest.mark.parametrize("style", [JsonFormatter, ConsoleFormatter])
async def test_no_key_no_session_and_no_word_of_anybody_is_logged_at_any_level(
    open_harness: OpenHarness, log: Lines, style: type[logging.Formatter]
) -> None:
    model = ScriptedModel(
        Say(
            message=Message(
                "assistant", (ToolCall("1", "calculate", '{"expression":"canary-argument"}'),), "tool_calls"
            )
        ),
        "canary-answer",
        ModelOverloaded("busy"),
    )
    harness = await open_harness(model, api={"key": KEY})
    log.setFormatter(style(SessionNames(harness.data, plain=False)))  # type: ignore[arg-type]
    right = {"authorization": f"Bearer {KEY}"}
    await harness.door.chat(
        SESSION, "canary-words", right, stream=True, user="canary-user", metadata={"a": "canary-label"}
    )
    await harness.door.chat(SESSION, "canary-again", right)
    await harness.door.chat(SESSION, "canary-words", {"authorization": "Bearer canary-wrong-key"})
    await harness.door.get("/v1/canary-path", right)
    await harness.door.get("/v1/models?canary-query=1", right)
    await harness.door.post(b'{"canary": ', right)
    await harness.close()
    assert len(log.lines) > 8
    assert not [line for line in log.lines if "canary" in line.lower()]


async def test_console_lines_name_what_they_belong_to(open_harness: OpenHarness, log: Lines) -> None:
    await chatted(open_harness, log, style=ConsoleFormatter)
    (line,) = (line for line in log.lines if "POST /v1/chat/completions 200" in line)
    assert "request_id=req_" in line and "turn_id=turn_" in line and "session=" in line
