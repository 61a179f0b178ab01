"""A transcript as the Messages API takes it.

Its rules: the first message and the last are the user's; roles alternate; each call of an assistant's message
is answered at the beginning of the next one; ids of calls are unique; no message is without visible content;
thinking comes first in its message, never last, and only with the signature that came with it.
Source: https://platform.claude.com/docs/en/api/messages
"""

import hashlib
from itertools import count
from typing import Literal

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Audio, File, Image, Message, Text, Thinking, ToolCall, ToolResult
from nanobot.models.transcript import NO_RESULT, arguments_object, data_url, results_after

# The shapes of the format; a field that is not set is left out ------------------------------------


class CacheMark(msgspec.Struct, frozen=True):
    """Asks the provider to keep everything up to the marked block in its prompt cache."""

    type: str = "ephemeral"


MARK = CacheMark()


class TextBlock(msgspec.Struct, gc=False, omit_defaults=True, tag_field="type", tag="text"):
    text: str
    cache_control: CacheMark | None = None


class Base64Source(msgspec.Struct, gc=False, tag_field="type", tag="base64"):
    media_type: str
    data: str


class UrlSource(msgspec.Struct, gc=False, tag_field="type", tag="url"):
    url: str


class ImageBlock(msgspec.Struct, omit_defaults=True, tag_field="type", tag="image"):
    source: Base64Source | UrlSource
    cache_control: CacheMark | None = None


class ThinkingBlock(msgspec.Struct, gc=False, tag_field="type", tag="thinking"):
    thinking: str
    signature: msgspec.Raw


class RedactedBlock(msgspec.Struct, gc=False, tag_field="type", tag="redacted_thinking"):
    data: msgspec.Raw


