"""The official `openai` Python SDK, as it is installed, against the app on a real port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from nanobot.core.errors import (
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
)
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import Harness, OpenHarness, listening
from tests.own_settings import forget_own_settings

T = TypeVar("T")
KEY = {"x-session-key": "wx:dm:user_alice"}
HELLO: list[Any] = [{"role": "user", "content": "Hello, who are you?"}]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings stay out of it."""
    forget_own_settings(monkeypatch)


@asynccontextmanager
async def connected(harness: Harness, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    """Serve the app, and yield a client of it."""
    async with (
        listening(harness.app.asgi) as server,
        AsyncOpenAI(
            base_url=f"{server.url}/v1", **{"api_key": "none", "default_headers": KEY, **options}
        ) as client,
    ):
        yield client


async def in_threads(harness: Harness, *works: Callable[[OpenAI], T], **options: Any) -> list[T]:
    """Do each of `works` with the one synchronous client, each in a thread of its own."""
    async with listening(harness.app.asgi) as server:
        with OpenAI(
            base_url=f"{server.url}/v1", **{"api_key": "none", "default_headers": KEY, **options}
        ) as client:
            return list(await asyncio.gather(*(asyncio.to_thread(work, client) for work in works)))


# Answers ------------------------------------------------------------------------------------------


async def test_an_answer_in_one_piece(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("I am nanobot"))) as client:
        answer = await client.chat.completions.create(model="nanobot", messages=HELLO)
        assert answer.choices[0].message.content == "I am nanobot"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.id.startswith("chatcmpl-")
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.prompt_tokens_details is not None
        assert answer._request_id


async def test_an_answer_as_a_stream_with_usage(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("I am nanobot"))) as client:
        stream = await client.chat.completions.create(
            model="nanobot", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "I am nanobot"
    )
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0


async def test_tool_events_are_invisible_to_the_sdk(open_harness: OpenHarness) -> None:
    """It parses every event; those on tools are for who asked, and even then it must not stumble."""
    harness = await open_harness(ScriptedModel(call("calculate", '{"expression": "6*7"}'), "42"))
    async with connected(harness) as client:
        stream = await client.chat.completions.create(model="nanobot", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "42"
    assert all(chunk.choices[0].delta.tool_calls is None for chunk in chunks)


async def test_the_sdks_stream_helper_adds_the_same_answer_up(open_harness: OpenHarness) -> None:
    async with (
        connected(await open_harness(ScriptedModel("I am nanobot"))) as client,
        client.chat.completions.stream(model="nanobot", messages=HELLO) as stream,
    ):
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "I am nanobot"
    assert final.choices[0].finish_reason == "stop"


async def test_the_synchronous_client_streams_too(open_harness: OpenHarness) -> None:
    def ask(client: OpenAI) -> str:
        stream = client.chat.completions.create(model="nanobot", messages=HELLO, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert await in_threads(await open_harness(ScriptedModel("I am nanobot")), ask) == ["I am nanobot"]


async def test_models_are_listed_and_looked_up(open_harness: OpenHarness) -> None:
    async with connected(await open_harness()) as client:
        assert [model.id async for model in client.models.list()] == ["nanobot"]
        assert (await client.models.retrieve("nanobot")).owned_by == "nanobot"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-9")


async def test_many_answers_at_once_over_a_few_connections(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(lambda request: f"re {request.messages[-1].text}"))
    async with connected(harness) as client:

        async def ask(number: int) -> str | None:
            messages: list[Any] = [{"role": "user", "content": f"{number}"}]
            answer = await client.chat.completions.create(
                model="nanobot", messages=messages, extra_headers={"x-session-key": f"key {number % 7}"}
            )
            return answer.choices[0].message.content

        assert await asyncio.gather(*(ask(number) for number in range(40))) == [
            f"re {number}" for number in range(40)
        ]


# Retries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_time_out_with_automatic_retries_starts_one_turn(
    open_harness: OpenHarness, stream: bool
) -> None:
    """The client gives up twice; its third try finds the turn that its first one started."""
    gate = asyncio.Event()
    model = ScriptedModel(Say(("I am nanobot",), before=gate))
    harness = await open_harness(model)
    tries: list[str] = []

    async def on_request(request: httpx2.Request) -> None:
        tries.append(request.headers["x-stainless-retry-count"])
        if len(tries) == 3:
            gate.set()
        else:
            request.extensions["timeout"]["read"] = 0.3

    http = DefaultAsyncHttpxClient(event_hooks={"request": [on_request]})
    async with connected(harness, http_client=http, timeout=BOUND_S, max_retries=2) as client:
        if stream:
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model="nanobot", messages=HELLO, stream=True
                )
            ]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        else:
            said = (await client.chat.completions.create(model="nanobot", messages=HELLO)).choices[
                0
            ].message.content or ""
    assert (said, tries, len(model.requests)) == ("I am nanobot", ["0", "1", "2"], 1)
    assert [row.message.text for row in await harness.app.store.messages(KEY["x-session-key"], limit=9)] == [
        HELLO[0]["content"],
        "I am nanobot",
    ]


