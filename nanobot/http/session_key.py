"""The session key of a request: a header, or the default of its API key."""

from collections.abc import Mapping, Sequence

import msgspec

from nanobot.access.caller import Caller, hold_to_patterns
from nanobot.core.errors import InvalidRequest, MissingSessionKey
from nanobot.core.observer import SESSION
from nanobot.core.session_keys import KEY_PATTERN, parse_key
from nanobot.http.operations import Parameter

HEADER = "x-session-key"
SCHEMA = {"type": "string", "pattern": KEY_PATTERN}
_OR_BLANK = {"type": "string", "pattern": rf"^\s*$|{KEY_PATTERN}"}
SESSION_KEY = Parameter(
    HEADER,
    "header",
    "names the conversation; not needed where the API key has one of its own, and a blank one names none",
    _OR_BLANK,
)
NEEDED_SESSION_KEY = msgspec.structs.replace(SESSION_KEY, schema=SCHEMA, required=True)
"""The same, for operations that cannot do without a session."""


class KeyReader:
    """Finds the session key in the headers; of those that are accepted the first one counts."""

    def __init__(self, further_headers: Sequence[str] = ()) -> None:
        self._names = (HEADER.encode(), *(name.lower().encode() for name in further_headers))

    def find(self, headers: Mapping[bytes, bytes], caller: Caller) -> str | None:
        """Return the session key that the request names, or else its API key; None where neither does.

        Raises:
            BadSessionKey, InvalidRequest, SessionNotFound: as `named`.
        """
        key = self.named(headers, caller) or caller.session_key
        # From here on the request's log lines name the session.
        SESSION.set(key)
        return key

    def named(self, headers: Mapping[bytes, bytes], caller: Caller) -> str | None:
        """Return the session key that the request names; None where it names none.

        Raises:
            BadSessionKey, InvalidRequest: it is not a valid key.
            SessionNotFound: the caller may not see it.
        """
        for name in self._names:
            raw = headers.get(name)
            if raw is None:
                continue
            try:
                key = parse_key(raw.decode("utf-8"), name.decode())
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"header {name.decode()} is not UTF-8", param=name.decode()) from error
            if key:
                hold_to_patterns(caller, key)
                return key
        return None

    def read(self, headers: Mapping[bytes, bytes], caller: Caller) -> str:
        """Return the session key.

        Raises:
            MissingSessionKey: neither the request nor its API key names a session.
            BadSessionKey, InvalidRequest, SessionNotFound: as `find`.
        """
        key = self.find(headers, caller)
        if key is None:
            raise MissingSessionKey(f"Missing required header: {HEADER}", param=HEADER)
        return key
