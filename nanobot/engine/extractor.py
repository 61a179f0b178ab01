"""Facts from turns that have ended, found in the background some time after a conversation has paused."""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from operator import itemgetter

import msgspec

from nanobot.agent.extraction import UselessAnswer, find_facts
from nanobot.agent.loop import Agent
from nanobot.core.accounts import DAY_S
from nanobot.core.clock import Clock
from nanobot.core.compaction import Payer
from nanobot.core.errors import ModelError, NanobotError
from nanobot.core.extraction import UnreadTurns
from nanobot.core.message import Usage
from nanobot.core.model import Model
from nanobot.core.store import Store
from nanobot.core.turn import Turn
from nanobot.engine.compactor import ModelSource

_log = logging.getLogger(__name__)
_AT_ONCE = 2
_MOST_WAITING = 10_000
_MOST_CHARACTERS = 24_000
_AFTER_FAILURE_S = 600.0
_TOKENS_A_CHARACTER = 0.5
"""At most, of what was said; the rest of the prompt is small."""
_FIXED_TOKENS = 2_000


class ExtractionSettings(msgspec.Struct, frozen=True):
    """`model`: the preset that looks for facts. `idle_s`: how long a conversation must have paused.
    `tokens_per_day`: how much may be spent on one session, each day of UTC.
    """

    model: str
    idle_s: float = 120.0
    tokens_per_day: int = 20_000


class Extractor:
    """Reads what users said for facts, once no turn of the session has ended for a while.

    What is still to be read is known from the disk, so that nothing is lost or read twice over a restart.
    `remembers`: whether facts may be written in a session.
    """

    def __init__(
        self,
        store: Store,
        agent: Agent,
        models: ModelSource,
        clock: Clock,
        settings: ExtractionSettings,
        *,
        fact_id: Callable[[], str],
        remembers: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._agent = agent
        self._models = models
        self._clock = clock
        self._settings = settings
        self._fact_id = fact_id
        self._remembers = remembers
        # In the order in which they are due, but for those that were put off.
        self._due: dict[str, float] = {}
        self._put_off: dict[str, float] = {}
        self._woken = asyncio.Event()
        self._running: set[str] = set()
        self._ended = asyncio.Event()

    def consider(self, turn: Turn) -> None:
        """Have the session read some time after the turn, which has ended, unless it goes on."""
        key = turn.session_key
        if not turn.trace or turn.delegation is not None:
            return
        if key in self._put_off or not self._remembers(key):
            return
        # To the end: the first one is always the one that is due first.
        self._due.pop(key, None)
        self._wait_for(self._due, key, self._clock.now() + self._settings.idle_s)

    def _wait_for(self, waiting: dict[str, float], key: str, at: float) -> None:
        if len(self._due) + len(self._put_off) >= _MOST_WAITING:
            # It is found again at the next start.
            return
        waiting[key] = at
        self._ended.set()
        # Otherwise what is waited for is due before it.
        if len(self._due) == 1 or waiting is self._put_off:
            self._woken.set()

    async def run(self) -> None:
        """Read until cancelled; begin with what the last server left."""
        try:
            for key in await self._store.sessions_with_unread(limit=_MOST_WAITING):
                if key not in self._due and self._remembers(key):
                    self._wait_for(self._due, key, self._clock.now() + self._settings.idle_s)
        except NanobotError as error:
            _log.error("what was said before this start is not read for facts: %s", error.message)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_out(group))

    async def _hand_out(self, group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        while True:
            await slots.acquire()
            key = await self._next()
            self._running.add(key)
            group.create_task(self._read_to_end(key, slots))

    async def _next(self) -> str:
        """Return a session that is due, once there is one; it waits no more."""
        while True:
            self._woken.clear()
            found = self._first()
            if found is None:
                await self._woken.wait()
                continue
            key, at = found
            wait_s = at - self._clock.now()
            if wait_s > 0:
                await self._woken_within(wait_s)
                continue
            self._due.pop(key, None)
            self._put_off.pop(key, None)
            if key not in self._running:
                return key
            self._put_off[key] = self._clock.now() + self._settings.idle_s

    def _first(self) -> tuple[str, float] | None:
        """Return the session that is due first, and when."""
        by_time = itemgetter(1)
        first = list(islice(self._due.items(), 1))
        return min([*first, *self._put_off.items()], key=by_time, default=None)

    async def _woken_within(self, seconds: float) -> None:
        """Return after that time, or when something else has come to wait."""
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleep, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            woken.cancel()

    async def _read_to_end(self, key: str, slots: asyncio.Semaphore) -> None:
        try:
            again_at = await self._read(key)
        except NanobotError as error:
            text = error.code if isinstance(error, ModelError) else error.message
            _log.warning(
                "a conversation was not read for facts, next try in %g s: %s", _AFTER_FAILURE_S, text
            )
            again_at = self._clock.now() + _AFTER_FAILURE_S
        except Exception:  # noqa: BLE001 - a bug in one pass stops no others
            _log.exception("a conversation was not read for facts")
            again_at = None
        finally:
            self._running.discard(key)
            slots.release()
        if again_at is not None:
            self._due.pop(key, None)
            self._wait_for(self._put_off, key, again_at)
        self._ended.set()

    async def settled(self) -> None:
        """Return when nothing is being read, and nothing is due."""
        while self._running or self._is_due():
            self._woken.set()
            self._ended.clear()
            await self._ended.wait()

    def _is_due(self) -> bool:
        first = self._first()
        return first is not None and first[1] <= self._clock.now()

    async def _read(self, key: str) -> float | None:
        """Read what was said in the session; return when to go on, None: nothing is left."""
        model = self._models.get(self._settings.model)
        while (of := await self._store.unread_turns(key, most_characters=_MOST_CHARACTERS)) is not None:
            payer = Payer(key, of.key_id, self._settings.model)
            if not of.turns:
                await self._store.add_extracted(of, (), Usage(), payer)
            elif of.spent_tokens + _expected_tokens(of) > self._settings.tokens_per_day and of.spent_tokens:
                return (self._clock.now() // DAY_S + 1) * DAY_S
            else:
                await self._look_for_facts(of, model, payer)
            if not of.has_more:
                return None
        return None

    async def _look_for_facts(self, of: UnreadTurns, model: Model, payer: Payer) -> None:
        hint = self._agent.session_hint(payer.session_key)
        try:
            found = await find_facts(of, model, session_hint=hint, fact_id=self._fact_id)
        except UselessAnswer as error:
            # It would not answer otherwise the next time, and that would cost as much again.
            _log.warning("turns were not read for facts: %s", error.message)
            await self._store.add_extracted(of, (), error.usage, payer)
            return
        if found.dropped:
            # Not what they say: that is the user's.
            _log.debug("facts were dropped: %s", "; ".join(found.dropped))
        await self._store.add_extracted(of, found.facts, found.usage, payer)


def _expected_tokens(of: UnreadTurns) -> int:
    """Return about what it takes to read the turns."""
    characters = sum(len(text) for turn in of.turns for text in turn.said)
    return _FIXED_TOKENS + int(min(characters, _MOST_CHARACTERS) * _TOKENS_A_CHARACTER)