async def test_what_fails_in_passing_is_answered_by_the_sdks_retry_under_one_id(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(ModelOverloaded("overloaded", retry_after_s=0.1), "here I am")
    harness = await open_harness(model)
    async with connected(harness, max_retries=2) as client:
        answer = await client.chat.completions.create(model="nanobot", messages=HELLO)
    assert answer.choices[0].message.content == "here I am"
    rows = await harness.app.store.messages(KEY["x-session-key"], limit=9)
    assert [row.message.text for row in rows] == [HELLO[0]["content"], "here I am"]
    assert answer.id == (rows[0].turn_id or "").replace("turn_", "chatcmpl-")


async def test_what_fails_for_good_is_not_tried_again(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ModelRefusedKey("the provider refused the key"))
    harness = await open_harness(model)
    async with connected(harness, max_retries=5) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="nanobot", messages=HELLO)
    assert len(model.requests) == 1


async def test_a_busy_session_is_not_tried_again_by_who_would_not_wait(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Say(("hi",), before=gate))
    harness = await open_harness(model)
    async with connected(harness, max_retries=5) as client:
        first = asyncio.ensure_future(client.chat.completions.create(model="nanobot", messages=HELLO))
        await asyncio.wait_for(model.asked.wait(), BOUND_S)
        with pytest.raises(openai.ConflictError) as caught:
            await client.chat.completions.create(
                model="nanobot", messages=HELLO, extra_headers={"x-when-busy": "reject"}
            )
        gate.set()
        await first
    assert caught.value.code == "session_busy"


async def test_two_threads_on_one_key_take_turns(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(lambda request: f"re {request.messages[-1].text}"))

    def ask(name: str) -> Callable[[OpenAI], list[str | None]]:
        def work(client: OpenAI) -> list[str | None]:
            answers = []
            for number in range(5):
                messages: list[Any] = [{"role": "user", "content": f"{name} {number}"}]
                answers.append(
                    client.chat.completions.create(model="nanobot", messages=messages)
                    .choices[0]
                    .message.content
                )
            return answers

        return work

    one, two = await in_threads(harness, ask("one"), ask("two"))
    assert one == [f"re one {number}" for number in range(5)]
    assert two == [f"re two {number}" for number in range(5)]
    texts = [row.message.text for row in await harness.app.store.messages(KEY["x-session-key"], limit=99)]
    assert texts[1::2] == [f"re {text}" for text in texts[::2]]
    for name in ("one", "two"):
        assert [text for text in texts[::2] if text.startswith(name)] == [
            f"{name} {number}" for number in range(5)
        ]


