"""Each failure of the Responses API is an error of its class."""

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
from nanobot.models.openai_responses.responses import OpenAIResponses
from tests.clock import PausedClock
from tests.responses_api import (
    answered,
    begun,
    broken_by,
    called,
    failed,
    invalid,
    numbered,
    payloads,
    said,
    streamed,
)
from tests.unit.models.asking import failure, heard
from tests.unit.models.openai_responses.talk import KEY, model_at
from tests.upstream import CUT, Reply, Upstream, event, json_reply, spoken

TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."
TPM = "Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 40000."


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (invalid("No tool output found for function call call_x.", "input"), ModelRejectedRequest),
        (invalid(TOO_LONG, "input", "context_length_exceeded"), ContextOverflow),
        (failed(401, "invalid_api_key", "Incorrect API key provided: sk-proj-secret."), ModelRefusedKey),
        (failed(403, "unsupported_country_region_territory", "Country not supported"), ModelRefusedKey),
        (failed(404, "model_not_found", "The model `x` does not exist"), ModelMisconfigured),
        (failed(429, "rate_limit_exceeded", "Rate limit reached for gpt-5"), ModelRateLimited),
        (failed(429, "rate_limit_exceeded", TPM), ModelRateLimited),
        (failed(429, "insufficient_quota", "You exceeded your current quota"), ModelRateLimited),
        (failed(500, None, "The server had an error while processing your request"), ModelBadAnswer),
        (failed(503, None, "The engine is currently overloaded"), ModelOverloaded),
        (failed(504, None, "Gateway timeout"), ModelTimeout),
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


FAILURES = [
    ("server_error", "The server had an error", ModelBadAnswer),
    ("rate_limit_exceeded", "Rate limit reached. Please try again in 11.054s.", ModelRateLimited),
    ("insufficient_quota", "You exceeded your current quota", ModelRateLimited),
    ("context_length_exceeded", TOO_LONG, ContextOverflow),
    ("server_is_overloaded", "Our servers are currently overloaded.", ModelOverloaded),
    ("slow_down", "Slow down", ModelOverloaded),
    ("vector_store_timeout", "Timed out", ModelTimeout),
    ("invalid_prompt", "Invalid prompt: it was flagged", ModelRejectedRequest),
    ("invalid_image_format", "The image is of no known format", ModelRejectedRequest),
    ("failed_to_download_image", "Failed to download", ModelRejectedRequest),
    ("new_code", "Something else", ModelBadAnswer),
]


@pytest.mark.parametrize(("code", "words", "expected"), FAILURES)
async def test_a_response_that_fails_has_its_class(
    upstream: Upstream, model: OpenAIResponses, code: str, words: str, expected: type[ModelError]
) -> None:
    upstream.then(broken_by(code, words, said("It ")))
    assert type(await failure(model)) is expected
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("code", "words", "expected"), FAILURES)
@pytest.mark.parametrize("is_nested", [True, False])
async def test_an_error_event_has_its_class(
    upstream: Upstream,
    model: OpenAIResponses,
    code: str,
    words: str,
    expected: type[ModelError],
    *,
    is_nested: bool,
) -> None:
    error = {"code": code, "message": words, "param": None}
    last = {"type": "error", "error": error} if is_nested else {"type": "error", **error}
    upstream.then(streamed([*begun(), *payloads(said("It ")), last]))
    assert type(await failure(model)) is expected


async def test_a_rate_limit_in_an_answer_is_waited_for_as_long_as_its_words_say(
    upstream: Upstream, model: OpenAIResponses, clock: PausedClock
) -> None:
    began = clock.now()
    upstream.then(broken_by("rate_limit_exceeded", "Rate limit reached. Please try again in 1.5s."))
    assert (await heard(model))[1].text == "Hello there"
    assert clock.now() - began == 1.5


async def test_a_rate_limit_is_waited_for_as_long_as_the_api_says(
    upstream: Upstream, model: OpenAIResponses, clock: PausedClock
) -> None:
    began = clock.now()
    upstream.then(failed(429, "rate_limit_exceeded", "slow down", {"Retry-After": "3"}))
    assert (await heard(model))[1].text == "Hello there"
    assert clock.now() - began == 3


async def test_a_failure_before_the_first_word_is_tried_again(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    upstream.then(failed(500, None, "sorry"), broken_by("server_error", "sorry"))
    assert (await heard(model))[1].text == "Hello there"
    assert len(upstream.requests) == 3


async def test_an_unknown_model_is_named_with_the_address_that_was_asked(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    upstream.then(failed(404, "model_not_found", "The model `gpt-5` does not exist"))
    assert (await failure(model)).message.endswith(f"is there a model 'gpt-5' at {upstream.url}?")


BROKEN: dict[str, Reply] = {
    "ends in the middle": streamed([*begun(), *payloads(said("It "))[:3]]),
    "ends after a whole item": streamed([*begun(), *payloads(said("It "))]),
    "is cut in the middle": streamed([*begun(), *payloads(said("It "))[:3]], CUT),
    "only begins": streamed(begun()),
    "is cancelled": streamed([*begun(), {"type": "response.cancelled", "response": {"status": "cancelled"}}]),
    "has an event that is no JSON": spoken(*numbered(begun()), event("{nope")),
    "has an event that is no object": spoken(event("[1]")),
    "is of another format": spoken(event({"choices": [{"delta": {"content": "hi"}}]})),
    "is of another format, in one piece": json_reply({"choices": []}),
    "calls no tool by name": answered(called("call_1", "")),
    "is empty": spoken(),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_an_error(upstream: Upstream, clock: PausedClock, reply: Reply) -> None:
    model = model_at(upstream.url, clock, max_retries=0)
    upstream.then(reply)
    assert type(await failure(model)) is ModelBadAnswer
    await model.close()
