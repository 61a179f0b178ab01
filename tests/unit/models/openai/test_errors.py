"""Failures of the provider: which are raised at once, which are tried again, and after what pause."""

import random
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

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
    ModelUnreachable,
)
from nanobot.core.event import TextDelta
from nanobot.models.openai.chat import OpenAIChat
from tests.clock import PausedClock
from tests.unit.models.asking import HELLO, failure, heard
from tests.unit.models.openai.asking import model_at
from tests.upstream import (
    CUT,
    HANG,
    Reply,
    Upstream,
    call,
    chunk,
    dropped,
    event,
    json_reply,
    raw,
    refused,
    spoken,
    streamed,
    text,
    too_long,
)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refused(400, "temperature must be below 2"), ModelRejectedRequest, "temperature must be below 2"),
        (refused(422, "no"), ModelRejectedRequest, "422"),
        (refused(409, "conflict"), ModelRejectedRequest, "conflict"),
        (json_reply({"detail": [{"loc": ["body"], "msg": "bad"}]}, 422), ModelRejectedRequest, '"msg":"bad"'),
        (
            json_reply({"object": "error", "message": "older vLLM", "code": 400}, 400),
            ModelRejectedRequest,
            "older vLLM",
        ),
        (
            json_reply([{"error": {"code": 400, "message": "in a list", "status": "INVALID_ARGUMENT"}}], 400),
            ModelRejectedRequest,
            "in a list",
        ),
        (json_reply({"error": "only words"}, 400), ModelRejectedRequest, "only words"),
        (
            Reply((b"",), 302, {"Location": "http://elsewhere"}, framing="length"),
            ModelMisconfigured,
            "its API?",
        ),
        (refused(405), ModelMisconfigured, "its API?"),
        (refused(404, "no such model"), ModelMisconfigured, "'test-model'"),
        (refused(401, "bad key"), ModelRefusedKey, "check the API key"),
        (refused(402, "no credit"), ModelRefusedKey, "no credit"),
        (refused(403, "not your country"), ModelRefusedKey, "not your country"),
        (too_long(), ContextOverflow, "8192 tokens"),
        (refused(400, "x", "exceed_context_size_error"), ContextOverflow, "larger window"),
        (refused(400, "x", kind="exceed_context_size_error"), ContextOverflow, "larger window"),
        (refused(400, "This model's maximum context length is 10 tokens"), ContextOverflow, "10 tokens"),
        (refused(400, "Your input exceeds the context window of this model"), ContextOverflow, "exceeds"),
        (
            refused(400, "The input token count (12) exceeds the maximum number of tokens allowed (10)"),
            ContextOverflow,
            "12",
        ),
        (refused(400, "prompt is too long: 12 tokens > 10 maximum"), ContextOverflow, "12"),
        (refused(500, "the request exceeds the available context size"), ContextOverflow, "context size"),
        (refused(413), ContextOverflow, "413"),
        (refused(501), ModelRejectedRequest, "501"),
        (raw(b"garbage\r\n\r\n"), ModelBadAnswer, "HTTP"),
        (spoken(event("{nope")), ModelBadAnswer, "not one of a chat completion"),
        (spoken(event('{"choices":3}')), ModelBadAnswer, "not one of a chat completion"),
        (
            spoken(event('{"choices":[{"delta":{"content":' + "[" * 5000)),
            ModelBadAnswer,
            "not one of a chat completion",
        ),
        (spoken(b"<html>welcome</html>"), ModelBadAnswer, "no chat completion"),
        (json_reply({"message": "hello"}), ModelBadAnswer, "without a choice"),
        (spoken(event({"error": {"message": "key", "code": "invalid_api_key"}})), ModelRefusedKey, "key"),
        (
            spoken(
                event({"error": {"message": "too long", "code": 400, "type": "exceed_context_size_error"}})
            ),
            ContextOverflow,
            "too long",
        ),
        (
            json_reply({"error": {"message": "odd", "type": "invalid_request_error"}}),
            ModelRejectedRequest,
            "odd",
        ),
        (
            spoken(event(b'{"object":"error","message":"no \xff","code":400}')),
            ModelRejectedRequest,
            "no \ufffd",
        ),
    ],
)
async def test_a_failure_that_would_come_again_is_raised_at_once(
    upstream: Upstream,
    model: OpenAIChat,
    clock: PausedClock,
    reply: Reply,
    kind: type[ModelError],
    words: str,
) -> None:
    upstream.then(reply)
    error = await failure(model)
    assert type(error) is kind
    assert words in error.message
    assert error.message.startswith("test:test-model")
    assert len(upstream.requests) == 1
    assert clock.pauses == []


