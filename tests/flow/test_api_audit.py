"""The audit log: who did what to which conversation, and nothing of what was said."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.audit_log import AuditEntry
from nanobot.stores.audit_log import FILE, AuditLog, Keeping, write
from nanobot.testing import FakeClock
from tests.access import OWNER, bearer, give_key
from tests.flow.paused import PausedModel, until_asked
from tests.harness import OpenHarness


def lines(directory: Path, name: str = FILE) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / name).read_text().splitlines()]


async def test_requests_are_written_down_with_key_address_status_and_conversation(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(clock=FakeClock(), api={"key": OWNER})
    ann = await give_key(harness, "ann", "wx:*")
    said = await harness.door.chat("wx:ann", "CANARY", ann)
    await harness.door.chat("tg:ann", "CANARY", ann)
    await harness.door.get(f"/v1/turns/{said.turn_id}", bearer(OWNER))
    await harness.door.get("/v1/sessions/wx%3Aann/usage", ann)
    await harness.door.get("/v1/models", bearer("wrong-CANARY"))
    await harness.door.get("/health")
    await harness.close()
    found = lines(harness.data)
    assert [
        (line["operation"], line["key_id"], line["status"], line.get("session_key")) for line in found
    ] == [
        ("POST /v1/chat/completions", "key_ann", 200, "wx:ann"),
        ("POST /v1/chat/completions", "key_ann", 404, "tg:ann"),
        ("GET /v1/turns/{turn_id}", "api.key", 200, "wx:ann"),
        ("GET /v1/sessions/{key}/usage", "key_ann", 200, "wx:ann"),
        ("authenticate", None, 401, None),
    ]
    assert found[0]["request_id"] == said.headers["x-request-id"]
    assert {line["client"] for line in found} == {"127.0.0.1"}
    assert found[0]["time"] == "2027-01-15T08:00:00.000Z"
    assert found[2]["target"] == said.turn_id
    text = (harness.data / FILE).read_text()
    assert "CANARY" not in text and "nb-test" not in text and OWNER not in text
    assert (harness.data / FILE).stat().st_mode & 0o077 == 0


async def test_conversations_can_be_written_down_as_hashes_or_nothing_at_all(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(audit={"session_keys": "hashed"})
    await harness.door.chat("wx:dm:ann", "hello")
    await harness.door.chat("wx:dm:ann", "hello")
    await harness.close()
    first, second = lines(harness.data)
    assert first["session_key"] == second["session_key"]
    assert first["session_key"].startswith("sha256:")
    assert "ann" not in (harness.data / FILE).read_text()
    silent = await open_harness(audit={"enabled": False})
    await silent.door.chat("wx:dm:ann", "hello")
    await silent.close()
    assert not (silent.data / FILE).exists()


async def test_a_client_that_went_away_before_its_answer_is_written_down_too(
    open_harness: OpenHarness,
) -> None:
    model = PausedModel()
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello")
    await until_asked(model)
    exchange.disconnect()
    await exchange.done()
    model.gate.set()
    await harness.close()
    (line,) = lines(harness.data)
    assert (line["session_key"], line["status"]) == ("a", None)


def entry(number: int, *, weighty: bool = False) -> AuditEntry:
    return AuditEntry(float(number), "op", None, None, 200, target=str(number), is_urgent=weighty)


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    keeping = Keeping(max_bytes=200, keep=2)
    for number in range(12):
        write(tmp_path / FILE, [entry(number)], keeping)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert set(kept) <= {"audit.1.jsonl", "audit.2.jsonl", FILE} and "audit.2.jsonl" in kept
    newest = [
        line["target"]
        for name in ("audit.2.jsonl", "audit.1.jsonl", FILE)
        if (tmp_path / name).exists()
        for line in lines(tmp_path, name)
    ]
    assert newest == [str(number) for number in range(12 - len(newest), 12)]
    assert len(newest) >= 4


def test_nothing_is_lost_between_noting_and_closing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, Keeping())
    for number in range(5_000):
        log.note(entry(number, weighty=number % 1_000 == 0))
    log.close()
    assert [line["target"] for line in lines(tmp_path)] == [str(number) for number in range(5_000)]


async def test_a_log_that_cannot_be_written_does_not_stop_the_server(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / FILE).mkdir(parents=True)
    harness = await open_harness(data=data)
    assert (await harness.door.chat("a", "hello")).said == "ok"
    await asyncio.to_thread(harness.app.resources.audit.close)  # type: ignore[union-attr]
    assert (await harness.door.chat("a", "hello")).said == "ok"


@pytest.mark.parametrize("polls", [False, True])
async def test_scrapes_and_polls_of_what_has_not_ended_are_written_down_only_where_the_settings_say_so(
    open_harness: OpenHarness, polls: bool
) -> None:
    """The poll that returns an answer is: somebody has read it."""
    model = PausedModel()
    harness = await open_harness(model, api={"key": OWNER}, audit={"polls": polls})
    owner = bearer(OWNER)
    begun = await harness.door.call(
        "POST",
        "/v1/responses",
        body=json.dumps({"model": "nanobot", "input": "hi", "background": True}).encode(),
        headers={**owner, "x-session-key": "a", "content-type": "application/json"},
    )
    response, turn = begun.json["id"], begun.headers["x-turn-id"]
    await until_asked(model)
    for path in ("/metrics", f"/v1/turns/{turn}", f"/v1/responses/{response}", "/health", "/ready"):
        for _ in range(2):
            await harness.door.get(path, owner)
    model.gate.set()
    await harness.app.store.ended(turn)
    await harness.door.get(f"/v1/turns/{turn}", owner)
    await harness.door.get(f"/v1/responses/{response}", owner)
    await harness.close()
    operations = [line["operation"] for line in lines(harness.data)]
    asked = ["GET /metrics", "GET /v1/turns/{turn_id}", "GET /v1/responses/{response_id}"]
    assert operations == [
        "POST /v1/responses",
        *([operation for operation in asked for _ in range(2)] if polls else []),
        *asked[1:],
    ]


async def test_a_scrape_or_poll_that_is_refused_is_written_down(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": OWNER})
    ann = await give_key(harness, "ann", "wx:*", rights=("chat",))
    await harness.door.get("/metrics", ann)
    await harness.door.get("/v1/turns/turn_none", ann)
    await harness.close()
    assert [(line["operation"], line["status"]) for line in lines(harness.data)] == [
        ("GET /metrics", 403),
        ("GET /v1/turns/{turn_id}", 404),
    ]
