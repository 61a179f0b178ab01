"""Each failure of the Gemini API is an error of its class."""

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
from nanobot.models.gemini.generate import GeminiContent
from tests.clock import PausedClock
from tests.gemini_api import (
    answered,
    call_part,
    candidate,
    chunk,
    error_body,
    failed,
    invalid,
    retry_info,
    said,
)
from tests.unit.models.asking import failure, heard
from tests.unit.models.gemini.speech import KEY, model_at
from tests.upstream import CUT, Reply, Upstream, event, json_reply, spoken

TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
BAD_KEY = "API key not valid. Please pass a valid API key."
INVALID_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}
DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
SPENT = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (invalid("Please ensure that multiturn requests alternate"), ModelRejectedRequest),
        (invalid(TOO_LONG), ContextOverflow),
        (invalid(BAD_KEY), ModelRefusedKey),
        (failed(400, "INVALID_ARGUMENT", "no", INVALID_KEY), ModelRefusedKey),
        (
            failed(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            ModelRefusedKey,
        ),
        (failed(400, "FAILED_PRECONDITION", "The model is not ready"), ModelRejectedRequest),
        (failed(401, "UNAUTHENTICATED", "Request had invalid credentials"), ModelRefusedKey),
        (failed(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"), ModelRefusedKey),
        (failed(404, "NOT_FOUND", "models/gemini-x is not found"), ModelMisconfigured),
        (failed(429, "RESOURCE_EXHAUSTED", SPENT), ModelRateLimited),
        (failed(500, "INTERNAL", "An internal error has occurred."), ModelBadAnswer),
        (failed(503, "UNAVAILABLE", "The model is overloaded."), ModelOverloaded),
        (failed(504, "DEADLINE_EXCEEDED", "Deadline expired"), ModelTimeout),
        (json_reply([error_body(503, "UNAVAILABLE", "The model is overloaded.")], 503), ModelOverloaded),
    ],
)
async def test_each_error_has_its_class(
    upstream: Upstream, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    model = model_at(upstream, clock, max_retries=0)
    upstream.then(reply)
    error = await failure(model)
    assert type(error) is kind
    assert KEY not in error.message
    await model.close()


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (503, "UNAVAILABLE", ModelOverloaded),
        (429, "RESOURCE_EXHAUSTED", ModelRateLimited),
        (500, "INTERNAL", ModelBadAnswer),
        (504, "DEADLINE_EXCEEDED", ModelTimeout),
        (400, "INVALID_ARGUMENT", ModelRejectedRequest),
    ],
)
@pytest.mark.parametrize("is_listed", [False, True])
async def test_an_error_in_the_middle_of_a_stream_has_its_class(
    upstream: Upstream,
    model: GeminiContent,
    code: int,
    status: str,
    expected: type[ModelError],
    is_listed: bool,
) -> None:
    error: object = error_body(code, status, "sorry")
    upstream.then(spoken(*said("It "), event([error] if is_listed else error)))
    assert type(await failure(model)) is expected
    assert len(upstream.requests) == 1


async def test_a_limit_is_waited_for_as_long_as_the_details_say(
    upstream: Upstream, model: GeminiContent, clock: PausedClock
) -> None:
    began = clock.now()
    upstream.then(failed(429, "RESOURCE_EXHAUSTED", SPENT, retry_info("3.5s")))
    assert (await heard(model))[1].text == "Hello there"
    assert clock.now() - began == 3.5


@pytest.mark.parametrize("delay", ["s", "-3s", "infs", "soon", ""])
async def test_a_delay_that_is_none_is_not_waited_for(
    upstream: Upstream, model: GeminiContent, delay: str
) -> None:
    upstream.then(failed(429, "RESOURCE_EXHAUSTED", SPENT, retry_info(delay)))
    assert (await heard(model))[1].text == "Hello there"


async def test_a_quota_of_the_day_is_not_asked_for_again(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(failed(429, "RESOURCE_EXHAUSTED", SPENT, DAILY, retry_info("2s")))
    error = await failure(model)
    assert (type(error), error.retry_after_s) == (ModelRateLimited, 2)
    assert len(upstream.requests) == 1


async def test_an_overload_before_the_first_word_is_tried_again(
    upstream: Upstream, model: GeminiContent
) -> None:
    overloaded = error_body(503, "UNAVAILABLE", "The model is overloaded.")
    upstream.then(json_reply(overloaded, 503), spoken(event(overloaded)))
    assert (await heard(model))[1].text == "Hello there"
    assert len(upstream.requests) == 3


async def test_an_unknown_model_is_named_with_the_address_that_was_asked(
    upstream: Upstream, model: GeminiContent
) -> None:
    upstream.then(failed(404, "NOT_FOUND", "models/gemini-x is not found for API version v1beta"))
    assert "is there a model 'gemini-3-flash' at http://127.0.0.1" in (await failure(model)).message


async def test_the_window_that_a_refusal_names_is_known(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(invalid(TOO_LONG))
    error = await failure(model)
    assert isinstance(error, ContextOverflow)
    assert error.limit_tokens == 1_048_576


BROKEN: dict[str, Reply] = {
    "ends in the middle": spoken(*said("It ")),
    "is cut in the middle": spoken(*said("It "), CUT),
    "has an event that is no JSON": spoken(event("{nope")),
    "has an array that is none": spoken(event("[nope")),
    "has an event of the wrong shape": spoken(event({"candidates": 7})),
    "is of another format": spoken(event({"choices": [{"delta": {"content": "hi"}}]})),
    "is of another format, in one piece": json_reply({"choices": []}),
    "is an empty array": json_reply([]),
    "calls no tool by name": answered(chunk(call_part(""))),
    "is of calls that the model got wrong": spoken(event(candidate(finish="MALFORMED_FUNCTION_CALL"))),
    "is empty": spoken(),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_an_error(upstream: Upstream, clock: PausedClock, reply: Reply) -> None:
    model = model_at(upstream, clock, max_retries=0)
    upstream.then(reply)
    assert type(await failure(model)) is ModelBadAnswer
    await model.close()