PASSING = [
    (refused(408), ModelTimeout),
    (refused(429), ModelRateLimited),
    (refused(500), ModelBadAnswer),
    (refused(502), ModelOverloaded),
    (refused(503), ModelOverloaded),
    (refused(504), ModelTimeout),
    (refused(529), ModelOverloaded),
    (Reply((b"<html>Bad gateway</html>",), 502, framing="length"), ModelOverloaded),
    (dropped(), ModelUnreachable),
    (spoken(), ModelBadAnswer),
    (spoken(CUT), ModelBadAnswer),
    (streamed(CUT), ModelBadAnswer),
    (streamed(call(0, "a", "f", '{"x'), CUT), ModelBadAnswer),
    (streamed(reason=None, count=None, done=False), ModelBadAnswer),
    (spoken(chunk({}, "error")), ModelBadAnswer),
    (spoken(chunk({}, "insufficient_system_resource")), ModelOverloaded),
    (spoken(event({"error": {"message": "slow", "code": 429}})), ModelRateLimited),
    (spoken(event({"error": {"message": "slow", "type": "overloaded_error"}})), ModelOverloaded),
    (
        spoken(b"event: error\n" + event({"error": {"message": "oops", "code": "server_error"}})),
        ModelBadAnswer,
    ),
    (spoken(event({"object": "error", "message": "busy", "code": 503})), ModelOverloaded),
]


@pytest.mark.parametrize(("reply", "kind"), PASSING)
async def test_a_passing_failure_is_tried_again(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    upstream.then(reply, reply)
    assert (await heard(model))[1].text == "Hello there"
    assert len(upstream.requests) == 3
    assert len({asked.body for asked in upstream.requests}) == 1
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(("reply", "kind"), PASSING)
async def test_a_failure_that_does_not_pass_is_raised(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    upstream.then(reply, reply, reply)
    assert type(await failure(model)) is kind
    assert len(upstream.requests) == 3
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(
    "ending", [(CUT,), (), (event({"error": {"message": "slow", "code": 429}}),), (event("{nope"),)]
)
async def test_after_the_first_delta_nothing_is_tried_again(
    upstream: Upstream, model: OpenAIChat, ending: tuple[Any, ...]
) -> None:
    """What was said cannot be taken back, and half an answer is never passed for a whole one."""
    upstream.then(spoken(text("a"), *ending))
    stream = model.stream(HELLO)
    assert await anext(stream) == TextDelta("a")
    with pytest.raises(ModelError):
        await anext(stream)
    assert len(upstream.requests) == 1


async def test_pauses_grow_and_are_jittered(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, max_retries=7)
    upstream.then(*[refused(503)] * 8)
    await failure(model)
    await model.close()
    dice = random.Random(1)
    assert clock.pauses == [dice.uniform(0.0, longest) for longest in (0.5, 1, 2, 4, 8, 8, 8)]


async def test_without_retries_the_first_failure_is_final(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, max_retries=0)
    upstream.then(refused(503))
    assert isinstance(await failure(model), ModelOverloaded)
    await model.close()


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "20"}, 20.0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9.0),
        ({"Retry-After": formatdate(1_700_000_012, usegmt=True)}, 12.0),
    ],
)
async def test_the_pause_is_the_one_asked_for(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, headers: dict[str, str], pause_s: float
) -> None:
    upstream.then(refused(429, headers=headers))
    await heard(model)
    assert clock.pauses == [pause_s]


@pytest.mark.parametrize(
    "value",
    ["0", "-3", "nan", "inf", "soon", "", "Mon, 99 Foo 2023", formatdate(1_600_000_000, usegmt=True)],
)
async def test_a_pause_that_makes_no_sense_is_our_own(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, value: str
) -> None:
    upstream.then(refused(503, headers={"Retry-After": value}))
    await heard(model)
    assert len(clock.pauses) == 1
    assert 0 < clock.pauses[0] <= 0.5


@pytest.mark.parametrize("status", [429, 503])
async def test_a_longer_pause_is_left_to_the_asker(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, status: int
) -> None:
    upstream.then(refused(status, headers={"Retry-After": "21"}))
    assert (await failure(model)).retry_after_s == 21.0
    assert clock.pauses == []


@pytest.mark.parametrize("field", ["code", "type"])
async def test_a_used_up_quota_is_not_tried_again(upstream: Upstream, model: OpenAIChat, field: str) -> None:
    error = {"message": "You exceeded your current quota", field: "insufficient_quota"}
    upstream.then(json_reply({"error": error}, 429))
    assert isinstance(await failure(model), ModelRateLimited)
    assert len(upstream.requests) == 1


async def test_nobody_listening_is_unreachable(clock: PausedClock) -> None:
    async with Upstream() as upstream:
        url = upstream.url
    model = model_at(url, clock)
    error = await failure(model)
    assert isinstance(error, ModelUnreachable)
    assert error.message == f"test:test-model: no connection to {url}: Connection refused"
    assert len(clock.pauses) == 2
    await model.close()


async def test_a_missing_socket_is_unreachable(tmp_path: Path, clock: PausedClock) -> None:
    model = model_at("http://localhost/v1", clock, socket_path=str(tmp_path / "none"))
    error = await failure(model)
    assert isinstance(error, ModelUnreachable)
    assert str(tmp_path / "none") in error.message
    await model.close()


async def test_an_event_without_end_is_a_bad_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(spoken(b"data: ", *([b"x" * 1024 * 1024] * 9), HANG))
    error = await failure(model)
    assert isinstance(error, ModelBadAnswer)
    assert "8388608 bytes" in error.message


async def test_a_whole_answer_without_end_is_a_bad_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(spoken(b'{"choices": "', *([b"x" * 1024 * 1024] * 9), HANG))
    assert "8388608 bytes" in (await failure(model)).message
