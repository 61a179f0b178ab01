"""Sessions watched in SQLite: what their lines show, and what the rows have of a turn that has ended."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial

from nanobot.core.errors import TurnNotFound
from nanobot.core.event import TurnAdmitted, TurnStarted
from nanobot.core.sessions import SessionEvent
from nanobot.stores.live.lines import LiveTurn, replay
from nanobot.stores.live.watching import Views, events_of
from nanobot.stores.sql import catalogue, turns
from nanobot.stores.sqlite.reader import Reader


class SqliteWatching:
    """The part of `core.store.Store` that is about watching: the lines of turns that have not ended, and who
    sees them grow.
    """

    _reader: Reader
    _is_hung_up: bool

    def __init__(self) -> None:
        self._views = Views()
        self._lines: dict[str, LiveTurn] = {}

    async def watch(
        self, session_key: str, after: tuple[str, int] | None = None
    ) -> AsyncGenerator[Sequence[SessionEvent], None]:
        # raises where there is none
        await self._reader.ask(partial(catalogue.session, key=session_key))
        rest: Sequence[SessionEvent] = ()
        if after is not None:
            rest = await self._rest(session_key, *after)
        if self._is_hung_up:
            return
        watcher = self._views.enter(session_key)
        try:
            before = [sight for line in self._lines_of(session_key) for sight in events_of(line, after)]
            yield (*rest, *before)
            async for seen in watcher.see():
                yield seen
        finally:
            watcher.leave()

    async def _rest(self, session_key: str, turn_id: str, cursor: int) -> Sequence[SessionEvent]:
        """Return what of a turn that has ended lies past the cursor; nothing where it is still to be seen on
        its line.
        """
        found = await self._reader.ask(partial(turns.look, turn_id=turn_id))
        if found.session_key != session_key:
            raise TurnNotFound(f"no turn {turn_id!r} here")
        if found.end is None:
            return ()
        return [SessionEvent(turn_id, at, event) for at, event in replay(found.messages, found.end, cursor)]

    def _lines_of(self, session_key: str) -> Iterable[LiveTurn]:
        return tuple(dict.fromkeys(line for line in self._lines.values() if line.session_key == session_key))

    def _tell(self, line: LiveTurn, event: TurnAdmitted | TurnStarted, turn_id: str | None = None) -> None:
        if line.session_key is not None and line.session_key in self._views:
            self._views.show(line.session_key, (SessionEvent(turn_id or line.ids[0], line.cursor, event),))

    def _show_newest(self, line: LiveTurn, count: int) -> None:
        if line.session_key is not None:
            self._views.show(
                line.session_key,
                [SessionEvent(line.ids[0], cursor, event) for cursor, event in line.newest(count)],
            )
