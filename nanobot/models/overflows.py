"""What providers say when a prompt is too long: the rows of `wordings` for it."""

from nanobot.models.wording import Wording

_N = r"\D{0,40}?(?P<limit>\d[\d,]*)(?![\dkKmM])"

_TOKENS = r"\D{0,40}?(?P<limit>\d[\d,]*)(?![\d,.]*(?: ?[kKmMgG]| (?:bytes|char)))"
_WHAT = r"(?:(?:total|prompt|input|context|sequence|conversation|message|request|token)s? ){1,4}"
_OVER = r"(?:exceed\w*|(?:greater|longer|larger|bigger|more|higher) than|over)"
_LIMIT = r"(?:max\w*|limit\w*|context|window|support\w*)"

OVERFLOWS: tuple[Wording, ...] = (
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
    Wording("overflow", r"input tokens exceeded", "Input Tokens Exceeded"),
    Wording("overflow", r"(?:输入|prompt|请求).{0,20}超(?:过|出).{0,20}长度", "输入超过模型最大长度限制"),
    Wording(
        "overflow",
        r"(?:token|上下文|字数).{0,10}(?:超(?:过|出|限|长)|太多|过长)",
        "token数量超过上限。对话历史+问题的字数太多，需要精简输入",
    ),
    Wording(
        "overflow",
        r"tokens in request more than max tokens allowed",
        "tokens in request more than max tokens allowed",
    ),
    Wording(
        "overflow",
        rf"tokens (?:\(\d+\) )?(?:in (?:the )?request )?(?:is |are )?more than (?:the )?max(?:imum)? tokens"
        rf" allowed{_N}",
        "The number of tokens (33010) in request is more than max tokens allowed: 32768",
        32768,
    ),
    Wording(
        "overflow",
        r"max[_ ]prompt[_ ]tokens[_ ]exceeded",
        "model_max_prompt_tokens_exceeded",
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
    Wording(
        "overflow",
        rf"input token count .{{0,60}}supports up to{_N}",
        "the input token count is 1100000 but model only supports up to 1048576",
        1048576,
    ),
    Wording("overflow", r"input token count", "The input token count exceeds what the model takes"),
    Wording(
        "overflow",
        r"total tokens? limit (?P<limit>\d+)",
        "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
        4096,
    ),
    Wording(
        "overflow",
        r"model's maximum of (?P<limit>\d+) tokens",
        "The input exceeds the model's maximum of 4096 tokens",
        4096,
    ),
    Wording(
        "overflow",
        r"token limit exceeded|exceeds? (?:the )?(?:model(?:'s)? )?token limit",
        "Conversation is too long, it exceeds the token limit",
    ),
    Wording(
        "overflow",
        r"tokens (?:\(\d+\) )?exceeds? (?:the )?(?:maximum|model limit|limit)",
        "Number of request tokens (12000) exceeds model limit",
    ),
    Wording("overflow", r"max input (?:characters|tokens|length)", "the max input characters is 20000"),
    Wording(
        "overflow",
        r"payload size exceeds",
        "Request payload size exceeds the limit: 20971520 bytes.",
    ),
    Wording(
        "overflow",
        r"string with maximum length \d{6}",
        "Invalid 'messages[3].content': string too long. Expected a string with maximum length 1048576",
    ),
    Wording("overflow", r"prompt.{0,5}超长", "Prompt 超长"),
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
        r"context length \((?P<limit>\d+) tokens\)",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        4096,
    ),
    Wording(
        "overflow",
        r"configured (?:context size is|limit of) (?P<limit>\d[\d,]*)",
        "Input tokens exceed the configured limit of 272000 tokens.",
        272000,
    ),
    Wording(
        "overflow",
        r"\b(?:prompt|too (?:big|large|long)|sequence)[^.>]{0,120}\b\d+ ?> ?(?P<limit>\d+)",
        "Token indices sequence length is longer than the maximum sequence length (5001 > 4096)",
        4096,
    ),
    Wording(
        "overflow",
        rf"\b{_WHAT}(?:length|size|count)s?\b[^.]{{0,40}}?\b{_OVER}[^.\d]{{0,60}}?{_LIMIT}(?:{_TOKENS})?",
        "Total message token length exceed model limit (4096 tokens).",
        4096,
    ),
    Wording(
        "overflow",
        r"\bmax(?:imum)? (?:(?:sequence|context|prompt|input|token)s? ?){1,2}(?:length|size|count)?"
        r" ?(?:of )?(?P<limit>\d+) (?:(?:was|is|has been) )?exceeded",
        "Maximum sequence length of 4096 exceeded (got 5001)",
        4096,
    ),
    Wording(
        "overflow",
        r"context[ _]?(?:length|window|size|limit)",
        "Your input exceeds the context window of this model.",
    ),
    Wording("overflow", r"maximum context", "over the maximum context of this model"),
    Wording(
        "overflow",
        r"(?:prompt|input|request|context)(?: length)?(?: is)? too (?:long|large|big)",
        "Prompt is too long",
    ),
    Wording("overflow", r"too many (?:input |prompt )?tokens", "too many tokens in the prompt"),
    Wording("overflow", r"reduce the length", "Please reduce the length of the messages."),
    Wording(
        "overflow",
        r"exceeds? (?:the )?max(?:imum)? (?:input|message|prompt) (?:length|tokens)",
        "Total tokens of image and text exceed max message tokens",
    ),
    Wording("overflow", r"prompt exceeds max(?:imum)? length", "Prompt exceeds max length"),
    Wording("overflow", r"prompt tokens too long", "prompt tokens too long"),
)
"""The rows, those that name the limit before those that do not."""
