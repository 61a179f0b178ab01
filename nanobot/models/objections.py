"""What a refusal objects to: a field of the request, or something in its messages.

A refusal is believed where its own words name the thing. What it merely quotes of the request (a validator
shows the whole body, a filter the user's message) names nothing.
"""

import re
from functools import cached_property
from typing import Any, Literal

import msgspec

from nanobot.models.refusals import Refused

Objection = Literal["tools", "format", "format_with_tools", "images", "audio"]


class ObjectionWording(msgspec.Struct, frozen=True):
    """Words that object to something. `pattern` is searched without case; `example` as it was seen."""

    objection: Objection
    pattern: str
    example: str


_FORMAT = r"(?:response[_ ]format|response mime type|json_(?:schema|object)|json mode|structured outputs?)"
_TOOLS = r"(?:tools?|functions?|tool[ _]use|(?:tool|function)[ _]call(?:ing|s)?)"
_IMAGES = r"(?:images?|vision|multi-?modal)"
_IS_NOT = (
    r"(?:is|are) (?:currently )?(?:not |un)(?:available|supported|implemented|enabled|allowed|permitted)"
)
_UNABLE = r"(?:does not|doesn't|do not|cannot|can't) (?:currently )?(?:support|accept|process|read)"
_UNKNOWN = r"(?:unknown|unrecognized|unsupported|unexpected|invalid)"
_TOGETHER = r"(?:combined|together|along|used|at the same time)"

OBJECTIONS: tuple[ObjectionWording, ...] = (
    ObjectionWording(
        "format_with_tools",
        rf"{_FORMAT}.{{0,60}}{_TOGETHER}.{{0,30}}{_TOOLS}",
        "json mode cannot be combined with tool/function calling",
    ),
    ObjectionWording(
        "format_with_tools",
        r"function calling with a response mime type",
        "Function calling with a response mime type: 'application/json' is unsupported",
    ),
    ObjectionWording(
        "format_with_tools",
        rf"{_TOOLS} .{{0,60}}{_TOGETHER}.{{0,30}}{_FORMAT}",
        "tools cannot be used at the same time as response_format",
    ),
    ObjectionWording(
        "tools",
        rf"{_UNABLE} (?:the )?(?:use of )?(?:parameter )?['\"`]?{_TOOLS}\b",
        "registry.ollama.ai/library/gemma3:4b does not support tools",
    ),
    ObjectionWording(
        "tools",
        r"requires --enable-auto-tool-choice|--tool-call-parser",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    ),
    ObjectionWording("tools", r"tools? param requires --jinja", "tools param requires --jinja flag"),
    ObjectionWording(
        "tools",
        r"no endpoints found that support tool use",
        'No endpoints found that support tool use. Try disabling "current_time".',
    ),
    ObjectionWording("tools", rf"{_TOOLS} {_IS_NOT}", "tool calling is not supported with this model"),
    ObjectionWording(
        "tools", rf"{_UNKNOWN}[^.]{{0,40}}['\"`: ]tools\b", "Unrecognized request argument supplied: tools"
    ),
    ObjectionWording(
        "format", rf"{_FORMAT}[^.]{{0,80}} {_IS_NOT}", "This response_format type is unavailable now"
    ),
    ObjectionWording(
        "format",
        rf"{_UNKNOWN}[^.]{{0,40}}response_format",
        "Unrecognized request argument supplied: response_format",
    ),
    ObjectionWording("format", rf"{_UNABLE}[^.]{{0,60}}{_FORMAT}", "This model does not support JSON mode."),
    ObjectionWording(
        "format", r"response_format\.type", "'response_format.type' must be 'json_schema' or 'text'"
    ),
    ObjectionWording(
        "format",
        r"must contain the word .?json",
        "'messages' must contain the word 'json' in some form, to use this type.",
    ),
    ObjectionWording(
        "images", r"unknown variant .?image_url", "messages[0]: unknown variant `image_url`, expected `text`"
    ),
    ObjectionWording(
        "images",
        r"image_url is only supported",
        "Invalid content type. image_url is only supported by certain models.",
    ),
    ObjectionWording(
        "images", r"no endpoints found that support image", "No endpoints found that support image input"
    ),
    ObjectionWording(
        "images", rf"{_IMAGES}[\w ]{{0,20}} {_IS_NOT}", "image input is not supported - hint: mmproj"
    ),
    ObjectionWording(
        "images", rf"{_UNABLE} (?:\w+ ){{0,3}}{_IMAGES}", "This model does not support image inputs"
    ),
    ObjectionWording("images", rf"not an? {_IMAGES} model", "qwen3 is not a multimodal model"),
    ObjectionWording("images", r"at most 0 image", "At most 0 image(s) may be provided in one request."),
    ObjectionWording("images", r"content must be a string", "messages[1].content must be a string"),
    ObjectionWording(
        "images",
        rf"{_UNKNOWN} (?:\w+ ){{0,3}}(?:type|value|content)[^.]{{0,20}}image_url",
        "Invalid value: 'image_url'. Supported values are: 'text'.",
    ),
    ObjectionWording(
        "audio", r"unknown variant .?input_audio", "unknown variant `input_audio`, expected `text`"
    ),
    ObjectionWording("audio", rf"{_UNABLE} (?:\w+ ){{0,3}}audio", "This model does not support audio inputs"),
    ObjectionWording("audio", rf"audio[\w ]{{0,20}} {_IS_NOT}", "audio input is not supported"),
    ObjectionWording(
        "audio",
        r"no endpoints found that support (?:input )?audio",
        "No endpoints found that support input audio",
    ),
    ObjectionWording("audio", rf"{_UNKNOWN}[^.]{{0,40}}input_audio", "Invalid value: 'input_audio'."),
)

