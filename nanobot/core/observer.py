"""Observers: told what happens, where it happens. Metrics and traces are observers.

The other packages know this protocol only; `nanobot.app` chooses the observers.
"""

from collections.abc import Sequence
from contextvars import ContextVar

from nanobot.core.errors import NanobotError
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.core.turn import Turn

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
TURN: ContextVar[str | None] = ContextVar("turn", default=None)
SESSION: ContextVar[str | None] = ContextVar("session", default=None)
"""What the current task works on: a request's id, a turn's id, a session key. Log lines show them."""

Head = Sequence[tuple[bytes, bytes]]
"""The headers of a request, names in lower case."""


class Observer:
    """Told what happens, on the event loop. Methods must return at once and raise nothing; here they do
    nothing.
    """

    def request_began(self, request_id: str, method: str, head: Head) -> None:
        """A request has arrived. Called in the task that answers it."""

    def request_ended(
        self, request_id: str, method: str, route: str | None, status: int, seconds: float
    ) -> None:
        """A request was answered. `route` is the path as the operation spells it, None where no operation has
        it; `status` is 0 where the client left first.
        """

    def turn_offered(self, turn: Turn) -> None:
        """A turn is about to be admitted. Called in the task of its request."""

    def turn_dropped(self, turn: Turn) -> None:
        """An offered turn was not admitted: it was refused, or is a retry of another turn."""

    def turn_withdrawn(self, turn_id: str) -> None:
        """An admitted turn was cancelled without its engine: while it waited, or with its session."""

    def turn_started(self, turn: Turn, attempt: int) -> None: ...

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        """A started turn is over. `end` is None where it was given back for the next start, or withdrawn."""

    def model_asked(self, turn: Turn, model: str) -> None: ...

    def model_spoke(self, turn: Turn, model: str) -> None:
        """The first part of an answer has arrived."""

    def model_answered(self, turn: Turn, model: str, message: Message) -> None: ...

    def model_failed(self, turn: Turn, model: str, error: NanobotError | None) -> None:
        """The model will not answer. `error` is None where the turn was cancelled meanwhile."""

    def model_passed_over(self, turn: Turn, model: str, code: str) -> None:
        """The model failed with the error of that code, and another one is asked in its place."""

    def tool_started(self, turn_id: str, call: ToolCall) -> None: ...

    def tool_ended(self, turn_id: str, call: ToolCall, result: ToolResult | None, *, is_known: bool) -> None:
        """A call is over; `result` is None where it was cancelled. `is_known`: the server has such a tool."""

    def committed(self, jobs: int, seconds: float) -> None:
        """The store has committed `jobs` at once."""

    def vectors_compared(self, outcome: str, seconds: float) -> None:
        """What is near a text in meaning was looked for. `outcome`: `found`, `late` (it took too long), or
        `failed`.
        """

    def vectors_made(self, count: int) -> None:
        """So many messages or facts have got vectors."""


NULL_OBSERVER = Observer()


class Observers(Observer):
    """Passes everything on to several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def request_began(self, request_id: str, method: str, head: Head) -> None:
        for each in self._observers:
            each.request_began(request_id, method, head)

    def request_ended(
        self, request_id: str, method: str, route: str | None, status: int, seconds: float
    ) -> None:
        for each in self._observers:
            each.request_ended(request_id, method, route, status, seconds)

    def turn_offered(self, turn: Turn) -> None:
        for each in self._observers:
            each.turn_offered(turn)

    def turn_dropped(self, turn: Turn) -> None:
        for each in self._observers:
            each.turn_dropped(turn)

    def turn_withdrawn(self, turn_id: str) -> None:
        for each in self._observers:
            each.turn_withdrawn(turn_id)

    def turn_started(self, turn: Turn, attempt: int) -> None:
        for each in self._observers:
            each.turn_started(turn, attempt)

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        for each in self._observers:
            each.turn_ended(turn, end)

    def model_asked(self, turn: Turn, model: str) -> None:
        for each in self._observers:
            each.model_asked(turn, model)

    def model_spoke(self, turn: Turn, model: str) -> None:
        for each in self._observers:
            each.model_spoke(turn, model)

    def model_answered(self, turn: Turn, model: str, message: Message) -> None:
        for each in self._observers:
            each.model_answered(turn, model, message)

    def model_failed(self, turn: Turn, model: str, error: NanobotError | None) -> None:
        for each in self._observers:
            each.model_failed(turn, model, error)

    def model_passed_over(self, turn: Turn, model: str, code: str) -> None:
        for each in self._observers:
            each.model_passed_over(turn, model, code)

    def tool_started(self, turn_id: str, call: ToolCall) -> None:
        for each in self._observers:
            each.tool_started(turn_id, call)

    def tool_ended(self, turn_id: str, call: ToolCall, result: ToolResult | None, *, is_known: bool) -> None:
        for each in self._observers:
            each.tool_ended(turn_id, call, result, is_known=is_known)

    def committed(self, jobs: int, seconds: float) -> None:
        for each in self._observers:
            each.committed(jobs, seconds)

    def vectors_compared(self, outcome: str, seconds: float) -> None:
        for each in self._observers:
            each.vectors_compared(outcome, seconds)

    def vectors_made(self, count: int) -> None:
        for each in self._observers:
            each.vectors_made(count)
