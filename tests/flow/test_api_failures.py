"""What clients are told when something goes wrong behind the door: providers, bugs, a server that stops."""

import asyncio
import logging
from typing import Any

import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
    NanobotError,
)
from nanobot.core.model import ModelRequest
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import OpenHarness

# Providers ----------------------------------------------------------------------------------------

PROVIDER_FAILURES = [
    (ModelRefusedKey("the provider refused the key"), 502, "server_error", "model_refused_key", "false"),
    (
        ModelRateLimited("too many requests", retry_after_s=6.2),
        429,
        "rate_limit_error",
        "model_rate_limited",
        "true",
    ),
    (ModelMisconfigured("there is no such model"), 502, "server_error", "model_misconfigured", "false"),
    (ModelOverloaded("overloaded"), 503, "server_error", "model_overloaded", "true"),
    (ModelUnreachable("no connection"), 502, "server_error", "model_unreachable", "true"),
    (ModelTimeout("no answer in 300 s"), 504, "server_error", "model_timeout", "true"),
    (ModelBadAnswer("it broke off"), 502, "server_error", "model_bad_answer", "true"),
    (
        ModelRejectedRequest("images are not taken"),
        400,
        "invalid_request_error",
        "model_rejected_request",
        "false",
    ),
    (ContextOverflow("too long"), 400, "invalid_request_error", "context_length_exceeded", "false"),
    (ModelUnavailable("the engine is not installed"), 503, "server_error", "model_unavailable", "false"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "type_", "code", "should_retry"), PROVIDER_FAILURES)
async def test_a_providers_failure_has_its_status_and_says_whether_to_retry(
    open_harness: OpenHarness,
    error: ModelError,
    status: int,
    type_: str,
    code: str,
    should_retry: str,
    stream: bool,
) -> None:
    harness = await open_harness(ScriptedModel(error))
    reply = await harness.door.chat("a", "hello", stream=stream)
    assert reply.status == status
    assert reply.error == {"message": error.message, "type": type_, "param": None, "code": code}
    assert reply.headers["x-should-retry"] == should_retry
    assert reply.headers.get("retry-after") == ("7" if error.retry_after_s else None)
    assert reply.turn_id
    shown = (await harness.door.get(f"/v1/turns/{reply.turn_id}")).json
    assert (shown["status"], shown["error"], shown["answer"]) == ("failed", reply.error, None)


async def test_a_turn_that_failed_after_a_tool_goes_on_behind_it_when_it_is_sent_again(
    open_harness: OpenHarness,
) -> None:
    """What the tool did is not done twice."""
    model = ScriptedModel(
        call("calculate", '{"expression": "6*7"}'), ModelOverloaded("overloaded"), "It is 42."
    )
    harness = await open_harness(model)
    reply = await harness.door.chat("a", "6*7?")
    assert (reply.status, reply.headers["x-should-retry"]) == (503, "true")
    again = await harness.door.chat("a", "6*7?", headers={"x-stainless-retry-count": "1"})
    assert (again.status, again.said, again.turn_id) == (200, "It is 42.", reply.turn_id)
    assert [message.role for message in model.requests[-1].messages] == ["user", "assistant", "tool"]


async def test_a_turn_that_failed_after_a_tool_is_over_when_others_have_spoken_since(
    open_harness: OpenHarness,
) -> None:
    """Its retries are told to stop, streaming or not."""
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), ModelOverloaded("overloaded"), "fine")
    harness = await open_harness(model)
    await harness.door.chat("a", "6*7?", headers={"idempotency-key": "k"})
    await harness.door.chat("a", "and now?")
    again = await harness.door.chat("a", "6*7?", headers={"idempotency-key": "k"})
    assert (again.status, again.headers["x-should-retry"]) == (503, "false")


async def test_a_failed_turn_never_makes_the_next_request_fail(open_harness: OpenHarness) -> None:
    script: list[Any] = [
        ModelOverloaded("x"),
        call("calculate", '{"expression": "6*7"}'),
        ModelRefusedKey("x"),
        *[Say(("half",), error=ModelBadAnswer("it broke off"))] * (1 + AgentSettings().max_broken),
        "fine",
    ]
    model = ScriptedModel(*script)
    harness = await open_harness(model)
    assert [(await harness.door.chat("a", f"{number}")).status for number in range(4)] == [503, 502, 502, 200]
    roles = [message.role for message in model.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "user"]


async def test_a_turn_that_takes_too_long_is_a_504_that_names_the_setting(open_harness: OpenHarness) -> None:
    harness = await open_harness(
        ScriptedModel(Say(("hi",), before=asyncio.Event())), engine={"turn_timeout_s": 0.05}
    )
    reply = await harness.door.chat("a", "hello")
    assert (reply.status, reply.error["code"]) == (504, "turn_timed_out")
    assert "0.05 s" in reply.error["message"]
    assert "turn_timeout_s" in reply.error["message"]


# Bugs ---------------------------------------------------------------------------------------------


def broken(request: ModelRequest) -> str:
    raise ZeroDivisionError("secret detail: sk-12345")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bug_is_a_500_without_its_details_which_are_in_the_log(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    harness = await open_harness(ScriptedModel(broken, "fine"))
    with caplog.at_level(logging.ERROR):
        reply = await harness.door.chat("a", "hello", stream=stream)
    assert reply.status == 500
    assert reply.error["message"].startswith("Internal server error")
    assert reply.error["type"] == "server_error"
    assert "secret" not in reply.text
    assert reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] == "false"
    assert "secret detail" in caplog.text
    assert (await harness.door.chat("a", "again")).said == "fine"


