"""Admitting a turn on the account of who sent the request."""

from collections.abc import Sequence

import msgspec
from starlette.types import Scope

from nanobot.access.quotas import Account, Quotas
from nanobot.core.errors import NanobotError
from nanobot.core.message import Message
from nanobot.core.store import Store
from nanobot.core.turn import Admission, Identity, Turn
from nanobot.http.caller import caller_of


async def admit(
    scope: Scope, store: Store, turn: Turn, identity: Identity, earlier: tuple[Message, ...] = ()
) -> Admission:
    """Admit a turn as `store.admit`, on the account of who sent the request; every door that takes turns goes
    through here.

    A request that was sent before is told its turn whatever the quotas say: that turn was granted already,
    and costs nothing now.

    Raises:
        RateLimited, QuotaExceeded: a quota is used up.
        NanobotError: what `store.admit` raises.
    """
    caller = caller_of(scope)
    scope["session_key"] = turn.session_key
    if caller.key_id is not None:
        turn = msgspec.structs.replace(turn, key_id=caller.key_id)
    quotas: Quotas = scope["quotas"]
    accounts = quotas.accounts(caller, turn.session_key)
    if not accounts:
        return await store.admit(turn, identity, earlier)
    refusal = quotas.refusal(accounts)
    try:
        if refusal is not None:
            if identity.dedupe_key is None and not identity.is_retry:
                raise refusal
            return await store.admit(turn, identity, earlier, refusal)
        return await _admit_new(quotas, accounts, store, turn, identity, earlier)
    finally:
        scope["answer_headers"] = (*scope.get("answer_headers", ()), *quotas.headers(accounts))


async def _admit_new(
    quotas: Quotas,
    accounts: Sequence[Account],
    store: Store,
    turn: Turn,
    identity: Identity,
    earlier: tuple[Message, ...],
) -> Admission:
    quotas.take(accounts, turn.id)
    try:
        admission = await store.admit(turn, identity, earlier)
    except NanobotError:
        quotas.give_back(accounts)
        raise
    finally:
        # also where the client went away meanwhile: the turn may be admitted all the same
        quotas.settle(accounts, turn.id)
    if admission.joined:
        quotas.give_back(accounts)
    return admission
