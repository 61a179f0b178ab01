"""What providers say when they refuse a request, and what it means: one row for each wording that is known.

Statuses and codes are not enough: a bad key comes as 400, an empty account as 429, a prompt that is too long
as 400, 413 or 500, and each server has its own words. A row is added with the words as they were seen.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from nanobot.models.overflows import OVERFLOWS
from nanobot.models.wording import Meaning, Wording


class Understood(msgspec.Struct, frozen=True):
    """The meaning of a refusal, and the limit that it names."""

    meaning: Meaning
    limit: int | None = None


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
    Wording("unpaid", r"balance is insufficient", "Sorry, your account balance is insufficient"),
    Wording(
        "unpaid",
        r"billing_not_active|account is not active",
        "Your account is not active, please check your billing details on our website.",
    ),
    Wording("unpaid", r"billing[ _](?:hard[ _])?limit", "Billing hard limit has been reached"),
    Wording(
        "unpaid",
        r"account .{0,80}suspended",
        "Account x is suspended, possibly due to reaching the monthly spending limit",
    ),
    Wording("unpaid", r"credit limit exceeded", "Credit limit exceeded, please navigate to billing"),
    Wording("unpaid", r"payment[ _]required", "Payment Required"),
    Wording("unpaid", r"(?:run|ran|is) out of (?:credits?|balance|funds)", "You have run out of credits"),
    Wording("unpaid", r"欠费", "您的账户已欠费"),
    Wording(
        "unpaid",
        r"account is (?:not )?in good standing",
        "Access denied, please make sure your account is in good standing.",
    ),
    Wording(
        "unpaid",
        r"free allocated quota|AllocationQuota\.FreeTierOnly",
        "Free allocated quota exceeded.",
    ),
    Wording("quota", r"insufficient_quota", "insufficient_quota"),
    Wording("quota", r"usage[ _](?:limit|quota)[ _](?:reached|exceeded)", "Usage limit reached for 5 hour."),
    Wording("quota", r"exceeded the .{1,20} usage quota", "You have exceeded the 5-hour usage quota."),
    Wording(
        "quota",
        r"SetLimitExceeded|reached the set inference limit",
        "Your account 1 has reached the set inference limit for the [m] model",
    ),
    Wording("unpaid", r"specified API usage limits", "You have reached your specified API usage limits."),
    Wording("quota", r"exceeded_current_quota_error", "exceeded_current_quota_error"),
    Wording(
        "unpaid",
        r"(?:account|balance).{0,20} in arrears|in overdue",
        "Access denied, your account is in arrears",
    ),
    Wording("unpaid", r"\bArrearage\b", "Arrearage"),
    Wording("unpaid", r"余额不足", "余额不足或无可用资源包,请充值。"),
    Wording("unpaid", r"额度(?:不足|已用尽)", "用户额度不足"),
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
    Wording("unpaid", r"budget has been exceeded|over budget", "Budget has been exceeded! Max budget: 5.0"),
    # What was asked is against the rules: some providers say so as they refuse a key ---------------
    Wording(
        "flagged",
        r"(?:input|prompt|request|content) (?:was|has been|is) flagged",
        "x/y requires moderation on OpenInference. Your input was flagged",
    ),
    Wording(
        "flagged",
        r"violat(?:es|ing) (?:\w+ ){0,3}(?:usage (?:guidelines|polic)|content polic|terms of use)",
        "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
    ),
    Wording("flagged", r"result of our safety system", "Rejected as a result of our safety system."),
    Wording("flagged", r"considered high[ -]risk", "The request was rejected as it was considered high risk"),
    Wording("flagged", r"content exists risk", "Content Exists Risk"),
    Wording(
        "flagged",
        r"data_?inspection_?failed|inappropriate content",
        "Input data may contain inappropriate content.",
    ),
    Wording("flagged", r"(?:input|output) new_sensitive", "input new_sensitive"),
    Wording("flagged", r"content management policy", "triggering Azure OpenAI's content management policy."),
    Wording("flagged", r"不安全或敏感内容", "系统检测到输入或生成内容可能包含不安全或敏感内容"),
    # A key that is not accepted ------------------------------------------------------------------
    Wording("bad_key", r"API_KEY_INVALID", "API_KEY_INVALID"),
    Wording(
        "bad_key",
        r"(?:incorrect|invalid|wrong|missing|expired) api[ _-]?(?:key|token)",
        "Incorrect API key provided: xa***key. You can obtain an API key from the console.",
    ),
    Wording(
        "bad_key",
        r"api[ _-]?key (?:is |was |has |been |reported as ){0,3}(?:not valid|invalid|incorrect|expired"
        r"|missing|not found|malformed|revoked|disabled|deleted|blocked|suspended|leaked)",
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
    Wording(
        "bad_key",
        r"(?:\bno|(?:didn['’]t|did not) provide an) api[ _-]?key\b",
        "You didn't provide an API key. You need to provide your API key in an Authorization header.",
    ),
    Wording(
        "bad_key",
        r"security token included in the request|ExpiredToken",
        "The security token included in the request is invalid.",
    ),
    Wording("bad_key", r"unauthorized(?:[.:]| access|\Z)", "Unauthorized"),
    Wording(
        "bad_key",
        r"organization (?:has been|is) (?:disabled|restricted|suspended)|organization_restricted",
        "This organization has been disabled.",
    ),
    Wording(
        "bad_key",
        r"only authorized for use with",
        "This credential is only authorized for use with Claude Code.",
    ),
    Wording(
        "bad_key",
        r"location is not supported",
        "User location is not supported for the API use.",
    ),
    Wording(
        "bad_key",
        r"not available in your (?:country|region|location)",
        "Gemini API free tier is not available in your country. Please enable billing on your project.",
    ),
    Wording("bad_key", r"身份验证失败", "身份验证失败。"),
    Wording(
        "bad_key",
        r"authentication (?:parameter|header)s? (?:is |was )?(?:not received|missing|required)",
        "Authentication parameter not received in Header, unable to authenticate",
    ),
    Wording(
        "bad_key",
        r"api[ _-]?key (?:\w+ ){0,3}must be (?:set|provided)",
        "The api_key client option must be set either by passing api_key to the client or by setting",
    ),
    Wording(
        "bad_key",
        r"invalid subscription key",
        "Access denied due to invalid subscription key or wrong API endpoint.",
    ),
    Wording(
        "bad_key",
        r"api[ _-]?key (?:has no|does not have|doesn['’]t have) (?:access|permission)",
        "Your API key does not have permission to use the specified resource.",
    ),
    # A model that the provider does not have (any more) -----------------------------------------
    Wording(
        "no_model",
        r"\b(?:model[_ ]?not[_ ]?(?:found|supported|exist)|unknown_model|model_decommissioned"
        r"|DeploymentNotFound)\b",
        "Model Not Exist",
    ),
    Wording(
        "no_model",
        r"model:? (?:id |name )?\S{0,120} ?(?:does not exist|doesn['’]t exist"
        r"|(?:was |is |could )?not (?:be )?found)",
        "The model `x` does not exist or you do not have access to it.",
    ),
    Wording("no_model", r"is not a valid model", "x/y is not a valid model ID"),
    Wording(
        "no_model",
        r"(?:invalid|unknown) model(?:\Z|[:,.]| ['\"`]| name\b| id\b| code\b| identifier\b)",
        "Invalid model: x",
    ),
    Wording("no_model", r"model identifier is invalid", "The provided model identifier is invalid."),
    Wording(
        "no_model",
        r"model .{0,120}(?:has been (?:decommissioned|deprecated|retired|removed|discontinued|shut down)"
        r"|reached (?:its )?end[ -]of[ -]life)",
        "The model `x` has been decommissioned and is no longer supported.",
    ),
    Wording(
        "no_model",
        r"model \S{1,120} is not (?:available|accessible)",
        "The model x is not available in this plan",
    ),
    Wording(
        "no_model",
        r"not supported by any provider",
        "The requested model 'x' is not supported by any provider you have enabled.",
    ),
    Wording("no_model", r"no endpoints found for \S+", "No endpoints found for x/y."),
    Wording(
        "no_model", r"unable to access model", "Unable to access model x. Please visit our documentation"
    ),
    Wording(
        "no_model",
        r"on-demand throughput isn['’]t supported",
        "Invocation of model ID x with on-demand throughput isn’t supported.",
    ),
    Wording(
        "no_model",
        r"plan (?:does )?not support model",
        "your current token plan not support model, MiniMax-M2.7-highspeed (2061)",
    ),
    Wording("no_model", r"模型不存在", "模型不存在，请检查模型代码。"),
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
    # A rate in other words: after the words for what no pause mends -------------------------------
    Wording(
        "rate_limit",
        r"rate[ _]limit (?:is )?(?:reached|exceeded)|too many requests|ThrottlingException",
        "Too many requests, please wait before trying again.",
    ),
    # An answer that may not be so long; some name the window beside it ----------------------------
    Wording(
        "answer_limit",
        r"max_(?:completion_|output_)?tokens`? must be (?:less|at most|between|in)",
        "max_tokens must be less than or equal to `8192`, which is less than the `context_window`",
    ),
    # A prompt that is too long ----------------------------------------------------------------------
    *OVERFLOWS,
)
"""The rows, in the order in which they are searched: the first that is found counts."""


def understand(
    text: str,
    wordings: Sequence[Wording] = WORDINGS,
    is_quoted: Callable[[int, int], bool] = lambda start, end: False,
) -> Understood | None:
    """Return what the first row means that is found in `text`; None where none is.

    What stands in `text` from `start` to `end` does not count where it `is_quoted` from somebody else,
    unless it means an overflow.
    """
    for wording in wordings:
        for found in re.finditer(wording.pattern, text, re.IGNORECASE):
            # An overflow that is missed ends a session; one too many only shortens what is shown.
            if wording.meaning != "overflow" and is_quoted(*found.span()):
                continue
            digits = next((value for value in found.groupdict().values() if value), "")
            return Understood(wording.meaning, int(digits.replace(",", "")) if digits else None)
    return None