async def test_a_bug_in_the_door_is_a_500_with_the_request_id(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ScriptedModel):
        async def check(self) -> None:
            raise ZeroDivisionError("secret detail")

    harness = await open_harness(Broken())
    with caplog.at_level(logging.ERROR):
        reply = await harness.door.get("/ready")
    assert reply.status == 500
    assert reply.error["message"].startswith("Internal server error")
    assert reply.headers["x-request-id"] in reply.error["message"]
    assert "secret" not in reply.text
    assert reply.headers["x-request-id"] in caplog.text


async def test_a_tool_that_fails_is_news_for_the_model_and_the_turn_ends_well(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "1/0"}'), "That cannot be done.")
    harness = await open_harness(model)
    assert (await harness.door.chat("a", "1/0?")).said == "That cannot be done."
    assert model.requests[-1].messages[-1].tool_results[0].is_error


# Readiness ----------------------------------------------------------------------------------------


class Unready(ScriptedModel):
    async def check(self) -> None:
        raise ModelUnreachable("http://127.0.0.1:9 cannot be reached: start the model server")


async def test_a_server_whose_model_cannot_answer_is_alive_but_not_ready(open_harness: OpenHarness) -> None:
    harness = await open_harness(Unready())
    health = await harness.door.get("/health")
    assert (health.status, health.raw) == (200, b'{"status":"ok"}')
    ready = await harness.door.get("/ready")
    assert ready.status == 503
    assert "http://127.0.0.1:9 cannot be reached: start the model server" in ready.text
    assert ready.headers["content-type"] == "application/json"


async def test_a_server_that_can_answer_is_ready(open_harness: OpenHarness) -> None:
    reply = await (await open_harness()).door.get("/ready")
    assert (reply.status, reply.json["status"]) == (200, "ok")


async def test_a_server_whose_store_cannot_commit_is_not_ready(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.app.store.close()
    reply = await harness.door.get("/ready")
    assert reply.status == 503
    assert "the store is closed" in reply.text


async def test_a_request_that_the_store_cannot_take_is_a_503(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await harness.app.store.close()
    reply = await harness.door.chat("a", "hello")
    assert (reply.status, reply.error["type"]) == (503, "server_error")


async def test_what_the_store_says_of_its_files_is_for_the_log_alone(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients get a code and the request's id; the way to the database is none of their business."""
    harness = await open_harness()
    (harness.data / DATABASE).unlink()
    reply = await harness.door.get("/ready")
    assert reply.status == 503
    assert str(harness.data) not in reply.text
    assert str(harness.data) in caplog.text


# Stopping -----------------------------------------------------------------------------------------


async def test_a_running_turn_may_end_within_the_grace(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("Hello", " there"), between=gate))
    harness = await open_harness(model, server={"shutdown_grace_s": 30.0})
    exchange = harness.door.chatting("a", "hello", stream=True)
    await exchange.until("Hello")
    stopping = asyncio.ensure_future(harness.close())
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait_for(stopping, BOUND_S)
    assert (await exchange.done()).said == "Hello there"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_that_does_not_end_in_time_is_given_back_and_its_followers_are_told(
    open_harness: OpenHarness, stream: bool, begun: bool
) -> None:
    model = ScriptedModel(
        Say(("Hello", " there"), between=asyncio.Event())
        if begun
        else Say(("Hello",), before=asyncio.Event())
    )
    harness = await open_harness(model)
    exchange = harness.door.chatting("a", "hello", stream=stream)
    await asyncio.wait_for(model.asked.wait(), BOUND_S)
    if stream and begun:
        await exchange.until("Hello")
    await harness.close()
    await exchange.done()
    if stream and begun:
        assert exchange.chunks[-1]["error"]["code"] == "shutting_down"
        assert "[DONE]" not in exchange.text
        return
    assert (exchange.status, exchange.error["code"]) == (503, "shutting_down")
    assert exchange.headers["x-should-retry"] == "true"


async def test_a_turn_that_waits_when_the_server_stops_is_kept_for_the_next_start(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(Say(("Hello",), before=asyncio.Event()))
    harness = await open_harness(model)
    first = harness.door.chatting("a", "first")
    await asyncio.wait_for(model.asked.wait(), BOUND_S)
    second = harness.door.chatting("a", "second")
    await harness.app.store.check()
    await harness.close()
    assert [reply.status for reply in await harness.door.each([first, second])] == [503, 503]
    again = await open_harness(ScriptedModel("one", "two"), data=harness.data)
    retried = await again.door.chat("a", "second", {"x-stainless-retry-count": "1"})
    assert (retried.said, retried.turn_id) == ("two", second.turn_id)
    assert [row.message.text for row in await again.app.store.messages("a", limit=9)] == [
        "first",
        "one",
        "second",
        "two",
    ]


async def test_every_error_has_a_code_and_a_message_of_its_own() -> None:
    """The classes of the tree that are shown are told apart by their code."""
    seen: dict[str, type[NanobotError]] = {}
    stack: list[type[NanobotError]] = [NanobotError]
    while stack:
        kind = stack.pop()
        stack.extend(sub for sub in kind.__subclasses__() if sub.__module__ == NanobotError.__module__)
        assert kind.code not in seen, f"{kind.__name__} and {seen[kind.code].__name__} have one code"
        seen[kind.code] = kind
    assert len(seen) > 25


async def test_a_message_that_does_not_fit_is_refused_with_the_number_that_was_set(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel(), agent={"window_tokens": 2_048})
    refused = await harness.door.chat("a", "x" * 20_000)
    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")
    assert refused.error["message"].endswith("(the window has 2048 tokens: agent.window_tokens)")
    # Its own size is the only other number.
    assert len([word for word in refused.error["message"].split() if word.isdigit()]) == 2
