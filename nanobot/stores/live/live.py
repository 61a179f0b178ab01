"""The turns that have not ended, for those who follow them or watch their sessions."""

from collections.abc import AsyncGenerator, Sequence

from nanobot.core.errors import ShuttingDown
from nanobot.core.event import Event, Passing, TurnAdmitted, TurnEnded, TurnError, TurnStarted
from nanobot.core.sessions import SessionEvent, Watched
from nanobot.stores.live.turn import LiveTurn
from nanobot.stores.live.views import Views

STOPPING = TurnEnded(
    "failed",
    error=TurnError(
        ShuttingDown.code,
        "the server is stopping; the turn goes on when it starts again",
        ShuttingDown.http_status,
        retryable=True,
    ),
)
"""What followers get in place of an end when the server stops; it is not stored."""


class Live:
    """The events of turns that have not ended, by turn.

    A store opens a turn here once it is admitted, adds each event once it is committed (deltas at once), and
    ends it with its `TurnEnded`. Calls for a turn that is not open do nothing: it has ended meanwhile, or the
    server is stopping.
    """

    def __init__(self) -> None:
        self._turns: dict[str, LiveTurn] = {}
        self._views = Views()
        # Each event asks for it.
        self._watched = self._views.watched
        self._is_ended = False

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called."""
        return self._is_ended

    def __len__(self) -> int:
        """Return how many turns are open, those that joined others included."""
        return len(self._turns)

    def get(self, turn_id: str) -> LiveTurn | None:
        """Return the events of the turn, or of the one that it joined; None where it is not open."""
        return self._turns.get(turn_id)

    # Turns ----------------------------------------------------------------------------------------

    def open(self, turn: LiveTurn) -> None:
        """Begin to keep the events of a turn."""
        if not self._is_ended:
            self._turns[turn.ids[0]] = turn
            turn.listeners += self._views.watchers(turn.session_key)

    def share(self, target_id: str, turn_id: str) -> None:
        """Let `turn_id` be followed through the events of the turn that it joined."""
        turn = self._turns.get(target_id)
        if turn is not None:
            turn.ids.append(turn_id)
            self._turns[turn_id] = turn

    def part(self, target_id: str, turn_id: str) -> None:
        """Open a turn of its own for one that had joined another, which ends without it."""
        turn = self._turns.get(target_id)
        if turn is not None:
            turn.ids.remove(turn_id)
            self.open(LiveTurn(turn_id, session_key=turn.session_key))

    def put(self, turn_id: str, events: Sequence[Event]) -> None:
        """Add events to a turn; the last one ends it where it is a `TurnEnded`."""
        turn = self._turns.get(turn_id)
        if turn is None:
            return
        turn.put(events)
        if turn.session_key in self._watched:
            self._show_newest(turn, len(events))
        if turn.end is not None:
            for shown in turn.ids:
                self._turns.pop(shown, None)

    def put_delta(self, turn_id: str, event: Passing) -> None:
        """Add one passing event, mostly a delta, to a turn."""
        turn = self._turns.get(turn_id)
        if turn is not None:
            turn.put((event,))
            if turn.session_key in self._watched:
                self._show_newest(turn, 1)

    def take_back(self, turn_id: str) -> bool:
        """Drop what passed since the turn's last durable event, unless a follower or a watcher has read some;
        return whether they are gone.
        """
        turn = self._turns.get(turn_id)
        return turn is None or turn.take_back()

    def tell(self, turn_id: str, event: TurnAdmitted | TurnStarted, by: str | None = None) -> None:
        """Tell those who watch the session of a turn what became of it, under the id `by` (None: its own)."""
        turn = self._turns.get(turn_id)
        if turn is None:
            return
        if isinstance(event, TurnStarted):
            turn.attempt = event.attempt
        if turn.session_key is not None and turn.session_key in self._watched:
            self._views.show(turn.session_key, (SessionEvent(by or turn.ids[0], turn.cursor, event),))

    def _show_newest(self, turn: LiveTurn, count: int) -> None:
        if turn.session_key is not None:
            self._views.show(
                turn.session_key,
                [SessionEvent(turn.ids[0], cursor, event) for cursor, event in turn.newest(count)],
            )

    def end(self) -> None:
        """End every turn with `STOPPING`; none is opened or watched any more, because the server stops."""
        self._is_ended = True
        self._views.end_all()
        for turn in set(self._turns.values()):
            turn.put((STOPPING,))
        self._turns.clear()

    # Watching -------------------------------------------------------------------------------------

    async def watch(
        self, session_key: str, before: Sequence[SessionEvent], after: tuple[str, int] | None
    ) -> AsyncGenerator[Sequence[SessionEvent], None]:
        """Yield `before` and what the session's open turns have said so far, then what happens in it, until
        the session ends or the server stops.

        Of the turn that `after` names, only what lies past its cursor is said again.
        """
        if self._is_ended:
            return
        watcher = self._views.enter(session_key)
        for turn in self._of(session_key):
            turn.join()
        try:
            so_far = [event for turn in self._of(session_key) for event in _events_so_far(turn, after)]
            yield (*before, *so_far)
            async for events in watcher.see():
                yield events
        finally:
            if watcher.leave():
                for turn in self._of(session_key):
                    turn.leave()

    def end_session(self, session_key: str) -> None:
        """The session was deleted: its watchers see the rest, then the end."""
        self._views.end(session_key)

    def _of(self, session_key: str) -> tuple[LiveTurn, ...]:
        return tuple(dict.fromkeys(turn for turn in self._turns.values() if turn.session_key == session_key))


def _events_so_far(turn: LiveTurn, after: tuple[str, int] | None) -> Sequence[SessionEvent]:
    """Return what happened in a turn so far; of the turn that `after` names, what lies past its cursor."""
    turn_id = turn.ids[0]
    if after is not None and after[0] in turn.ids:
        return [SessionEvent(turn_id, cursor, event) for cursor, event in turn.so_far(after[1])]
    begun: list[Watched] = [TurnAdmitted(turn.input)]
    if turn.attempt:
        begun.append(TurnStarted(turn.attempt))
    return [
        *(SessionEvent(turn_id, 0, event) for event in begun),
        *(SessionEvent(turn_id, cursor, event) for cursor, event in turn.so_far()),
    ]