class CallBlock(msgspec.Struct, gc=False, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class ResultBlock(msgspec.Struct, gc=False, omit_defaults=True, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str = ""
    is_error: bool = False
    cache_control: CacheMark | None = None


UserBlock = TextBlock | ImageBlock | ResultBlock
AssistantBlock = TextBlock | ThinkingBlock | RedactedBlock | CallBlock
Block = UserBlock | AssistantBlock


class WireMessage(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: list[Block]


# --------------------------------------------------------------------------------------------------

Replay = Literal["all", "turn", "none"]
"""Which of the model's earlier thinking is sent back: all of it, that of the current turn, or none."""

SIGNATURE, REDACTED = "signature", "redacted_thinking"
"""The names under which a part's `provider_state` holds what belongs to its thinking."""

_NO_OUTPUT = "(no output)"
_EMPTY = "(empty message)"
_EARLIER = "(The beginning of this conversation is not shown.)"
_GO_ON = "Continue."
_NO_AUDIO = "(A recording came with this message; you cannot listen to it.)"
_NO_IMAGE = "(An image of a type that you cannot see came with this message.)"
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ID = LatePattern(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAME = LatePattern(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 128


def wire_messages(
    messages: tuple[Message, ...], *, notes: str = "", provider: str = "anthropic", replay: Replay = "all"
) -> list[WireMessage]:
    """Return any transcript as a list that keeps the rules of the API; the same values give the same list.

    `notes` stand in a block of their own after the last message of a user. Two blocks are marked for the
    prompt cache: the last one that the next turn's request will still begin with, and the end of the tool
    results that followed it. Thinking goes back to the `provider` that it came from.
    """
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    replay_from = {"all": 0, "turn": last_user + 1, "none": len(messages)}[replay]
    wire: list[WireMessage] = []
    taken: set[str] = set()
    noted: Block | None = None
    for position, message in enumerate(messages):
        if message.role == "assistant":
            results = results_after(messages, position)
            thinks_for = provider if position >= replay_from else None
            _add_step(wire, message, results, taken, thinks_for)
        elif message.role == "user":
            blocks = _user_blocks(message)
            _add(wire, "user", blocks)
            if position == last_user:
                _mark(blocks[-1])
                if notes.strip():
                    noted = TextBlock(notes)
                    _add(wire, "user", [noted])
    if wire and wire[0].role == "assistant":
        wire.insert(0, WireMessage("user", [TextBlock(_EARLIER)]))
    if not wire or wire[-1].role == "assistant":
        noted = TextBlock(_GO_ON if noted or not notes.strip() else notes)
        _add(wire, "user", [noted])
    if wire[-1].content[-1] is not noted:
        _mark(wire[-1].content[-1])
    return wire


def tool_names(wire: list[WireMessage]) -> list[str]:
    """Return the names of the tools that the conversation calls, each once, in order."""
    return list(
        dict.fromkeys(
            block.name for message in wire for block in message.content if isinstance(block, CallBlock)
        )
    )


def may_think(wire: list[WireMessage]) -> bool:
    """Whether thinking with a budget may be asked for: the API wants the step whose results it is shown to
    begin with its thinking.
    """
    if not isinstance(wire[-1].content[0], ResultBlock):
        return True
    return isinstance(wire[-2].content[0], ThinkingBlock | RedactedBlock)


def _mark(block: Block) -> None:
    if isinstance(block, TextBlock | ImageBlock | ResultBlock):
        block.cache_control = MARK


def _add(wire: list[WireMessage], role: Literal["user", "assistant"], blocks: list[Block]) -> None:
    """Add blocks to the last message where it has the same role, else as a message of their own."""
    if not wire or wire[-1].role != role:
        wire.append(WireMessage(role, blocks))
        return
    content = wire[-1].content
    if role == "assistant" and not isinstance(content[0], ThinkingBlock | RedactedBlock):
        blocks = [block for block in blocks if not isinstance(block, ThinkingBlock | RedactedBlock)]
    # A list of its own: the caller's may be held elsewhere.
    wire[-1].content = [*content, *blocks]


def _add_step(
    wire: list[WireMessage],
    message: Message,
    results: dict[str, ToolResult],
    taken: set[str],
    provider: str | None,
) -> None:
    """Add a message of the model and the results of its calls."""
    said: list[Block] = []
    calls: list[Block] = []
    answers: list[Block] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            id_ = _wire_id(part.id, taken)
            # What follows the first call goes before it: the results must come right after the calls.
            calls.append(CallBlock(id_, _name(part.name), arguments_object(part.arguments)))
            answers.append(_answer(id_, results.get(part.id)))
        elif isinstance(part, Text):
            if part.text:
                said.append(TextBlock(part.text))
        elif isinstance(part, Thinking) and (thought := _thought(part, provider)) is not None:
            said.append(thought)
    if said and not isinstance(said[0], ThinkingBlock | RedactedBlock):
        said = [block for block in said if isinstance(block, TextBlock)]
    while not calls and said and not isinstance(said[-1], TextBlock):
        said.pop()
    if calls or any(isinstance(block, TextBlock) and block.text.strip() for block in said):
        _add(wire, "assistant", [*said, *calls])
    if answers:
        _add(wire, "user", answers)


def _answer(id_: str, result: ToolResult | None) -> ResultBlock:
    if result is None:
        return ResultBlock(id_, NO_RESULT, is_error=True)
    return ResultBlock(id_, result.content if result.content.strip() else _NO_OUTPUT, result.is_error)


def _thought(part: Thinking, provider: str | None) -> ThinkingBlock | RedactedBlock | None:
    state = part.provider_state
    if state is None or state.provider != provider:
        return None
    if state.name == SIGNATURE:
        return ThinkingBlock(part.text, state.value)
    return RedactedBlock(state.value) if state.name == REDACTED else None


def _user_blocks(message: Message) -> list[Block]:
    blocks: list[Block] = []
    for part in message.parts:
        if isinstance(part, Text):
            if part.text.strip():
                blocks.append(TextBlock(part.text))
        elif isinstance(part, Image):
            blocks.append(_image(part.url))
        elif isinstance(part, File):
            blocks.append(TextBlock(part.shown))
        elif isinstance(part, Audio):
            blocks.append(TextBlock(_NO_AUDIO))
    return blocks or [TextBlock(_EMPTY)]


def _image(url: str) -> ImageBlock | TextBlock:
    if url.startswith(("https://", "http://")):
        return ImageBlock(UrlSource(url))
    media_type, content = data_url(url)
    if media_type not in _IMAGE_TYPES:
        return TextBlock(_NO_IMAGE)
    return ImageBlock(Base64Source(media_type, content))


def _wire_id(id_: str, taken: set[str]) -> str:
    """Return an id that the API accepts and no earlier call has: its own one where that is so."""
    if not _ID.fullmatch(id_):
        id_ = f"call_{hashlib.blake2b(id_.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"
    own = next(own for number in count() if (own := f"{id_}-{number}" if number else id_) not in taken)
    taken.add(own)
    return own


def _name(name: str) -> str:
    return _NOT_IN_NAME.sub("_", name)[:_MAX_NAME_CHARS] or "tool"
