"""A fake of `core.recall.OtherSessions`: it knows what it is given."""

from collections.abc import Mapping, Sequence

from nanobot.core.scopes import DEFAULT_RULES, Scopes


class GivenSessions:
    """Other sessions by the key of the session that may be told of them."""

    def __init__(self, others: Mapping[str, Sequence[str]] | None = None) -> None:
        self._others = others or {}

    def may_have(self, session_key: str) -> bool:
        return session_key in self._others

    async def of(self, session_key: str) -> Sequence[str]:
        return self._others[session_key]

    def scopes_of(self, session_key: str) -> Scopes:
        return DEFAULT_RULES.of(session_key)
