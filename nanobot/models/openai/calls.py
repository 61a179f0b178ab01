"""Tool calls put together from the pieces in which servers stream them."""

from typing import Any

import msgspec


class FunctionPiece(msgspec.Struct, gc=False):
    """A part of a call's function. `arguments`: an object from servers that do not encode it as a string."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(msgspec.Struct, gc=False):
    """A part of a tool call, as one chunk holds it."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None


class PartialCall:
    """A tool call while its pieces come."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class CallAssembly:
    """The tool calls of one answer, by whichever of index, id and name the server tells them apart."""

    __slots__ = ("_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: CallPiece) -> None:
        function = piece.function or FunctionPiece()
        call = self._find(piece, function.name)
        call.id = call.id or piece.id or ""
        call.name = call.name or function.name or ""
        if isinstance(function.arguments, str):
            call.arguments.append(function.arguments)
        elif function.arguments is not None:
            call.arguments.append(msgspec.json.encode(function.arguments).decode())

    def calls(self) -> list[PartialCall]:
        """Return the calls in index order."""
        return sorted(self._calls, key=lambda call: call.index)

    def _find(self, piece: CallPiece, name: str | None) -> PartialCall:
        if piece.index is not None:
            known = self._by_index.get(piece.index)
            # Some servers number every call 0; a new id with a name is a new call all the same.
            is_another = known is not None and piece.id and known.id and piece.id != known.id and name
            return known if known is not None and not is_another else self._open(piece.index)
        if piece.id:
            known = next((call for call in self._calls if call.id == piece.id), None)
            return known or self._open(len(self._calls))
        if self._calls and not name:
            return self._calls[-1]
        return self._open(len(self._calls))

    def _open(self, index: int) -> PartialCall:
        call = PartialCall(index)
        self._calls.append(call)
        self._by_index[index] = call
        return call
