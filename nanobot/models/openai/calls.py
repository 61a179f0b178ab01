"""Tool calls put together from the pieces in which servers stream them."""

import json
from typing import Any

import msgspec

_CALL_CHARS = 64
_read_json = json.JSONDecoder().raw_decode


class FunctionPiece(msgspec.Struct, gc=False):
    """A part of a call's function. `arguments`: an object from servers that do not encode it as a string."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(msgspec.Struct, gc=False):
    """A part of a tool call, as one chunk holds it. `name` and `arguments` are those of its function, from
    servers that leave out that level.
    """

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None
    extra_content: msgspec.Raw = msgspec.Raw()
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class PartialCall:
    """A tool call while its pieces come."""

    __slots__ = ("arguments", "extra_content", "id", "index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra_content = msgspec.Raw()

    def is_whole(self) -> bool:
        """Return whether the arguments that have come are an object that ends."""
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        return _object("".join(self.arguments)) is not None

    def whole_arguments(self) -> str:
        """Return the arguments; where the pieces do not make an object, those of them that do: some servers
        begin with an empty object, some send all that there is by now, some encode the object twice, and some
        models close it twice or put it into a fence.
        """
        text = "".join(self.arguments)
        if not text or _object(text) is not None:
            return text
        for other in (text.removeprefix("{}"), self.arguments[-1]):
            if _object(other) is not None:
                return other
        try:
            inner = msgspec.json.decode(text, type=str)
        except (ValueError, RecursionError):
            return _unfenced(text) or text
        return text if _object(inner) is None else inner


class CallAssembly:
    """The tool calls of one answer, by whichever of index, id and name the server tells them apart."""

    __slots__ = ("_by_id", "_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}
        self._by_id: dict[str, PartialCall] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: CallPiece) -> int:
        """Add a piece; return its size in characters. A call that begins has some, whatever is in it."""
        function = piece.function or FunctionPiece(piece.name, piece.arguments)
        name, arguments = function.name or "", function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        known = len(self._calls)
        call = self._find(piece, name, arguments)
        begun = _CALL_CHARS * (len(self._calls) - known)
        if piece.extra_content:
            call.extra_content = piece.extra_content
        if call.id and call.id == piece.id and name and arguments and call.is_whole():
            # The whole call once more.
            return begun
        call.id = call.id or piece.id or ""
        if call.id:
            self._by_id.setdefault(call.id, call)
        # Few servers cut names, too; most repeat them.
        call.name = name if name.startswith(call.name) else call.name + (name if _cuts(call, piece) else "")
        if arguments:
            call.arguments.append(arguments)
        return begun + len(name) + len(arguments)

    def calls(self) -> list[PartialCall]:
        """Return the calls in index order."""
        return sorted(self._calls, key=lambda call: call.index)

    def _find(self, piece: CallPiece, name: str, arguments: str) -> PartialCall:
        if piece.index is not None:
            known = self._by_index.get(piece.index)
            if known is not None and not _begins_another(known, piece.id, name, arguments):
                return known
            return self._open(piece.index)
        if piece.id:
            known = self._by_id.get(piece.id)
            if known is not None:
                return known
        last = self._calls[-1] if self._calls else None
        if last is not None and (
            not (piece.id or name)
            or (
                name and arguments and last.arguments and not _begins_another(last, piece.id, name, arguments)
            )
        ):
            return last
        return self._open(len(self._calls))

    def _open(self, index: int) -> PartialCall:
        call = PartialCall(index)
        self._calls.append(call)
        self._by_index[index] = call
        return call


def _cuts(call: PartialCall, piece: CallPiece) -> bool:
    """Return whether a piece with another name goes on with the name of `call`."""
    return bool(call.id) and piece.id in (None, "", call.id) and not call.arguments


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):
        return None


def _begins_another(known: PartialCall, id_: str | None, name: str, arguments: str) -> bool:
    """Return whether a piece that has the index of `known` is of a call of its own.

    Some servers number every call 0, some repeat the name in each piece, some invent an id for each. What
    decides is whether the arguments of `known` have ended.
    """
    if not name or (id_ and id_ == known.id):
        return False
    if known.name and name != known.name:
        return not (known.id and not id_ and not known.arguments)
    if arguments:
        return known.is_whole()
    return bool(id_ and known.id and known.is_whole())


def _unfenced(text: str) -> str | None:
    """Return the object in `text`, where nothing but a fence is around it, or brackets that close nothing."""
    start = text.find("{")
    if start < 0 or text[:start].strip() not in ("", "```", "```json"):
        return None
    try:
        _, end = _read_json(text, start)
    except (ValueError, RecursionError):
        return None
    inner = text[start:end]
    return None if text[end:].strip("`}] \t\r\n") or _object(inner) is None else inner
