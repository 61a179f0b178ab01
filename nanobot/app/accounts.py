"""Who may use a server, and how much of it."""

from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.agent.other_sessions import KnownPeople
from nanobot.app import settings
from nanobot.app.resources import AppResources
from nanobot.core.accounts import TurnSettled, UnendedTurn


class AccountsInUse:
    """The API keys, the quotas and the people of a server, kept in memory.

    From its construction on it counts every turn, so it is made before the engine starts.
    """

    def __init__(self, resources: AppResources) -> None:
        config, store = resources.config, resources.store
        self._store = store
        self._metrics = resources.metrics
        self.keys = KeyRing(settings.configured_keys(config))
        self.quotas = Quotas(settings.pattern_quotas(config), resources.clock)
        personas = resources.personas
        self.people = KnownPeople(
            store, settings.scope_rules(config), lambda session_key: personas.of(session_key).remembers
        )
        store.listen(self._count)

    async def load(self) -> None:
        """Read which API keys there are, how much of the quotas is used up, and which accounts are linked.

        Raises:
            StoreError
        """
        await self.keys.refresh(self._store)
        await self.quotas.load(self._store)
        await self.people.refresh()

    def _count(self, news: UnendedTurn | TurnSettled) -> None:
        self.quotas.follow(news)
        if isinstance(news, TurnSettled) and news.cost is not None:
            self._metrics.turn_paid(news.cost)
