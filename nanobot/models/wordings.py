"""What providers say when they refuse a request, and what it means: one row for each wording that is known.

Statuses and codes are not enough: a bad key comes as 400, an empty account as 429, a prompt that is too long
as 400, 413 or 500, and each server has its own words. A row is added with the words as they were seen.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

Meaning = Literal["rate_limit", "quota", "unpaid", "bad_key", "bad_luck", "overflow"]
"""`bad_luck`: the model's sampling went wrong, and the same request may succeed. `unpaid`: the account is
empty, `quota`: its plan is used up; no pause mends either.
"""


class Wording(msgspec.Struct, frozen=True):
    """Words of a refusal.

    `pattern` is searched without case; its group `limit` is the size in tokens that the prompt was over.
    `example` are the words as a provider wrote them, `limit` the one that is named there.
    """

    meaning: Meaning
    pattern: str
    example: str
    limit: int | None = None


class Understood(msgspec.Struct, frozen=True):
    """The meaning of a refusal, and the limit that it names."""

    meaning: Meaning
    limit: int | None = None


_N = r"\D{0,40}?(?P<limit>\d[\d,]*)"

WORDINGS: tuple[Wording, ...] = (
    Wording(
        "rate_limit",
        r"rate_limit_exceeded|tokens per (?:minute|day)|\bTPM\b|requests per (?:minute|day)",
        "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7200",
    ),
    # An account that cannot pay ------------------------------------------------------------------
    Wording("unpaid", r"insufficient[ _](?:account )?balance", "Insufficient Balance"),
    Wording("unpaid", r"insufficient (?:credits|funds)", "Insufficient credits. Add more using the link"),
    Wording("unpaid", r"credit balance", "Your credit balance is too low to access the Anthropic API."),
    Wording("quota", r"insufficient_quota", "insufficient_quota"),
    Wording("unpaid", r"specified API usage limits", "You have reached your specified API usage limits."),
    Wording("quota", r"exceeded_current_quota_error", "exceeded_current_quota_error"),
    Wording(
        "unpaid",
        r"(?:account|balance).{0,20} in arrears|in overdue",
        "Access denied, your account is in arrears",
    ),
    Wording("unpaid", r"\bArrearage\b", "Arrearage"),
    Wording("unpaid", r"余额不足", "余额不足或无可用资源包,请充值。"),
    Wording(
        "unpaid", r"account balance is (?:too low|not enough|negative)", "Your account balance is too low"
    ),
    Wording("quota", r"PerDay", "RESOURCE_EXHAUSTED GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
    Wording(
        "unpaid",
        r"used all available credits|reached its monthly spending",
        "Your team has used all available credits",
    ),
    Wording(
        "unpaid", r"exceeded your monthly included credits", "You have exceeded your monthly included credits"
    ),
    # A key that is not accepted ------------------------------------------------------------------
    Wording("bad_key", r"API_KEY_INVALID", "API_KEY_INVALID"),
    Wording(
        "bad_key",
        r"(?:incorrect|invalid|wrong|missing|expired) api[ _-]?key",
        "Incorrect API key provided: xa***key. You can obtain an API key from the console.",
    ),
    Wording(
        "bad_key",
        r"api[ _-]?key (?:is )?(?:not valid|invalid|incorrect|expired|missing|not found|malformed)",
        "API key not valid. Please pass a valid API key.",
    ),
    Wording(
        "bad_key",
        r"authentication[ _](?:fail|error)|invalid[ _]authentication",
        "Authentication Fails (no such user)",
    ),
    Wording(
        "bad_key",
        r"invalid[ _]iam[ _]token|invalid access token|bearer token is invalid",
        "Invalid access token or token expired",
    ),
    Wording(
        "bad_key", r"login fail", "login fail: Please carry the API secret key in the 'Authorization' field"
    ),
    # The sampler's bad luck ----------------------------------------------------------------------
    Wording("bad_luck", r"tool_use_failed", "tool_use_failed"),
    Wording(
        "bad_luck", r"failed to call a function", "Failed to call a function. Please adjust your prompt."
    ),
    Wording(
        "bad_luck", r"json_validate_failed|failed to (?:generate|validate) json", "Failed to generate JSON."
    ),
    Wording(
        "bad_luck",
        r"output_parse_failed|parsing failed\. the model generated output",
        "Parsing failed. The model generated output that could not be parsed.",
    ),
    Wording("bad_luck", r"malformed_function_call", "MALFORMED_FUNCTION_CALL"),
    # A prompt that is too long -------------------------------------------------------------------
    Wording(
        "overflow",
        rf"maximum context length{_N}",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        8192,
    ),
    Wording(
        "overflow",
        rf"maximum prompt length{_N}",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        131072,
    ),
    Wording(
        "overflow",
        r"exceed context limit: \d+ \+ \d+ > (?P<limit>\d+)",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length",
        200000,
    ),
    Wording(
        "overflow",
        r"too long: \d+ tokens > (?P<limit>\d+)",
        "prompt is too long: 210000 tokens > 200000 maximum",
        200000,
    ),
    Wording(
        "overflow",
        r"input tokens exceeded",
        "Input Tokens Exceeded: the number of input tokens exceeds the limit",
    ),
    Wording(
        "overflow",
        r"tokens in request more than max tokens allowed",
        "tokens in request more than max tokens allowed",
    ),
    Wording(
        "overflow",
        r"range of input length should be \[\d+, ?(?P<limit>\d+)\]",
        "Range of input length should be [1, 129024]",
        129024,
    ),
    Wording(
        "overflow",
        rf"exceeded model token limit(?:{_N})?",
        "Invalid request: Your request exceeded model token limit: 8192",
        8192,
    ),
    Wording(
        "overflow",
        rf"maximum (?:model length|number of tokens allowed){_N}",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        1048576,
    ),
    Wording("overflow", r"input token count", "The input token count exceeds what the model takes"),
    Wording(
        "overflow",
        r"tokens must (?:be|have) (?:<=|less than) (?P<limit>\d+)|must have less than (?P<other>\d+) tokens",
        "Input validation error: `inputs` tokens must be <= 4096. Given: 5000",
        4096,
    ),
    Wording(
        "overflow",
        r"`?inputs`? tokens \+ `?max_new_tokens`? must be <= (?P<limit>\d+)",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000",
        8193,
    ),
    Wording(
        "overflow",
        r"max_seq_len \((?P<limit>\d+)\)",
        "length of prompt_tokens (40000) must be less than max_seq_len (32768).",
        32768,
    ),
    Wording(
        "overflow",
        r"current length is \d+ while limit is (?P<limit>\d+)",
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        8192,
    ),
    Wording(
        "overflow",
        r"max size: (?P<limit>\d+) tokens",
        "Request body too large for gpt-4o model. Max size: 8000 tokens.",
        8000,
    ),
    Wording(
        "overflow",
        r"context size \((?P<limit>\d+) tokens\)",
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        8192,
    ),
    Wording(
        "overflow",
        r"context length of only (?P<limit>\d+) tokens",
        "However, the model is loaded with context length of only 4096 tokens, which is not enough.",
        4096,
    ),
    Wording(
        "overflow",
        r"too large for model with (?P<limit>\d+)",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        32768,
    ),
    Wording(
        "overflow",
        r"cannot exceed (?P<limit>\d+) tokens",
        "total number of tokens in the prompt cannot exceed 4081 tokens",
        4081,
    ),
    Wording(
        "overflow",
        r"context[ _](?:length|window|size|limit)",
        "Your input exceeds the context window of this model.",
    ),
    Wording("overflow", r"maximum context", "over the maximum context of this model"),
    Wording("overflow", r"(?:prompt|input|request)(?: is)? too (?:long|large)", "Prompt is too long"),
    Wording("overflow", r"too many (?:input |prompt )?tokens", "too many tokens in the prompt"),
    Wording("overflow", r"reduce the length", "Please reduce the length of the messages."),
    Wording(
        "overflow",
        r"exceeds? (?:the )?max(?:imum)? (?:input|message|prompt) (?:length|tokens)",
        "Total tokens of image and text exceed max message tokens",
    ),
    Wording("overflow", r"prompt tokens too long", "prompt tokens too long"),
)
"""The rows, in the order in which they are searched: the first that is found counts."""


def understand(text: str, wordings: Sequence[Wording] = WORDINGS) -> Understood | None:
    """Return what the first row means that is found in `text`; None where none is."""
    for wording in wordings:
        found = re.search(wording.pattern, text, re.IGNORECASE)
        if found is not None:
            digits = next((value for value in found.groupdict().values() if value), "")
            return Understood(wording.meaning, int(digits.replace(",", "")) if digits else None)
    return None
