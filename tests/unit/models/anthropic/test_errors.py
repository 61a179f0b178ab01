"""Each failure of the Messages API is an error of its class."""

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
)
from nanobot.models.anthropic.messages import AnthropicMessages
from tests.anthropic_api import answered, called, error_event, failed, invalid, said, start
from tests.clock import PausedClock
from tests.unit.models.anthropic.talk import KEY, model_at
from tests.unit.models.asking import failure, heard
from tests.upstream import CUT, Reply, Upstream, event, json_reply, spoken

TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"
NO_ROOM = "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length"
UNPAID = "Your credit balance is too low to access the Anthropic API."
SPENT = "You have reached your specified API usage limits. You will regain access on 2026-12-01."


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (invalid("stop_sequences: Input should be a valid list"), ModelRejectedRequest),
        (invalid(TOO_LONG), ContextOverflow),
        (invalid(NO_ROOM), ContextOverflow),
        (invalid(UNPAID), ModelRefusedKey),
        (invalid(SPENT), ModelRefusedKey),
        (failed(401, "authentication_error", "invalid x-api-key"), ModelRefusedKey),
        (failed(402, "billing_error", "There is an issue with your billing"), ModelRefusedKey),
        (failed(403, "permission_error", "Your API key does not have permission"), ModelRefusedKey),
        (failed(404, "not_found_error", "model: claude-x"), ModelMisconfigured),
        (failed(413, "request_too_large", "Request exceeds the maximum size"), ContextOverflow),
        (failed(429, "rate_limit_error", "Number of requests"), ModelRateLimited),
        (failed(500, "api_error", "Internal server error"), ModelBadAnswer),
        (failed(504, "timeout_error", "The request timed out"), ModelTimeout),
        (failed(529, "overloaded_error", "Overloaded"), ModelOverloaded),
    ],
)
async def test_each_error_has_its_class(
    upstream: Upstream, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    model = model_at(upstream.url, clock, max_retries=0)
    upstream.then(reply)
    error = await failure(model)
    assert type(error) is kind
    assert KEY not in error.message
    await model.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", ModelOverloaded),
        ("rate_limit_error", ModelRateLimited),
        ("api_error", ModelBadAnswer),
        ("timeout_error", ModelTimeout),
        ("authentication_error", ModelRefusedKey),
        ("billing_error", ModelRefusedKey),
        ("invalid_request_error", ModelRejectedRequest),
        ("request_too_large", ContextOverflow),
    ],
)
async def test_an_error_in_the_middle_of_a_stream_has_its_class(
    upstream: Upstream, model: AnthropicMessages, kind: str, expected: type[ModelError]
) -> None:
    upstream.then(spoken(start(), *said("It ")[:2], error_event(kind, "sorry")))
    assert type(await failure(model)) is expected
    assert len(upstream.requests) == 1


async def test_an_overload_before_the_first_word_is_tried_again(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(
        failed(529, "overloaded_error", "Overloaded"), spoken(start(), error_event("overloaded_error", ""))
    )
    assert (await heard(model))[1].text == "Hello there"
    assert len(upstream.requests) == 3


async def test_an_unknown_model_is_named_with_the_address_that_was_asked(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(failed(404, "not_found_error", "model: claude-x"))
    message = (await failure(model)).message
    assert message.endswith(f"is there a model 'claude-haiku-5-5' at {upstream.url}?")


async def test_a_rate_limit_is_waited_for_as_long_as_the_api_says(
    upstream: Upstream, model: AnthropicMessages, clock: PausedClock
) -> None:
    began = clock.now()
    upstream.then(failed(429, "rate_limit_error", "slow down", {"Retry-After": "3"}))
    assert (await heard(model))[1].text == "Hello there"
    assert clock.now() - began == 3


BROKEN: dict[str, Reply] = {
    "ends in the middle": spoken(start(), *said("It ")[:2]),
    "is cut in the middle": spoken(start(), *said("It ")[:2], CUT),
    "has an event that is no JSON": spoken(start(), event("{nope")),
    "has an event of the wrong shape": spoken(start(), event({"type": 7})),
    "is of another format": spoken(event({"choices": [{"delta": {"content": "hi"}}]})),
    "is of another format, in one piece": json_reply({"choices": []}),
    "calls no tool by name": answered(*called("a", ""), reason="tool_use"),
    "is empty": spoken(),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_an_error(upstream: Upstream, clock: PausedClock, reply: Reply) -> None:
    model = model_at(upstream.url, clock, max_retries=0)
    upstream.then(reply)
    assert type(await failure(model)) is ModelBadAnswer
    await model.close()
