"""Every wording of a refusal that is known, and what is made of it."""

import msgspec
import pytest

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
)
from nanobot.models.refusal_body import read_refusal
from nanobot.models.refusals import ErrorSource, error_in_answer, refusal, retry_after_s
from nanobot.models.wording import Meaning, Wording
from nanobot.models.wordings import WORDINGS, Understood, understand
from tests.upstream import refused

SOURCE = ErrorSource("test:test-model", "test-model", "http://localhost/v1", "sk-test-secret")
BAD_KEY = "API key not valid."
KINDS: dict[Meaning, type[ModelError]] = {
    "rate_limit": ModelRateLimited,
    "quota": ModelRefusedKey,
    "unpaid": ModelRefusedKey,
    "bad_key": ModelRefusedKey,
    "no_model": ModelMisconfigured,
    "bad_luck": ModelBadAnswer,
    "answer_limit": ModelRejectedRequest,
    "flagged": ModelRejectedRequest,
    "overflow": ContextOverflow,
}


def body(message: str, code: str | None = None) -> bytes:
    (step,) = refused(400, message, code).steps
    assert isinstance(step, bytes)
    return step


@pytest.mark.parametrize("wording", WORDINGS, ids=[wording.example[:40] for wording in WORDINGS])
def test_each_wording_means_what_its_row_says(wording: Wording) -> None:
    assert understand(wording.example) == Understood(wording.meaning, wording.limit)
    error = refusal(SOURCE, 400, body(wording.example), None).error
    assert type(error) is KINDS[wording.meaning]
    if isinstance(error, ContextOverflow):
        assert error.limit_tokens == wording.limit


@pytest.mark.parametrize("wording", WORDINGS, ids=[wording.example[:40] for wording in WORDINGS])
def test_each_row_is_needed(wording: Wording) -> None:
    """Without it, its example would mean nothing, or name no limit."""
    others = [other for other in WORDINGS if other is not wording]
    assert understand(wording.example, others) != Understood(wording.meaning, wording.limit)


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be below 2",
        "Invalid value for max_tokens: 999999",
        "messages: roles must alternate",
        "The model `x` does not support images",
        "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Invalid model output",
        "The image is too large: maximum 20 MB",
        "Invalid token in grammar",
        "Input image size exceeds the maximum of 5 MB",
        "Tool description length exceeds the maximum of 1024",
        "messages[0].name length exceeds the maximum of 64",
        "Request header size exceeds the limit",
        "The number of tools (200) exceeds the maximum of 128",
        "The number of input images is too large",
    ],
)
def test_other_words_mean_nothing_of_it(words: str) -> None:
    assert understand(words) is None
    assert type(refusal(SOURCE, 400, body(words), None).error) is ModelRejectedRequest


@pytest.mark.parametrize("status", [400, 404, 410, 422, 500])
def test_a_model_that_is_not_there_is_one_whatever_the_status(status: int) -> None:
    error = refusal(SOURCE, status, body("foo/bar is not a valid model ID"), None).error
    assert (type(error), error.http_status) == (ModelMisconfigured, 502)
    assert "is there a model 'test-model'" in error.message


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 405, 407, 410, 411, 415, 421, 426])
def test_an_address_that_is_no_api_is_not_the_askers_fault(status: int) -> None:
    for words in (b"", b"<html>Sign in</html>", b'{"detail":"Not Found"}'):
        failed = refusal(SOURCE, status, words, None)
        assert (type(failed.error), failed.error.http_status) == (ModelMisconfigured, 502)
        assert not failed.error.retryable and not failed.may_retry
        assert SOURCE.address in failed.error.message


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 128k tokens",
        "Request size exceeds the limit of 20 MB",
        "The input length exceeds the maximum of 1048576 characters",
    ],
)
def test_a_size_in_thousands_bytes_or_characters_is_no_limit_in_tokens(words: str) -> None:
    assert understand(words) == Understood("overflow")


@pytest.mark.parametrize(
    "words",
    [
        "Prompt length 5001 is greater than max_seq_len 4096",
        "Context length 5001 is greater than max_seq_len 4096",
        "InternalError.Algo.InvalidParameter: Total message token length exceed model limit (4096 tokens).",
        "The prompt length (5001 tokens) exceeds the model's maximum supported length of 4096 tokens",
        "Token indices sequence length is longer than the specified maximum sequence length for this model"
        " (5001 > 4096)",
        "Maximum sequence length of 4096 exceeded (got 5001)",
        "max tokens of 4096 exceeded",
        "Prompt too big for context: 5001 > 4096",
        "Input token size is larger than the limit: 4096",
        "prompt token count of 130000 exceeds the limit of 4096",
        "Input length 9000 exceeds the maximum length 4096",
        "Input length (9000) exceeds max sequence length of (4096)",
        "The input length 9000 exceeds the maximum allowed input length of 4096",
        "Conversation length is over the maximum of 4,096",
        "The total sequence length (5001) must not be longer than the context window of 4096",
    ],
)
def test_a_length_that_is_over_a_limit_is_understood_in_any_order_of_the_words(words: str) -> None:
    assert understand(words) == Understood("overflow", 4096)


@pytest.mark.parametrize("status", [400, 402, 403, 429, 500, 503])
def test_an_empty_account_is_no_rate_limit_whatever_its_status(status: int) -> None:
    failed = refusal(SOURCE, status, body("Insufficient Balance"), None)
    assert type(failed.error) is ModelRefusedKey
    assert not failed.may_retry


