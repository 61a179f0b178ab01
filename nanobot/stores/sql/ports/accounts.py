"""`core.accounts.Accounts`: API keys, and what turns cost."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.accounts import AccountListener, ApiKey, Grouping, SpendingOf, UnendedTurn, UsageRow
from nanobot.stores.sql import keys, usage
from nanobot.stores.sql.ports.shared import Shared


class SqlAccounts:
    """Accounts in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._news = shared.news

    async def api_keys(self) -> tuple[ApiKey, ...]:
        return await self._database.read(keys.all_keys)

    async def keys_version(self) -> str:
        return await self._database.read(keys.version)

    async def usage(
        self,
        *,
        first_day: str,
        last_day: str,
        group: Sequence[Grouping],
        key_id: str | None = None,
        only_key: bool = False,
    ) -> tuple[UsageRow, ...]:
        query = partial(
            usage.report,
            first_day=first_day,
            last_day=last_day,
            group=group,
            key_id=key_id,
            only_key=only_key,
        )
        # All sessions of a day may have to be read.
        return await self._database.scan(query)

    async def session_usage(
        self, session_key: str, *, first_day: str, last_day: str, group: Sequence[Grouping]
    ) -> tuple[UsageRow, ...]:
        query = partial(
            usage.report_session, key=session_key, first_day=first_day, last_day=last_day, group=group
        )
        return await self._database.read(query)

    async def spending(self, day: str, *, by_session: bool) -> tuple[SpendingOf, ...]:
        return await self._database.read(partial(usage.spending, day=day, by_session=by_session))

    async def live_turns(self) -> tuple[UnendedTurn, ...]:
        return await self._database.read(usage.live_turns)

    def listen(self, listener: AccountListener) -> None:
        self._news.listen(listener)