_UNSUPPORTED = re.compile(
    r"unsupported|not supported|(?:does|do)(?: not|n't) (?:support|accept)|unrecogni[sz]ed|not recogni[sz]ed"
    r"|unknown|unexpected|not permitted|not allowed|extra (?:inputs|fields)|no longer|deprecated"
    r"|only the default|is allowed for this model|cannot (?:both )?be|(?:not |un)available|incompatible"
    r"|not implemented|invalid (?:parameter|argument|field|key)|additional propert|\buse ['\"`]?max_",
    re.IGNORECASE,
)
_PLAIN_WORDS = frozenset({"user", "stop", "seed", "reasoning", "provider", "models", "include"})
"""Fields whose names stand in many messages that do not speak of the field."""
_ECHO_CHARS = 8
_BEGINNING_CHARS = 40
_NOISE = str.maketrans("", "", " \t\r\n\"'`\\")


class RefusalText:
    """A refusal beside the request that it refuses, whose field `talk` holds the conversation."""

    def __init__(self, refused: Refused, sent: bytes, talk: str = "messages") -> None:
        self._refused = refused
        self._sent = sent
        self._talk = talk
        self.message = refused.words.strip()
        self.words = f"{refused.code} {refused.words}"

    @cached_property
    def request(self) -> dict[str, Any]:
        """The body of the request."""
        body: dict[str, Any] = msgspec.json.decode(self._sent)
        return body

    @property
    def says_unsupported(self) -> bool:
        """Whether it says that something is not taken at all, and not that a value is out of its range."""
        return _UNSUPPORTED.search(self.words) is not None

    def objection(self, wanted: Objection) -> bool:
        """Return whether it objects to `wanted` in words of its own."""
        return any(
            self.says(re.compile(wording.pattern, re.IGNORECASE))
            for wording in OBJECTIONS
            if wording.objection == wanted
        )

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Return whether `pattern` is found in words of its own."""
        return any(self._is_own(found.group()) for found in pattern.finditer(self.words))

    def names_exactly(self, field: str) -> bool:
        """Return whether it names the field where refusals name fields, beside their words."""
        return any(
            name == field or name.startswith((f"{field}.", f"{field}[")) or name.endswith(f".{field}")
            for name in self._refused.fields
        )

    def names(self, field: str) -> bool:
        """Return whether it names the field, in words of its own or beside them."""
        if self.names_exactly(field):
            return True
        name = "".join("[_ -]?" if character == "_" else re.escape(character) for character in field)
        quoted = rf"(?:[`'\"]{name}[`'\"]|(?:argument|parameter|field|property|key|supplied):? {name}\b)"
        pattern = quoted if field in _PLAIN_WORDS else rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])"
        return any(
            self._names_itself(*found.span()) for found in re.finditer(pattern, self.words, re.IGNORECASE)
        )

    def is_said_by_others(self, field: str) -> bool:
        """Return whether the messages of the request hold the name: then the words may be theirs."""
        return field.lower() in self._said

    def is_quoted(self, text: str) -> bool:
        """Return whether the messages of the request hold `text`."""
        return _bare(text) in self._said

    @property
    def begins_with_a_quotation(self) -> bool:
        """Whether its beginning is found in the messages of the request."""
        return self.is_quoted(self.message[:_BEGINNING_CHARS])

    @cached_property
    def _said(self) -> str:
        return "\0".join(_bare(text) for message in self.request[self._talk] for text in _strings(message))

    @cached_property
    def _bare_sent(self) -> str:
        return f"{_bare(self._sent.decode())}\0{self._said}"

    def _is_own(self, text: str) -> bool:
        return _bare(text) not in self._bare_sent

    def _names_itself(self, start: int, end: int) -> bool:
        """Return whether the words around a name are not the request's around the same name."""
        before, after = _bare(self.words[:start])[-32:], _bare(self.words[end:])[:32]
        name = _bare(self.words[start:end])
        shared = 0
        while shared < len(before) and f"{before[len(before) - shared - 1 :]}{name}" in self._bare_sent:
            shared += 1
        name = before[len(before) - shared :] + name
        extended = 0
        while extended < len(after) and f"{name}{after[: extended + 1]}" in self._bare_sent:
            extended += 1
        return name not in self._bare_sent or shared + extended < _ECHO_CHARS


def _bare(text: str) -> str:
    """Return the text without white space, quotes and case: there a quotation may differ from what it
    quotes.
    """
    return text.translate(_NOISE).lower()


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() if key not in ("role", "type") for text in _strings(item)]
    return []