@pytest.mark.parametrize("status", [400, 403, 422, 451, 500])
@pytest.mark.parametrize(
    "words",
    [
        "google/x requires moderation on OpenAI. Your input was flagged",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "Content violates usage guidelines. Team: t, Model: grok-4, Failed check: SAFETY_CHECK_TYPE_CSAM",
        "The prompt violates our content policy",
        "Your request was rejected as a result of our safety system.",
        "<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.",
    ],
)
def test_what_is_against_the_rules_is_the_askers_affair_whatever_the_status(status: int, words: str) -> None:
    failed = refusal(SOURCE, status, body(words), None)
    assert (type(failed.error), failed.error.http_status) == (ModelRejectedRequest, 400)
    assert not failed.may_retry


def test_what_is_against_the_rules_is_so_where_it_comes_with_success() -> None:
    content = {"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}
    failed = error_in_answer(SOURCE, content)
    assert type(failed.error) is ModelRejectedRequest and not failed.may_retry


@pytest.mark.parametrize(
    "words", ["Access denied", "Your request was blocked by a firewall", "Country, region not supported"]
)
def test_a_403_for_anything_else_is_the_operators_affair(words: str) -> None:
    assert type(refusal(SOURCE, 403, body(words), None).error) is ModelRefusedKey


def test_a_pause_that_a_provider_asks_for_is_at_most_a_day() -> None:
    """Some clients sleep for as long as they are told."""
    for far in ("99999999999", "Wed, 21 Oct 2099 07:28:00 GMT"):
        assert retry_after_s({"retry-after": far}, 1_800_000_000.0) == 86_400
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "99999999s"}
    said = msgspec.json.encode({"error": {"code": 429, "message": "slow down", "details": [info]}})
    assert refusal(SOURCE, 429, said, None).error.retry_after_s == 86_400
    assert refusal(SOURCE, 429, body("slow down"), 3.0).error.retry_after_s == 3


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_a_bad_key_is_not_the_askers_fault_whatever_its_status(status: int) -> None:
    error = refusal(SOURCE, status, body("API key not valid. Please pass a valid API key."), None).error
    assert (type(error), error.http_status) == (ModelRefusedKey, 502)


@pytest.mark.parametrize("at_end", [True, False])
def test_of_a_long_refusal_the_beginning_and_the_end_count(at_end: bool) -> None:
    quoted = "the whole request " * 4000
    words = f"{quoted} {BAD_KEY}" if at_end else f"{BAD_KEY} {quoted}"
    assert type(refusal(SOURCE, 400, body(words), None).error) is ModelRefusedKey
    assert len(read_refusal(body(words)).said) < 5000


def test_a_413_that_speaks_of_rates_is_no_overflow() -> None:
    words = "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7200"
    failed = refusal(SOURCE, 413, body(words, "rate_limit_exceeded"), 3.0)
    assert (type(failed.error), failed.error.retry_after_s, failed.may_retry) == (
        ModelRateLimited,
        3.0,
        False,
    )
    assert type(refusal(SOURCE, 413, b"", None).error) is ContextOverflow


def test_what_only_the_sampler_got_wrong_may_be_tried_again() -> None:
    failed = refusal(SOURCE, 400, body("Failed to call a function.", "tool_use_failed"), None)
    assert failed.may_retry


@pytest.mark.parametrize(
    "raw",
    [
        '{"error":{"message":"prompt is too long: 9 tokens > 8 maximum","type":"invalid_request_error"}}',
        "prompt is too long: 9 tokens > 8 maximum",
        {"message": "prompt is too long: 9 tokens > 8 maximum"},
    ],
)
def test_what_the_provider_behind_a_router_said_counts(raw: object) -> None:
    content = {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": raw, "provider_name": "Anthropic"},
        }
    }
    error = error_in_answer(SOURCE, content).error
    assert isinstance(error, ContextOverflow)
    assert error.limit_tokens == 8
    assert "Provider returned error: prompt is too long" in error.message


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (1008, "insufficient balance", ModelRefusedKey),
        (1004, "login fail", ModelRefusedKey),
        (2049, "no", ModelRefusedKey),
        (1002, "slow down", ModelRateLimited),
        (2013, "invalid params", ModelRejectedRequest),
        (1013, "oops", ModelBadAnswer),
    ],
)
def test_a_status_within_an_answer_is_understood(code: int, words: str, kind: type[ModelError]) -> None:
    """As MiniMax sends it, with status 200."""
    content = {"choices": None, "base_resp": {"status_code": code, "status_msg": words}}
    error = error_in_answer(SOURCE, content).error
    assert type(error) is kind
    assert words in error.message


def test_a_short_key_is_no_secret() -> None:
    """Servers on this machine take any: it is a name, and names and addresses hold it."""
    source = ErrorSource("ollama:gemma3", "gemma3", "http://localhost/v1", "ollama")
    words = "registry.ollama.ai/library/gemma3:4b not found"
    assert words in refusal(source, 400, body(words), None).error.message


def test_values_that_a_server_quotes_from_the_request_are_left_out() -> None:
    content = {
        "detail": [{"loc": ["body", "x"], "msg": "Extra inputs are not permitted", "input": "my secret"}]
    }
    message = error_in_answer(SOURCE, content).error.message
    assert "Extra inputs" in message
    assert "my secret" not in message


@pytest.mark.parametrize(
    "content",
    [
        {"errors": [{"message": "API key not valid", "code": 10000}], "success": False, "result": None},
        {"errors": ["API key not valid"]},
    ],
)
def test_a_refusal_that_lists_its_errors_is_read_by_the_first(content: object) -> None:
    error = refusal(SOURCE, 400, msgspec.json.encode(content), None).error
    assert type(error) is ModelRefusedKey and "API key not valid" in error.message
