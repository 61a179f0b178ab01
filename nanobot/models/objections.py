"""What a refusal objects to: a field of the request, or something in its messages.

A refusal is believed where its own words name the thing. What it merely quotes of the request (a validator
shows the whole body, a filter the user's message) names nothing.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, get_args

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.models.refusal_body import Refused

Objection = Literal["tools", "format", "format_with_tools", "images", "audio"]


class ObjectionWording(msgspec.Struct, frozen=True):
    """Words that object to something. `pattern` is searched without case; `example` as it was seen."""

    objection: Objection
    pattern: str
    example: str


_FORMAT = (
    r"(?:response[_ ]format|response mime type|json[_ ](?:schema|object|mode|output)|structured outputs?"
    r"|guided[_ ](?:decoding|json))"
)
# Not as the end of another field's name: `parallel_tool_calls`.
_TOOLS = r"(?:(?<![a-z_-])(?:tools?|functions?|tool[ _]use|(?:tool|function)[ _]call(?:ing|s)?))"
_IMAGES = r"(?:images?|vision|multi-?modal)"
_IS_NOT = (
    r"(?:(?:(?:is|are|has|have) )?(?:currently )?(?:not |un)(?:been )?"
    r"(?:available|supported|implemented|enabled|allowed|permitted)|(?:is|are) disabled)"
)
_UNABLE = r"(?:does not|doesn't|do not|cannot|can't) (?:currently )?(?:support|accept|process|read)"
_UNKNOWN = r"(?:unknown|unrecognized|unsupported|unexpected|invalid)"
_NO = r"(?:not\b|n['’]t\b|incompatible|unsupported|cannot)"
_AND = r"\S{0,3} (?:and|with|or) .{0,30}"
_BOTH = rf"(?:{_FORMAT}{_AND}\b{_TOOLS}\b|{_TOOLS}{_AND}{_FORMAT})"

OBJECTIONS: tuple[ObjectionWording, ...] = (
    ObjectionWording(
        "format_with_tools",
        rf"{_FORMAT}\b[^.]{{0,60}}{_NO}[^.]{{0,60}}\b{_TOOLS}",
        "json mode cannot be combined with tool/function calling",
    ),
    ObjectionWording(
        "format_with_tools",
        rf"{_TOOLS}\b[^.]{{0,60}}{_NO}[^.]{{0,60}}{_FORMAT}",
        "tools cannot be used at the same time as response_format",
    ),
    ObjectionWording(
        "format_with_tools",
        rf"{_NO}[^.]{{0,40}}{_BOTH}",
        "You cannot use both tools and json_schema",
    ),
    ObjectionWording(
        "format_with_tools",
        rf"{_BOTH}.{{0,40}}{_NO}",
        "Function calling with a response mime type: 'application/json' is unsupported",
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
    ObjectionWording(
        "tools",
        rf"{_TOOLS}['\"`]?(?: support)? {_IS_NOT}",
        "tool calling is not supported with this model",
    ),
    ObjectionWording(
        "tools",
        rf"{_UNABLE} parameters:? [^.]{{0,80}}['\"`]tools['\"`]",
        "ollama does not support parameters: ['tools'], for model=x",
    ),
    ObjectionWording(
        "tools",
        rf"(?:isn['’]t|not) compatible with {_TOOLS}\b|(?:no|doesn['’]t have) {_TOOLS} support",
        "This model isn't compatible with tools",
    ),
    ObjectionWording(
        "tools", rf"{_UNKNOWN}[^.]{{0,40}}['\"`: ]tools\b", "Unrecognized request argument supplied: tools"
    ),
    ObjectionWording(
        "format", rf"{_FORMAT}[^.]{{0,80}} {_IS_NOT}", "This response_format type is unavailable now"
    ),
    ObjectionWording("format", r"response_format type must be", "response_format type must be text"),
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
        "images",
        rf"(?:{_IMAGES}|image_url)['\"`]?[\w ]{{0,20}} {_IS_NOT}",
        "image input is not supported - hint: mmproj",
    ),
    ObjectionWording(
        "images", rf"{_UNABLE} (?:\w+ ){{0,3}}{_IMAGES}", "This model does not support image inputs"
    ),
    ObjectionWording("images", rf"not an? {_IMAGES} model", "qwen3 is not a multimodal model"),
    ObjectionWording("images", r"at most 0 image", "At most 0 image(s) may be provided in one request."),
    ObjectionWording("images", r"content must be a string", "messages[1].content must be a string"),
    ObjectionWording(
        "images",
        r"required for image input",
        "Failed to process inputs: this model is missing data required for image input",
    ),
    ObjectionWording(
        "images",
        rf"{_UNKNOWN} content (?:block )?type:? .?{_IMAGES}",
        "Unsupported content block type: image",
    ),
    ObjectionWording(
        "images",
        r"only (?:supports? )?text (?:input|content)|text-only",
        "This model only supports text input",
    ),
    ObjectionWording(
        "images",
        r"content\b.{0,60}should be (?:.?text\b|a valid string)|should be a valid string.{0,60}content\b",
        "messages.1.content.0.type: Input should be 'text'",
    ),
    ObjectionWording(
        "images",
        rf"{_UNKNOWN} (?:\w+ ){{0,3}}(?:type|value|content)[^.]{{0,20}}image_url",
        "Invalid value: 'image_url'. Supported values are: 'text'.",
    ),
    ObjectionWording(
        "images", r"content\.type .{0,20}\['text'\]", "messages.content.type 参数非法，取值范围 ['text']"
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

_UNSUPPORTED = LatePattern(
    r"unsupported|not supported|(?:does|do)(?: not|n't) (?:support|accept)|unrecogni[sz]ed|not recogni[sz]ed"
    r"|unknown|unexpected|not permitted|not allowed|extra (?:inputs|fields)|no longer|deprecated"
    r"|only the default|is allowed for this model|cannot (?:both )?be|(?:not |un)available|incompatible"
    r"|(?:may|can) only be|only (?:supports?|accepts?|takes?)\b|not enabled"
    r"|not implemented|invalid (?:parameter|argument|field|key)|additional propert|\buse ['\"`]?max_",
    re.IGNORECASE,
)
_PLAIN_WORDS = frozenset({"user", "stop", "seed", "reasoning", "provider", "models", "include"})
"""Fields whose names stand in many messages that do not speak of the field."""
_OTHER_NAMES: Mapping[str, str] = {
    "reasoning_effort": r"|thinking[ _]level|think value|support thinking",
    "presence_penalty": r"|\bpenalty",
    "frequency_penalty": r"|\bpenalty",
}
"""What refusals call a field besides, as part of a pattern."""
_ECHO_CHARS = 8
_BEGINNING_CHARS = 40
_PASSAGE_CHARS = 40
_NOISE = str.maketrans("", "", " \t\r\n\"'`\\")


class RefusalText:
    """A refusal beside the request that it refuses, whose field `talk` holds the conversation."""

    def __init__(self, refused: Refused, sent: bytes, talk: str = "messages") -> None:
        self._refused = refused
        self._sent = sent
        self._talk = talk
        self.message = refused.words.strip()
        self.words = refused.said

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
            self.says(LatePattern(wording.pattern, re.IGNORECASE))
            for wording in OBJECTIONS
            if wording.objection == wanted
        )

    @property
    def objects(self) -> bool:
        """Whether it objects to anything in words of its own."""
        return any(self.objection(objection) for objection in get_args(Objection))

    def says(self, pattern: LatePattern[str]) -> bool:
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
        if field in _PLAIN_WORDS:
            pattern = (
                rf"[`'\"]{name}[`'\"]|(?:argument|parameter|field|property|key|supplied):? {name}\b"
                r"|(?:model|permitted|allowed|parameters|arguments|fields): (?:[\w.]+, ?)*(?:[\w.]+ and )?"
                rf"{name}\b"
                rf"|\b{name}(?:: extra inputs| (?:parameter|argument|field))"
                rf"|\b{name} (?:is |are )?(?:not |un)supported"
            )
        else:
            pattern = rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_]){_OTHER_NAMES.get(field, '')}"
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

    def quotes(self, start: int, end: int) -> bool:
        """Return whether its words from `start` to `end` are in a passage that it quotes from the messages:
        one of many characters, or a short message, or a paragraph of one, that stands as a whole behind a
        quotation mark or a colon.

        Not where it begins with what a message holds: then somebody has told the model of an earlier refusal.
        """
        name = _bare(self.words[start:end])
        if name not in self._said or self.begins_with_a_quotation:
            return False
        before, after = _bare(self.words[:start]), _bare(self.words[end:])
        if sum(_shared(before, name, after, self._said)) + len(name) >= _PASSAGE_CHARS:
            return True
        # Of what a message says, other messages and the day are paragraphs apart.
        paragraphs = (part.strip() for text in self._texts for part in (text, *text.split("\n\n")))
        short = (part for part in paragraphs if part and len(part) < 2 * _PASSAGE_CHARS)
        quoted = (rf"[\"'`:“‘(\[{{>]\s*{re.escape(text)}" for text in short if name in _bare(text))
        return any(
            found.start() <= start and end <= found.end()
            for pattern in quoted
            for found in re.finditer(pattern, self.words, re.IGNORECASE)
        )

    @cached_property
    def _texts(self) -> list[str]:
        return [text for message in self.request[self._talk] for text in _strings(message)]

    @cached_property
    def _said(self) -> str:
        return "\0".join(map(_bare, self._texts))

    @cached_property
    def _bare_sent(self) -> str:
        return f"{_bare(self._sent.decode())}\0{self._said}"

    def _is_own(self, text: str) -> bool:
        return _bare(text) not in self._bare_sent

    def _names_itself(self, start: int, end: int) -> bool:
        """Return whether the words around a name are not the request's around the same name."""
        before, after = _bare(self.words[:start]), _bare(self.words[end:])
        name = _bare(self.words[start:end])
        if name not in self._bare_sent:
            return True
        return sum(_shared(before, name, after, self._bare_sent)) < _ECHO_CHARS


def _shared(before: str, name: str, after: str, sent: str) -> tuple[int, int]:
    """Return how many characters before and after `name` are the same where it stands in `sent`, up to
    `_PASSAGE_CHARS` each.
    """
    before, after = before[-_PASSAGE_CHARS:], after[:_PASSAGE_CHARS]
    shared = 0
    while shared < len(before) and before[len(before) - shared - 1 :] + name in sent:
        shared += 1
    name = before[len(before) - shared :] + name
    extended = 0
    while extended < len(after) and name + after[: extended + 1] in sent:
        extended += 1
    return shared, extended


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
