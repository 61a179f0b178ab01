"""GET /metrics, after things have happened."""

import asyncio
import re

from nanobot.core.errors import ModelOverloaded
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.testing import Say, ScriptedModel
from tests.asgi import BOUND_S, Door
from tests.harness import OpenHarness


async def scrape(door: Door) -> str:
    reply = await door.get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return reply.text


async def counted(door: Door, *samples: str) -> str:
    """Return the metrics once they have all the samples."""
    async with asyncio.timeout(BOUND_S):
        while True:
            text = await scrape(door)
            if all(f"\n{sample}\n" in text for sample in samples):
                return text
            await asyncio.sleep(0)


async def test_a_turn_is_counted_with_its_step_tokens_and_times(open_harness: OpenHarness) -> None:
    message = Message("assistant", (Text("hello"),), "stop", Usage(100, 20, 80, 5))
    harness = await open_harness(ScriptedModel(Say(("hel", "lo"), message=message), name="scripted"))
    await harness.door.chat("wx:dm:alice", "hi")
    text = await counted(
        harness.door,
        'nanobot_turns_total{outcome="done",origin="api"} 1',
        'nanobot_steps_total{model="scripted"} 1',
        'nanobot_tokens_total{kind="prompt",model="scripted"} 100',
        'nanobot_tokens_total{kind="completion",model="scripted"} 20',
        'nanobot_tokens_total{kind="cached",model="scripted"} 80',
        'nanobot_tokens_total{kind="reasoning",model="scripted"} 5',
        'nanobot_cached_share{model="scripted"} 0.8',
        "nanobot_turn_queue_seconds_count 1",
        "nanobot_turn_first_token_seconds_count 1",
        'nanobot_turn_seconds_count{outcome="done"} 1',
        'nanobot_model_first_token_seconds_count{model="scripted"} 1',
        'nanobot_model_seconds_count{model="scripted"} 1',
        'nanobot_http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 1',
        "nanobot_turns_waiting 0",
        "nanobot_turns_running 0",
    )
    commits = re.search(r"^nanobot_store_commits_total (\d+)$", text, re.MULTILINE)
    assert commits is not None and int(commits[1]) >= 2


async def test_a_failure_of_the_model_is_counted_by_its_code(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(ModelOverloaded("busy"), name="scripted"))
    assert (await harness.door.chat("wx:dm:alice", "hi")).status == 503
    await counted(
        harness.door,
        'nanobot_turns_total{outcome="failed",origin="api"} 1',
        'nanobot_turn_errors_total{code="model_overloaded"} 1',
        'nanobot_model_failures_total{model="scripted",code="model_overloaded"} 1',
    )


async def test_tools_are_counted_by_name_and_made_up_ones_as_unknown(open_harness: OpenHarness) -> None:
    calls = (ToolCall("1", "calculate", '{"expression":"6*7"}'), ToolCall("2", "made_up_by_the_model", "{}"))
    model = ScriptedModel(Say(message=Message("assistant", calls, "tool_calls")), "42")
    harness = await open_harness(model)
    await harness.door.chat("wx:dm:alice", "hi")
    text = await counted(
        harness.door,
        'nanobot_tool_calls_total{tool="calculate",outcome="done"} 1',
        'nanobot_tool_calls_total{tool="unknown",outcome="failed"} 1',
    )
    assert "made_up_by_the_model" not in text


async def test_turns_at_work_and_in_the_queue_are_shown_and_one_cancelled_there_is_counted(
    open_harness: OpenHarness,
) -> None:
    gate = asyncio.Event()
    harness = await open_harness(ScriptedModel(Say(("one",), before=gate), "two"))
    first = harness.door.chatting("wx:dm:alice", "first")
    await counted(harness.door, "nanobot_turns_running 1", "nanobot_turns_waiting 0")
    second = harness.door.chatting("wx:dm:alice", "second", headers={"x-events": "tools"}, stream=True)
    await second.begun()
    await counted(harness.door, "nanobot_turns_running 1", "nanobot_turns_waiting 1")
    await harness.door.call("POST", f"/v1/turns/{second.turn_id}/cancel")
    await counted(
        harness.door, "nanobot_turns_waiting 0", 'nanobot_turns_total{outcome="cancelled",origin="api"} 1'
    )
    gate.set()
    await first.done()
    await counted(
        harness.door, "nanobot_turns_running 0", 'nanobot_turns_total{outcome="done",origin="api"} 1'
    )


async def test_no_label_is_made_of_what_a_request_says(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.door.chat("wx:dm:canary-session", "canary-words", model="canary-model", user="canary-user")
    await harness.door.get("/canary-path/of/nobody")
    await harness.door.call("CANARY", "/v1/models")
    await harness.door.get("/v1/models/canary-model")
    text = await counted(
        harness.door,
        'nanobot_http_requests_total{method="GET",route="none",status="404"} 1',
        'nanobot_http_requests_total{method="other",route="none",status="405"} 1',
        'nanobot_http_requests_total{method="GET",route="/v1/models/{model_id}",status="404"} 1',
    )
    assert "canary" not in text.lower()


async def test_metrics_need_a_key_unless_they_are_opened(open_harness: OpenHarness) -> None:
    closed = await open_harness(api={"key": "k"})
    assert (await closed.door.get("/metrics")).status == 401
    assert (await closed.door.get("/metrics", {"authorization": "Bearer k"})).status == 200
    opened = await open_harness(api={"key": "k", "metrics_open": True})
    assert (await opened.door.get("/metrics")).status == 200


async def test_what_turns_cost_is_counted_by_model(open_harness: OpenHarness) -> None:
    message = Message("assistant", (Text("hello"),), "stop", Usage(100, 20))
    harness = await open_harness(
        ScriptedModel(Say(("hello",), message=message), name="m:1"), prices={"m:1": {"input": 1, "output": 2}}
    )
    for _ in range(2):
        await harness.door.chat("wx:dm:alice", "hi")
    await counted(harness.door, 'nanobot_cost_dollars_total{model="m:1"} 0.00028')