async def test_a_follow_up_after_a_restart_remembers(open_harness: OpenHarness, tmp_path: Path) -> None:
    harness = await open_harness(ScriptedModel("I am nanobot"), data=tmp_path / "data")
    async with connected(harness) as client:
        await client.chat.completions.create(model="nanobot", messages=HELLO)
    await harness.close()
    model = ScriptedModel("You asked who I am")
    async with connected(await open_harness(model, data=tmp_path / "data")) as client:
        await client.chat.completions.create(
            model="nanobot", messages=[{"role": "user", "content": "What did I just ask you?"}]
        )
    assert [message.text for message in model.requests[0].messages] == [
        HELLO[0]["content"],
        "I am nanobot",
        "What did I just ask you?",
    ]


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "headers", "expected", "words"),
    [
        ({"model": "gpt-9"}, {}, openai.NotFoundError, "gpt-9"),
        ({"messages": []}, {}, openai.BadRequestError, "messages"),
        ({"temperature": 7.0}, {}, openai.BadRequestError, "temperature"),
        ({"n": 3}, {}, openai.BadRequestError, "n is 3"),
        ({}, {"x-session-key": ""}, openai.BadRequestError, "Missing required header: x-session-key"),
        ({}, {"x-session-key": "nanobot:x"}, openai.BadRequestError, "nanobot:"),
        ({}, {"Authorization": "Bearer wrong"}, openai.AuthenticationError, "key"),
        ({}, {"Origin": "https://evil.example"}, openai.PermissionDeniedError, "evil.example"),
    ],
)
async def test_refusals_are_the_sdks_own_exceptions(
    open_harness: OpenHarness,
    fields: dict[str, Any],
    headers: dict[str, str],
    expected: type[openai.APIStatusError],
    words: str,
) -> None:
    harness = await open_harness(api={"key": "sk-right"})
    async with connected(harness, api_key="sk-right", max_retries=0) as client:
        with pytest.raises(expected) as caught:
            await client.chat.completions.create(
                **{"model": "nanobot", "messages": HELLO, **fields}, extra_headers=headers
            )
    assert type(caught.value) is expected
    assert words in caught.value.message
    assert caught.value.request_id
    assert caught.value.type in ("invalid_request_error", "authentication_error")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelRateLimited("slow down", retry_after_s=5), openai.RateLimitError),
        (ModelOverloaded("overloaded"), openai.InternalServerError),
        (ModelTimeout("no answer"), openai.InternalServerError),
        (ModelRejectedRequest("no images"), openai.BadRequestError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_providers_failures_are_the_sdks_own_exceptions(
    open_harness: OpenHarness, error: ModelError, expected: type[openai.APIStatusError], stream: bool
) -> None:
    async with connected(await open_harness(ScriptedModel(error)), max_retries=0) as client:
        with pytest.raises(expected) as caught:
            await client.chat.completions.create(model="nanobot", messages=HELLO, stream=stream)
    assert caught.value.code == error.code
    assert error.message in caught.value.message


async def test_a_failure_in_the_middle_of_a_stream_is_raised_by_the_sdk(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Say(("I am", " nano"), error=ModelOverloaded("overloaded"))))
    async with connected(harness, max_retries=0) as client:
        stream = await client.chat.completions.create(model="nanobot", messages=HELLO, stream=True)
        said = ""
        with pytest.raises(openai.APIError) as caught:
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
    assert said == "I am nano"
    assert "overloaded" in caught.value.message


async def test_a_client_that_stops_reading_a_stream_is_seen_to_be_gone(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Say(("I am", " nanobot"), between=asyncio.Event()))
    harness = await open_harness(model, api={"disconnect_grace_s": 0.0})
    async with connected(harness) as client:
        async with await client.chat.completions.create(
            model="nanobot", messages=HELLO, stream=True
        ) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
        async with asyncio.timeout(BOUND_S):
            while model.closed_streams == 0:
                await asyncio.sleep(0)
