"""`core.turn.Turns`: turns are admitted, followed and cancelled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Container
from functools import partial
from weakref import WeakValueDictionary

from nanobot.core.accounts import TurnSettled, UnendedTurn
from nanobot.core.dispatch import Cancel
from nanobot.core.errors import NanobotError, SessionBusy, ShuttingDown, StoreError, TurnCancelled
from nanobot.core.event import TurnAdmitted, TurnEnded, TurnError, end_alone
from nanobot.core.message import Message
from nanobot.core.turn import Admission, Answer, Identity, Turn, TurnState
from nanobot.stores.live.live import STOPPING
from nanobot.stores.live.turn import Batch, LiveTurn, replay
from nanobot.stores.sql import admission, matching, planning, queue, resends, taking_in, turns
from nanobot.stores.sql.admission import Admitted, SessionMoved
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.planning import Foreseen
from nanobot.stores.sql.ports.shared import Shared
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import SentList
from nanobot.stores.sql.taking_in import Coming
from nanobot.workers.slots import FairSlots

_MOST_TRIES = 3
_LONG_LISTS_AT_ONCE = 2
_LONGEST_PAUSE_S = 5.0


class SqlTurns:
    """Turns in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._live = shared.live
        self._commands = shared.commands
        self._news = shared.news
        self._clock = shared.clock
        self._limits = shared.limits
        self._observer = shared.observer
        self._shared = shared
        self._recent = RecentPlaces()
        # Those of the thread that compares long lists.
        self._recent_long = RecentPlaces()
        self._long_slots = FairSlots(_LONG_LISTS_AT_ONCE, most_each=1)
        self._long_lists: WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = WeakValueDictionary()

    async def admit(
        self,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...] = (),
        refusal: NanobotError | None = None,
        *,
        left: Container[str] = (),
    ) -> Admission:
        if self._live.is_ended:
            raise ShuttingDown("the server is stopping: try again in a moment", retry_after_s=1)

        self._observer.turn_offered(turn)
        is_new = False
        try:
            admitted = await self._in_turn(turn, identity, SentList(earlier), refusal, left)
            is_new = admitted.admission.turn_id == turn.id and admitted.joins is None
        finally:
            if not is_new:
                self._observer.turn_dropped(turn)
        return admitted.admission

    async def _in_turn(
        self,
        turn: Turn,
        identity: Identity,
        sent: SentList,
        refusal: NanobotError | None,
        left: Container[str],
    ) -> Admitted:
        """Admit the turn. That of a long list takes several jobs: a request that is sent again meanwhile
        waits for the end of them, as it would overtake itself.
        """
        if not sent.is_long:
            return await self._admit(turn, identity, sent, refusal, left)
        request = (turn.session_key, identity.digest)
        async with self._long_lists.setdefault(request, asyncio.Lock()), self._pace(turn.payer or ""):
            return await self._admit(turn, identity, sent, refusal, left, is_long_list=True)

    @contextlib.asynccontextmanager
    async def _pace(self, payer: str) -> AsyncIterator[None]:
        """While others ask, too, take the long lists of a payer one after the other, and no more than half of
        the time: all threads share one interpreter.
        """
        if not self._database.is_shared:
            yield
            return
        await self._long_slots.take(payer)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            self._long_slots.leave_to_others(payer)
            pause_s = min(loop.time() - began, _LONGEST_PAUSE_S)
            loop.call_later(pause_s, self._long_slots.take_again, payer)

    async def _admit(
        self,
        turn: Turn,
        identity: Identity,
        sent: SentList,
        refusal: NanobotError | None,
        left: Container[str],
        *,
        is_long_list: bool = False,
    ) -> Admitted:
        left_out = self._commands.left_out_by(turn)
        begun: Coming | None = None

        def job(db: Db, taken_in: Coming | None = None) -> Admitted | Coming | SessionMoved:
            nonlocal begun
            result = admission.admit(
                db,
                turn,
                identity,
                sent,
                limits=self._limits,
                capacity=self._commands.capacity,
                recent=self._recent,
                now=self._clock.now(),
                refusal=refusal,
                unended=len(self._live),
                left=left,
                taken_in=taken_in,
                left_out=left_out,
                foreseen=foreseen,
            )
            if isinstance(result, Coming):
                begun = result
            return result

        def leave(db: Db) -> None:
            if begun is not None:
                taking_in.leave(db, begun)

        foreseen: Foreseen | None = None
        try:
            for _ in range(_MOST_TRIES):
                if is_long_list:
                    foreseen = await self._foreseen(turn, identity, sent, left)
                result = await self._shared.write_said(turn.input, job, partial(self._admitted, turn))
                if isinstance(result, Admitted):
                    return result
                if isinstance(result, Coming):
                    return await self._take_in(turn, result, job)
        except BaseException:
            # Also where the client goes before it is known here that the list was begun. What is still there
            # where this fails, too, goes after the next start.
            if is_long_list:
                with contextlib.suppress(StoreError):
                    # Behind the piece that nobody waits for any more.
                    await self._database.write_piece(leave)
            raise
        raise SessionBusy(
            f"the session has changed {_MOST_TRIES} times while the request's {len(sent)} earlier messages"
            " were compared with it: send them again"
        )

    async def _foreseen(
        self, turn: Turn, identity: Identity, sent: SentList, left: Container[str]
    ) -> Foreseen | None:
        """Return what the turn will find, which takes as long as the list is, while others write; None where
        it is known already.
        """

        def query(db: Db) -> Foreseen | None:
            if admission.knows(db, turn.session_key, identity, limits=self._limits, now=self._clock.now()):
                return None
            return planning.foresee(
                db,
                turn,
                sent,
                capacity=self._commands.capacity,
                recent=self._recent_long,
                left=left,
            )

        return await self._database.scan(query)

    async def _take_in(
        self,
        turn: Turn,
        coming: Coming,
        admit: Callable[[Db, Coming | None], Admitted | Coming | SessionMoved],
    ) -> Admitted:
        """Take in a client's long list, a piece in a transaction, then admit the turn."""
        now = self._clock.now()
        for piece in taking_in.pieces(coming.plan.earlier):
            coming = await self._database.write_piece(
                partial(taking_in.add, coming=coming, piece=piece, now=now)
            )
        whole = coming
        admitted = await self._shared.write_said(
            turn.input, lambda db: admit(db, whole), partial(self._admitted, turn)
        )
        assert isinstance(admitted, Admitted)  # noqa: S101 - what is whole is not begun again
        return admitted

    def _admitted(self, turn: Turn, admitted: Admitted | Coming | SessionMoved) -> None:
        if not isinstance(admitted, Admitted):
            return
        if not admitted.admission.joined:
            self._news.tell(UnendedTurn(turn.id, turn.key_id, turn.account_key))
        if admitted.opened is not None:
            opened = admitted.opened
            key = turn.session_key if turn.trace else None
            self._live.open(LiveTurn(opened.turn_id, opened.added, session_key=key, input=opened.input))
            for joined in opened.joiners:
                self._live.share(opened.turn_id, joined)
            self._live.tell(opened.turn_id, TurnAdmitted(opened.input))
        if admitted.joins is not None:
            self._live.share(admitted.joins, turn.id)
            self._live.tell(admitted.joins, TurnAdmitted(turn.input, admitted.joins), by=turn.id)
        if admitted.cancel is not None:
            self._commands.cancel(admitted.cancel)
        if admitted.claim is not None:
            self._commands.hand_out((admitted.claim,))

    async def knows(self, session_key: str, identity: Identity) -> bool:
        asked = partial(admission.knows, key=session_key, identity=identity, limits=self._limits)
        return await self._database.read(lambda db: asked(db, now=self._clock.now()))

    async def delivered(self, turn_ids: tuple[str, ...]) -> None:
        await self._database.write(partial(resends.note_delivered, turn_ids=turn_ids))

    async def shared(self, session_key: str, earlier: tuple[Message, ...], *, is_whole: bool) -> int:
        sent = SentList(earlier)
        read = self._database.scan if sent.is_long else self._database.read
        return await read(partial(matching.shared, key=session_key, sent=sent, is_whole=is_whole))

    async def turn(self, turn_id: str) -> TurnState:
        return await self._database.read(partial(turns.look, turn_id=turn_id))

    async def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[Batch]:
        live = await self._live_events(turn_id)
        if live is not None and not live.is_joined_by(turn_id):
            async for batch in live.follow(after):
                yield batch
            return
        answer = await self._answer(turn_id, live)
        if batch := replay(answer.messages, answer.end, after):
            yield batch

    async def ended(self, turn_id: str) -> Answer:
        return await self._answer(turn_id, await self._live_events(turn_id))

    async def _live_events(self, turn_id: str) -> LiveTurn | None:
        """Return the events of the turn where it has not ended; of one that joined another only once that one
        has ended: they may have parted, and then it has events of its own.
        """
        while (live := self._live.get(turn_id)) is not None and live.is_joined_by(turn_id):
            await live.ended()
            if live.is_joined_by(turn_id):
                break
        return live

    async def _answer(self, turn_id: str, live: LiveTurn | None) -> Answer:
        """Return what became of the turn; `live`: its events, None where it had ended already."""
        if live is not None:
            end = await live.ended()
            if live.is_joined_by(turn_id):
                return Answer(turn_id, (), end_alone(end))
            return Answer(turn_id, live.messages, end)
        state = await self.turn(turn_id)
        if state.end is None and not self._live.is_ended:
            raise StoreError(f"turn {turn_id} cannot be followed though it has not ended")
        return Answer(turn_id, state.messages, state.end or STOPPING)

    async def cancel(self, turn_id: str, why: str, *, may_go_on: bool = False) -> bool:
        state = await self.turn(turn_id)
        live = self._live.get(turn_id)
        if live is None or live.end is not None:
            return False
        cancel = Cancel(live.ids[0], why, may_go_on)
        if state.status == "queued" and await self._cancel_waiting(cancel):
            return True
        self._commands.cancel(cancel)
        return True

    async def _cancel_waiting(self, cancel: Cancel) -> bool:
        """Cancel a turn that waits; return False where it waits no more."""
        reason = TurnError(TurnCancelled.code, cancel.why, TurnCancelled.http_status, cancel.may_go_on)
        end = TurnEnded("cancelled", error=reason)

        def job(db: Db) -> bool:
            return queue.cancel_waiting(db, cancel.turn_id, end, self._clock.now())

        def then(was_waiting: bool) -> None:
            if was_waiting:
                self._observer.turn_withdrawn(cancel.turn_id)
                self._news.tell(TurnSettled(self._shared.ids_of(cancel.turn_id)))
                self._live.put(cancel.turn_id, (end,))

        return await self._database.write(job, then)
