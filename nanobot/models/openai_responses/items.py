"""A transcript as input items of the Responses API.

Its rules: each call has one output, behind it, and each output a call; ids of calls are unique; no item is
without content; reasoning stands before the message or the call that came of it, and only once.
Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

import hashlib
import re
from collections.abc import Sequence
from itertools import count

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    ProviderState,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from nanobot.models.images import NO_IMAGE_NOTE, sent_detail
from nanobot.models.transcript import results_after

# The shapes of the format; a field that is not set is left out ------------------------------------


class ShownText(msgspec.Struct, gc=False, tag_field="type", tag="input_text"):
    text: str


class ShownImage(msgspec.Struct, gc=False, tag_field="type", tag="input_image"):
    image_url: str
    detail: str


class SpokenText(msgspec.Struct, gc=False, tag_field="type", tag="output_text"):
    text: str


class SaidItem(msgspec.Struct, tag_field="type", tag="message"):
    """What a user or the model said. `phase`: as the provider named it."""

    role: str
    content: Sequence[ShownText | ShownImage | SpokenText]
    phase: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class CalledItem(msgspec.Struct, gc=False, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str


class ResultItem(msgspec.Struct, gc=False, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str


# Raw: reasoning, as the provider wrote it.
InputItem = SaidItem | CalledItem | ResultItem | msgspec.Raw

# --------------------------------------------------------------------------------------------------

REASONING, PHASE = "reasoning_item", "phase"
"""The names under which a part's `provider_state` holds the item of its reasoning, and the phase of the turn
that its text belongs to.
"""
NOTHING: frozenset[int] = frozenset()

_NO_RESULT = "No result was provided for this call."
_NO_OUTPUT = "(no output)"
_EMPTY = "(empty message)"
_GO_ON = "Continue."
_NO_AUDIO = "(A recording came with this message; you cannot listen to it.)"
_IMAGE = LatePattern(r"https?://|data:image/(?:jpeg|jpg|png|gif|webp)(?:;[^;,]+)*;base64,", re.IGNORECASE)
_ID = LatePattern(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAME = LatePattern(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64


class Taken(msgspec.Struct, frozen=True):
    """What the model that is asked takes.

    `provider` gets its own state back. `refused`: the fingerprints of reasoning that it does not take.
    `no_state`: the names of state that it does not take at all. `images`: whether it takes them, `original`:
    in the size that they have.
    """

    provider: str = "openai"
    refused: frozenset[int] = NOTHING
    no_state: frozenset[str] = frozenset()
    images: bool = True
    original: bool = False

    def own(self, state: ProviderState | None, name: str) -> msgspec.Raw | None:
        """Return the value of a state of that name where it goes back to the provider."""
        if state is None or state.provider != self.provider or state.name != name or name in self.no_state:
            return None
        if self.refused and fingerprint(state.value) in self.refused:
            return None
        return state.value


def fingerprint(value: msgspec.Raw) -> int:
    """Return a number that stands for reasoning in this process."""
    return hash(bytes(value))


def fingerprints(messages: tuple[Message, ...], provider: str) -> list[int]:
    """Return those of all reasoning that came from `provider`."""
    states = [
        part.provider_state for message in messages for part in message.parts if isinstance(part, Thinking)
    ]
    return [
        fingerprint(state.value)
        for state in states
        if state is not None and state.provider == provider and state.name == REASONING
    ]


def input_items(
    messages: tuple[Message, ...],
    *,
    notes: str = "",
    taken: Taken = Taken(),  # noqa: B008 - frozen
) -> list[InputItem]:
    """Return any transcript as a list that keeps the rules of the API; the same values give the same list.

    `notes` stand in a part of their own at the end of the last message of a user.
    """
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    items: list[InputItem] = []
    steps = _Steps(taken)
    for position, message in enumerate(messages):
        if message.role == "assistant":
            items += steps.step(message, results_after(messages, position))
        elif message.role == "user":
            content = _content(message, taken)
            if position == last_user and notes.strip():
                content.append(ShownText(notes))
            items.append(SaidItem("user", content))
    last = items[-1] if items else None
    if last is None or (isinstance(last, SaidItem) and last.role == "assistant"):
        items.append(SaidItem("user", [ShownText(notes if last_user < 0 and notes.strip() else _GO_ON)]))
    return items


class _Steps:
    """Writes the steps of the model; ids of calls and reasoning are told apart over all of them."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._ids: set[str] = set()
        self._reasoning: set[bytes] = set()

    def step(self, message: Message, results: dict[str, ToolResult]) -> list[InputItem]:
        """Return a message of the model and the results of its calls as items."""
        items: list[InputItem] = []
        answers: list[InputItem] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                id_ = self._id(part.id)
                items.append(CalledItem(id_, _name(part.name), _arguments(part.arguments)))
                answers.append(ResultItem(id_, _output(results.get(part.id))))
            elif isinstance(part, Text):
                if part.text.strip():
                    phase = self._taken.own(part.provider_state, PHASE)
                    said = [SpokenText(part.text)]
                    items.append(SaidItem("assistant", said, msgspec.UNSET if phase is None else phase))
            elif isinstance(part, Thinking) and (thought := self._thought(part)) is not None:
                items.append(thought)
        # Reasoning that nothing came of is refused.
        while items and isinstance(items[-1], msgspec.Raw):
            items.pop()
        return items + answers

    def _thought(self, part: Thinking) -> msgspec.Raw | None:
        own = self._taken.own(part.provider_state, REASONING)
        if own is None or (value := bytes(own)) in self._reasoning:
            return None
        self._reasoning.add(value)
        return own

    def _id(self, id_: str) -> str:
        """Return an id that the API accepts and no earlier call has: its own one where that is so."""
        if not _ID.fullmatch(id_):
            id_ = f"call_{hashlib.blake2b(id_.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"
        # The number needs room within the limit.
        own = next(
            own for number in count() if (own := f"{id_[:56]}-{number}" if number else id_) not in self._ids
        )
        self._ids.add(own)
        return own


def _content(message: Message, taken: Taken) -> list[ShownText | ShownImage]:
    content: list[ShownText | ShownImage] = []
    for part in message.parts:
        if isinstance(part, Text):
            if part.text.strip():
                content.append(ShownText(part.text))
        elif isinstance(part, Image):
            is_shown = taken.images and _IMAGE.match(part.url) is not None
            detail = sent_detail(part.detail, is_openai=taken.original) or "auto"
            content.append(ShownImage(part.url, detail) if is_shown else ShownText(NO_IMAGE_NOTE))
        elif isinstance(part, File):
            content.append(ShownText(part.shown))
        elif isinstance(part, Audio):
            content.append(ShownText(_NO_AUDIO))
    return content or [ShownText(_EMPTY)]


def _output(result: ToolResult | None) -> str:
    if result is None:
        return _NO_RESULT
    return result.content if result.content.strip() else _NO_OUTPUT


def _name(name: str) -> str:
    return _NOT_IN_NAME.sub("_", name)[:_MAX_NAME_CHARS] or "tool"


def _arguments(arguments: str) -> str:
    """Return the arguments as a JSON object; what is none is wrapped in one."""
    if not arguments.strip():
        return "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        readable = arguments.encode("utf-8", "replace").decode()
        return msgspec.json.encode({"malformed": readable}).decode()
    return arguments
