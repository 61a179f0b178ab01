"""The items of an answer put together from the events in which servers stream them.

What an item holds at its end, and what the response holds at its own, repeats what was streamed: it adds only
what is missing, so that an event that comes twice, or never, does no harm.
"""

from typing import Any, Literal

import msgspec

from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Citation, ProviderState
from nanobot.models.citations import moved, of_annotations
from nanobot.models.openai_responses.items import PHASE, REASONING
from nanobot.models.openai_responses.stream_event import StreamEvent

Kind = Literal["message", "reasoning", "function_call"]
SEPARATOR = "\n\n"
"""Stands between the parts of a summary."""
_KINDS: dict[str, Kind] = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
}
_encode = msgspec.json.Encoder().encode


class OutputItem:
    """An item while its pieces come. `start`: as it began; `whole`: as it was at its end, empty until then.

    `arguments`: of a call, where they came in one piece. `channel`: the event in which reasoning comes,
    `part`: the part of it that came last.
    """

    __slots__ = ("arguments", "channel", "kind", "part", "pieces", "start", "whole")

    def __init__(self, kind: Kind, start: dict[str, Any]) -> None:
        self.kind = kind
        self.start = start
        self.whole: dict[str, Any] = {}
        self.pieces: list[str] = []
        self.arguments = ""
        self.channel = ""
        self.part: int | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def call(self) -> tuple[str, str, str]:
        """The id, the name and the arguments of a call."""
        start, said = self.start, self.start | self.whole
        arguments = _string(self.whole.get("arguments")) or self.arguments or self.text
        return (
            _string(said.get("call_id")) or _string(said.get("id")),
            _string(said.get("name")),
            arguments or _string(start.get("arguments")),
        )

    def citations(self, before: int) -> tuple[Citation, ...]:
        """Return the sources of what the item says, which so many characters of text come before."""
        found: list[Citation] = []
        parts = self.whole.get("content")
        for part in parts if isinstance(parts, list) else ():
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                annotated = of_annotations(part.get("annotations"), text)
                found += [moved(each, before) for each in annotated]
                before += len(text)
        return tuple(found)

    def state(self, provider: str) -> ProviderState | None:
        """Return what the provider wants back with a message or with reasoning.

        Reasoning goes back as it came, without the fields that hold nothing. Where it can be read by nobody,
        as nothing of it is encrypted and none of it is shown but a summary, it does not go back.
        """
        item = self.whole
        if self.kind == "message":
            phase = item.get("phase") or self.start.get("phase")
            return ProviderState(provider, PHASE, msgspec.Raw(_encode(phase))) if phase else None
        if not item.get("encrypted_content") and not item.get("content"):
            return None
        kept = {name: value for name, value in item.items() if name != "status" and value is not None}
        kept.setdefault("summary", [])
        if not kept.get("content"):
            kept.pop("content", None)
        return ProviderState(provider, REASONING, msgspec.Raw(_encode(kept)))


class OutputAssembly:
    """The items of one answer, in the order in which they began."""

    __slots__ = ("_by_id", "_by_index", "_shown", "items")

    def __init__(self) -> None:
        self.items: list[OutputItem] = []
        self._by_index: dict[int, OutputItem] = {}
        self._by_id: dict[str, OutputItem] = {}
        # The last item of which something was shown.
        self._shown: OutputItem | None = None

    def find(self, kind: Kind, event: StreamEvent) -> OutputItem:
        """Return the item that an event adds to: a new one where it belongs to none."""
        known = self._known(event.output_index, event.item_id)
        # Parts stand in the order in which they are shown: behind what was shown, text is a part of its own.
        if known is None or known.kind != kind or (kind != "function_call" and not self._is_last(known)):
            return self._open(kind, event.output_index, {"id": event.item_id})
        return known

    def begin(self, index: int | None, content: object) -> None:
        """Note that an item begins. Its content follows."""
        self._of(index, content)

    def settle(self, index: int | None, content: object, deltas: list[Delta]) -> None:
        """Note an item as it is at its end."""
        item = self._of(index, content)
        if item is not None and isinstance(content, dict):
            self._complete(item, content, deltas)

    def finish(self, output: list[Any], deltas: list[Delta]) -> None:
        """Note all items as they are at the end of the answer."""
        place = 0
        for content in output:
            kind = _kind(content)
            if kind is None:
                continue
            item = self._by_id.get(_string(content.get("id")))
            if item is None and place < len(self.items) and self.items[place].kind == kind:
                item = self.items[place]
            if item is None:
                # It was not streamed.
                item = OutputItem(kind, content)
                self.items.insert(place, item)
            self._complete(item, content, deltas)
            place += 1

    def extend(self, item: OutputItem, text: str, deltas: list[Delta]) -> None:
        """Add text to a message, or to reasoning."""
        item.pieces.append(text)
        self._shown = item
        deltas.append(TextDelta(text) if item.kind == "message" else ThinkingDelta(text))

    def _of(self, index: int | None, content: object) -> OutputItem | None:
        """Return the item that `content` describes: a new one where none is known; None for kinds that are
        not read here.
        """
        kind = _kind(content)
        if kind is None or not isinstance(content, dict):
            return None
        known = self._known(index, content.get("id"))
        # Some servers give all items one index; some give an item another id in each event.
        if (
            known is None
            or known.kind != kind
            or (known.whole and known.whole.get("id") != content.get("id"))
        ):
            return self._open(kind, index, content)
        known.start = known.start | content
        return known

    def _known(self, index: int | None, id_: object) -> OutputItem | None:
        known = self._by_id.get(_string(id_)) if id_ is not None else None
        if known is not None:
            return known
        if index is not None:
            return self._by_index.get(index)
        return self.items[-1] if self.items and id_ is None else None

    def _open(self, kind: Kind, index: int | None, start: dict[str, Any]) -> OutputItem:
        item = OutputItem(kind, start)
        self.items.append(item)
        if index is not None:
            self._by_index[index] = item
        if id_ := _string(start.get("id")):
            self._by_id[id_] = item
        return item

    def _complete(self, item: OutputItem, content: dict[str, Any], deltas: list[Delta]) -> None:
        """Note the end of an item, and add what of its text has not come yet, while nothing behind it was
        shown.
        """
        # The first end counts: the one in the response lacks fields at some servers.
        item.whole = item.whole or content
        if item.kind == "function_call":
            return
        shown, whole = item.text, _text(item.kind, content)
        if len(whole) > len(shown) and whole.startswith(shown) and self._is_last(item):
            self.extend(item, whole[len(shown) :], deltas)

    def _is_last(self, item: OutputItem) -> bool:
        """Return whether nothing behind the item was shown."""
        shown = self._shown
        return shown is None or shown is item or self.items.index(item) > self.items.index(shown)


def _kind(content: object) -> Kind | None:
    type_ = content.get("type") if isinstance(content, dict) else None
    return _KINDS.get(type_) if isinstance(type_, str) else None


def _text(kind: Kind, content: dict[str, Any]) -> str:
    """Return all text of an item: what a message says, or the summary of reasoning, else the reasoning."""
    if kind == "message":
        return "".join(_texts(content.get("content")))
    return SEPARATOR.join(_texts(content.get("summary")) or _texts(content.get("content")))


def _texts(parts: object) -> list[str]:
    if isinstance(parts, str):
        return [parts]
    found = [
        part.get("text") or part.get("refusal")
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    ]
    return [text for text in found if isinstance(text, str)]


def _string(value: object) -> str:
    """Return an id, a name or arguments as text: some servers send numbers and objects."""
    if isinstance(value, str):
        return value
    return "" if value is None else _encode(value).decode()
