"""Messages: what was said, by whom, in which parts. No id and no time: the store's row has those."""

from typing import Literal

import msgspec


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Plain text."""

    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """An image, passed on to the model as it came: a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """What a reasoning model thought aloud. Never part of the answer; never sent back to a provider."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """A model's wish to run a tool. `arguments` is the JSON text exactly as the model wrote it; it may be malformed."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """The answer to exactly one `ToolCall`."""

    call_id: str
    content: str
    is_error: bool = False


Part = Text | Image | Thinking | ToolCall | ToolResult
Role = Literal["user", "assistant", "tool"]
StopReason = Literal["stop", "length", "tool_calls", "content_filter", "incomplete"]
"""Why the model stopped. `incomplete`: the turn was cancelled while it was speaking."""


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens as the provider counted them. Cached tokens are part of the prompt, reasoning tokens part of the completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a transcript. `stop_reason`, `usage` and `model` are set on messages that a model produced."""

    role: Role
    parts: tuple[Part, ...]
    stop_reason: StopReason | None = None
    usage: Usage | None = None
    model: str | None = None

    @property
    def text(self) -> str:
        """The visible text: all `Text` parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolResult))


def user(text: str) -> Message:
    """Return a user's message of one text."""
    return Message("user", (Text(text),))


def reply_text(messages: tuple[Message, ...]) -> str:
    """Return what a turn answered: the visible texts of its assistant messages, joined as `joint` says."""
    pieces: list[str] = []
    before: Message | None = None
    for message in messages:
        if message.role == "assistant" and message.text:
            pieces.append(joint(before) + message.text)
            before = message
    return "".join(pieces)


def joint(before: Message | None) -> str:
    """Return what stands between the text of `before` and the next one of the same turn: a blank line, nothing where it was cut."""
    if before is None or before.stop_reason == "length":
        return ""
    return "\n\n"


_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 800


def estimate_tokens(message: Message) -> int:
    """Return about how many tokens `message` costs a model: bytes ÷ 4 (seen to err by -14 to +37 %), 800 for an image."""
    size_bytes = 0
    images = 0
    for part in message.parts:
        if isinstance(part, Text):
            size_bytes += len(part.text.encode())
        elif isinstance(part, ToolCall):
            size_bytes += len(part.name) + len(part.arguments.encode())
        elif isinstance(part, ToolResult):
            size_bytes += len(part.content.encode())
        elif isinstance(part, Image):
            images += 1
    return _TOKENS_PER_MESSAGE + size_bytes // _BYTES_PER_TOKEN + images * _TOKENS_PER_IMAGE
