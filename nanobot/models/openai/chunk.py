"""One chunk of a chat completion: its shape, and how it is decoded.

Strictly first, as nearly all servers keep to the shape; a chunk that does not is decoded once more,
leniently, before it counts as broken.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from typing import Any

import msgspec

from nanobot.core.message import Usage
from nanobot.models.lenient import Halves, loads, repaired
from nanobot.models.openai.calls import CallPiece, FunctionPiece

_MAX_COUNT = 10**9
"""No request has so many tokens: a larger count is a mistake of the server's."""

_MOST_TRIES = 4
_CONTENT = b'"content":'

Count = int | float | None


class ChunkDelta(msgspec.Struct, gc=False):
    # Any: most servers send strings, some a list of parts or an object.
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    extra_content: msgspec.Raw = msgspec.Raw()
    tool_calls: list[CallPiece] | None = None
    function_call: FunctionPiece | None = None
    annotations: msgspec.Raw = msgspec.Raw()


class PromptCounts(msgspec.Struct, gc=False):
    cached_tokens: Count = None


class CompletionCounts(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None


class ChunkUsage(msgspec.Struct, gc=False):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    prompt_tokens_details: PromptCounts | None = None
    completion_tokens_details: CompletionCounts | None = None
    total_tokens: Count = None
    # The names of OpenAI's Responses, which some servers of this format have.
    input_tokens: Count = None
    output_tokens: Count = None

    @property
    def is_blank(self) -> bool:
        """Whether it counts nothing."""
        return not (self.prompt_tokens or self.completion_tokens or self.input_tokens or self.output_tokens)


class ChunkChoice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: ChunkDelta | None = None
    message: ChunkDelta | None = None
    finish_reason: str | None = None
    usage: ChunkUsage | None = None
    error: Any = None


class BaseResponse(msgspec.Struct, gc=False):
    """MiniMax's own status of an answer; 0 is success."""

    status_code: Any = None


class GroqChunk(msgspec.Struct, gc=False):
    """What Groq adds to a chunk."""

    usage: ChunkUsage | None = None


class Chunk(msgspec.Struct, gc=False):
    choices: list[ChunkChoice] | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    object: str | None = None
    base_resp: BaseResponse | None = None
    x_groq: GroqChunk | None = None
    # Perplexity and xAI name their sources beside the choices, in every chunk or in the last ones.
    citations: msgspec.Raw = msgspec.Raw()
    search_results: msgspec.Raw = msgspec.Raw()


decode = msgspec.json.Decoder(Chunk).decode
_string = msgspec.json.Decoder(str).decode


def tokens(count: object) -> int:
    """Return a count of tokens; 0 for what cannot be one."""
    if type(count) is int and 0 <= count <= _MAX_COUNT:
        return count
    if isinstance(count, int | float) and not isinstance(count, bool) and 0 <= count <= _MAX_COUNT:
        return int(count)
    return 0


def usage_of(usage: ChunkUsage | None) -> Usage | None:
    """Return the tokens that a server has counted."""
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = prompt.cached_tokens if prompt is not None else None
    asked = tokens(usage.input_tokens if usage.prompt_tokens is None else usage.prompt_tokens)
    said = tokens(usage.output_tokens if usage.completion_tokens is None else usage.completion_tokens)
    thought = tokens(completion.reasoning_tokens if completion is not None else None)
    # xAI counts thinking beside the answer's tokens, which only the total shows.
    if thought > said and tokens(usage.total_tokens) == asked + said + thought:
        said += thought
    return Usage(asked, said, tokens(usage.prompt_cache_hit_tokens if cached is None else cached), thought)


class TextChunks:
    """Finds the text of chunks that differ from an earlier one in nothing else, as most of an answer's do: to
    decode the whole chunk takes several times as long.
    """

    __slots__ = ("_after", "_before", "_text", "_tries")

    def __init__(self) -> None:
        self._before = self._after = b""
        # Where the text stands between the two.
        self._text = slice(0)
        self._tries = 0

    def of(self, payloads: list[bytes], start: int) -> list[str]:
        """Return the texts of the chunks from `start` on, up to the first that has to be decoded."""
        texts: list[str] = []
        before, after = self._before, self._after
        if not before:
            return texts
        text = self._text
        for at in range(start, len(payloads)):
            payload = payloads[at]
            if not (payload.startswith(before) and payload.endswith(after)):
                break
            try:
                texts.append(_string(payload[text]))
            except ValueError:
                break
        if texts:
            self._tries = 0
        return texts

    def learn(self, payload: bytes, text: str) -> None:
        """Note a chunk that says nothing but `text`."""
        # Some servers change something else in every chunk.
        if self._tries == _MOST_TRIES:
            return
        self._tries += 1
        before, name, rest = payload.partition(_CONTENT)
        blank = b" " if rest[:1] == b" " else b""
        string = b'%b"%b"' % (blank, text.encode())
        if rest.startswith(string) and rest.find(_CONTENT) < 0:
            self._before, self._after = before + name + blank, rest[len(string) :]
            self._text = slice(len(self._before), -len(self._after))


# Leniently ----------------------------------------------------------------------------------------


class LenientDecoder:
    """Decodes chunks that the strict decoder refuses; one for each answer.

    Numbers are taken for strings and strings for numbers, elements of another type are left out, bytes that
    are no UTF-8 are replaced. A character that was cut in two between chunks is put together again.
    """

    def __init__(self) -> None:
        self._halves = Halves()

    def decode(self, payload: bytes) -> Chunk:
        """Return the chunk; an empty one for a heartbeat.

        Raises:
            ValueError, RecursionError: the payload is no chunk.
        """
        content = loads(payload)
        if content is None or content in ("", [], {}):
            return Chunk()
        if not isinstance(content, dict):
            raise ValueError("it is no object")
        choices = content.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise ValueError("its choices are no list")
        return Chunk(
            [self._choice(choice) for choice in choices or () if isinstance(choice, dict)],
            _usage(content.get("usage")),
            content.get("error"),
            _text(content.get("object")),
            BaseResponse(base.get("status_code"))
            if isinstance(base := content.get("base_resp"), dict)
            else None,
            GroqChunk(_usage(groq.get("usage"))) if isinstance(groq := content.get("x_groq"), dict) else None,
            _raw(content.get("citations")),
            _raw(content.get("search_results")),
        )

    def _choice(self, choice: dict[str, Any]) -> ChunkChoice:
        return ChunkChoice(
            _number(choice.get("index")),
            self._delta(choice.get("delta")),
            self._delta(choice.get("message")),
            _text(choice.get("finish_reason")),
            _usage(choice.get("usage")),
            choice.get("error"),
        )

    def _delta(self, delta: object) -> ChunkDelta | None:
        if not isinstance(delta, dict):
            return None
        calls = delta.get("tool_calls")
        return ChunkDelta(
            self._whole("content", delta.get("content")),
            self._whole("refusal", delta.get("refusal")),
            self._whole("reasoning_content", delta.get("reasoning_content")),
            self._whole("reasoning", delta.get("reasoning")),
            repaired(delta.get("reasoning_details")),
            _raw(delta.get("extra_content")),
            [self._call(call) for call in calls if isinstance(call, dict)]
            if isinstance(calls, list)
            else [self._call(calls)]
            if isinstance(calls, dict) and calls
            else None,
            self._function(delta.get("function_call"), "function_call"),
            _raw(delta.get("annotations")),
        )

    def _call(self, call: dict[str, Any]) -> CallPiece:
        index = _number(call.get("index"))
        # Some leave out this level.
        function = call.get("function") or call
        return CallPiece(
            index,
            _text(call.get("id")),
            self._function(function, f"call {index}"),
            _raw(call.get("extra_content")),
        )

    def _function(self, function: object, place: str) -> FunctionPiece | None:
        if not isinstance(function, dict):
            return None
        arguments = function.get("arguments")
        if not isinstance(arguments, str | dict):
            arguments = None
        return FunctionPiece(
            _text(function.get("name")),
            arguments if isinstance(arguments, dict) else self._whole(place, arguments),
        )

    def _whole(self, place: str, value: Any) -> Any:
        """Return a piece of text without half characters: the first half of one is kept for the next piece
        of the same `place`.
        """
        if not isinstance(value, str):
            return repaired(value) if value else value
        return repaired(self._halves.whole(place, value))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(repaired(value))) if value else msgspec.Raw()


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(repaired(value))


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _usage(usage: object) -> ChunkUsage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return ChunkUsage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(usage.get("prompt_cache_hit_tokens")),
        PromptCounts(_count(prompt.get("cached_tokens"))) if isinstance(prompt, dict) else None,
        CompletionCounts(_count(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
        _count(usage.get("total_tokens")),
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
    )


def _count(value: object) -> Count:
    if isinstance(value, str):
        return _number(value)
    return value if isinstance(value, int | float) else None
