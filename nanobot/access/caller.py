"""Who calls: what a request may see and do, as the guard found it out."""

import msgspec

from nanobot.core.accounts import RIGHTS, Quota, Right, matches
from nanobot.core.errors import SessionNotFound

__all__ = ["EVERYBODY", "RIGHTS", "Caller", "Right", "hold_to_patterns", "no_session"]


class Caller(msgspec.Struct, frozen=True):
    """An API key at work. `key_id` None: nobody in particular, where no key is asked for.

    `patterns`: which session keys it may see, `*` for any run of characters; empty: all of them.
    `session_key`: the conversation of a client that names none. `quota`: how much of everything it may use.
    """

    key_id: str | None = None
    rights: frozenset[Right] = frozenset(RIGHTS)
    patterns: tuple[str, ...] = ()
    session_key: str | None = None
    quota: Quota = Quota()

    def sees(self, session_key: str) -> bool:
        """Return whether the session is the caller's to know of."""
        return not self.patterns or any(matches(session_key, pattern) for pattern in self.patterns)


EVERYBODY = Caller()


def hold_to_patterns(caller: Caller, session_key: str) -> None:
    """Return where the caller may see the session.

    Raises:
        SessionNotFound: exactly as where there is none.
    """
    if not caller.sees(session_key):
        raise SessionNotFound(no_session(session_key))


def no_session(session_key: str) -> str:
    """Return the words for a session that is not there, for whoever asks."""
    return f"no session {session_key!r} here"
