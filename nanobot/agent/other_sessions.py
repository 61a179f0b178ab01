"""Which other sessions a turn may be told of."""

from collections.abc import Callable, Mapping, Sequence

from nanobot.core.people import People
from nanobot.core.scopes import ScopeRules, Scopes

_MOST = 16


class KnownPeople:
    """`core.recall.OtherSessions`, by the rules of session keys and the links of accounts.

    The links are kept in memory, so that the turns of whoever has but one private chat ask for nothing;
    `refresh` takes over those that were made or undone since. `remembers`: whether the agent of a session has
    a memory; where not, its turns are told of no other session, and no other turn of it.
    """

    def __init__(
        self, people: People, rules: ScopeRules, remembers: Callable[[str], bool] = lambda session_key: True
    ) -> None:
        self._people = people
        self._rules = rules
        self._remembers = remembers
        self._version: int | None = None
        self._linked: Mapping[str, tuple[str, ...]] = {}

    async def refresh(self) -> None:
        """Take over the links as they are now.

        Raises:
            StoreError
        """
        # Read before the links: a change in between is then read again, rather than missed.
        version = await self._people.links_version()
        if version != self._version:
            self._linked = await self._people.linked_names()
            self._version = version

    def scopes_of(self, session_key: str) -> Scopes:
        return self._rules.of(session_key)

    def may_have(self, session_key: str) -> bool:
        scopes = self._rules.of(session_key)
        may_be_others = (
            scopes.group is not None or scopes.person in self._linked or not self._rules.are_default
        )
        return may_be_others and self._remembers(session_key)

    async def of(self, session_key: str) -> Sequence[str]:
        found = await self._people.other_sessions(session_key, limit=_MOST)
        return [key for key in found if self._remembers(key)]
