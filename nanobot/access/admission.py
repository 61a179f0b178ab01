"""Admission of turns within what their sender may still use."""

from collections.abc import Container, Sequence

from nanobot.access.caller import Caller
from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Account, Headers, Quotas
from nanobot.core.errors import NanobotError
from nanobot.core.message import Message
from nanobot.core.turn import Admission, Identity, Turn, Turns


class Gate:
    """Admits turns to the store, where the quotas allow it. `left`: as in `Turns.admit`."""

    def __init__(self, turns: Turns, quotas: Quotas, left: Container[str] = ()) -> None:
        self._turns = turns
        self._quotas = quotas
        self._left = left

    async def admit(
        self, caller: Caller, turn: Turn, identity: Identity, earlier: tuple[Message, ...] = ()
    ) -> tuple[Admission, Headers]:
        """Admit a turn as `Turns.admit` does, and count it on the accounts of `caller` and of its session;
        return what the store says and what is left of the quotas, as headers of HTTP.

        A request that is sent again gets its turn whatever the quotas say: it was counted the first time.

        Raises:
            RateLimited, QuotaExceeded: a quota is used up.
            NanobotError: what `Turns.admit` raises. `headers` of any of these say what is left.
        """
        quotas = self._quotas
        accounts = quotas.accounts(caller, turn.session_key)
        if not accounts:
            return await self._turns.admit(turn, identity, earlier, left=self._left), ()
        refusal = quotas.refusal(accounts)
        try:
            if refusal is None:
                admission = await self._admit_new(accounts, turn, identity, earlier)
            elif identity.dedupe_key is None and not identity.is_retry:
                # It cannot be a resend, so the store need not be asked.
                raise refusal
            else:
                admission = await self._turns.admit(turn, identity, earlier, refusal)
        except NanobotError as error:
            error.headers = quotas.headers(accounts)
            raise
        return admission, quotas.headers(accounts)

    def check(self, caller: Caller, session_key: str) -> None:
        """Return where `caller` may spend more in the session.

        Raises:
            RateLimited, QuotaExceeded: a quota is used up; `headers` say what is left.
        """
        accounts = self._quotas.accounts(caller, session_key)
        if accounts and (refusal := self._quotas.refusal(accounts)) is not None:
            refusal.headers = self._quotas.headers(accounts)
            raise refusal

    async def _admit_new(
        self, accounts: Sequence[Account], turn: Turn, identity: Identity, earlier: tuple[Message, ...]
    ) -> Admission:
        quotas = self._quotas
        # Counted before the await, so that requests that arrive meanwhile are held to what is left.
        quotas.take(accounts, turn.id)
        try:
            admission = await self._turns.admit(turn, identity, earlier, left=self._left)
        except NanobotError:
            quotas.give_back(accounts)
            raise
        finally:
            # Also where the client has gone meanwhile: the turn may have been admitted all the same.
            quotas.settle(accounts, turn.id)
        if admission.joined:
            quotas.give_back(accounts)
        return admission


class PartGate:
    """Admits the turns that do parts of other turns' work, as long as the quotas of a day allow it: they
    are neither requests nor turns of their own, but what they use counts.
    """

    def __init__(self, turns: Turns, quotas: Quotas, keys: KeyRing) -> None:
        self._turns = turns
        self._quotas = quotas
        self._keys = keys

    async def admit(self, turn: Turn, identity: Identity) -> Admission:
        """Admit a turn.

        Raises:
            QuotaExceeded: the tokens or the money of the day are used up.
            NanobotError: what `Turns.admit` raises.
        """
        accounts = self._quotas.accounts(self._keys.caller(turn.key_id), turn.account_key)
        if accounts and (over := self._quotas.used_up(accounts)) is not None:
            raise over
        return await self._turns.admit(turn, identity)
