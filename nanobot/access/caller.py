"""Who asks: what a request may see and do."""

import msgspec

from nanobot.core.accounts import RIGHTS, HistoryMode, Quota, Right, matches
from nanobot.core.errors import SessionNotFound

__all__ = ["EVERYBODY", "RIGHTS", "Caller", "Right", "hold_to_patterns", "no_session"]


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request: what its API key allows. `key_id` None: it needed no key.

    `patterns`: which session keys it may see, `*` for any run of characters; empty: all of them.
    `session_key`: the conversation of a client that names none. `history`: what its requests send where
    nothing else says so. `quota`: how much of everything it may use. `is_operator`: it is a command on the
    data directory, and so of whoever runs the server.
    """

    key_id: str | None = None
    rights: frozenset[Right] = frozenset(RIGHTS)
    patterns: tuple[str, ...] = ()
    session_key: str | None = None
    history: HistoryMode = "auto"
    quota: Quota = Quota()
    is_operator: bool = False

    def sees(self, session_key: str) -> bool:
        """Return whether the caller may see the session."""
        return not self.patterns or any(matches(session_key, pattern) for pattern in self.patterns)

    def sees_pattern(self, pattern: str) -> bool:
        """Return whether the caller may see every session whose key matches `pattern`, as far as the patterns
        themselves show it: by one that is the same, or that has nothing but a beginning and a star.
        """
        if not self.patterns:
            return True
        if "*" not in pattern and "\\" not in pattern:
            return self.sees(pattern)
        return any(
            own == pattern
            or (
                own.endswith("*") and "\\" not in own and "*" not in own[:-1] and pattern.startswith(own[:-1])
            )
            for own in self.patterns
        )


EVERYBODY = Caller()


def hold_to_patterns(caller: Caller, session_key: str) -> None:
    """Return where the caller may see the session.

    Raises:
        SessionNotFound: it may not; exactly the error for a session that does not exist.
    """
    if not caller.sees(session_key):
        raise SessionNotFound(no_session(session_key))


def no_session(session_key: str) -> str:
    """Return the text of the error for a session that is not there, or may not be seen."""
    return f"no session {session_key!r} here"
