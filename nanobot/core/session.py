"""Sessions: conversations that last. The history of one is rows in the store."""

import msgspec

from nanobot.core.errors import BadSessionKey

MAX_KEY_CHARS = 256
RESERVED_PREFIX = "nanobot:"
_INNER = r"[^\x00-\x1f\x7f-\x9f]"
_OUTER = r"[^\s\x00-\x1f\x7f-\x9f]"
KEY_PATTERN = rf"^[ \t]*(?!{RESERVED_PREFIX}){_OUTER}({_INNER}{{0,254}}{_OUTER})?[ \t]*$"
"""What `parse_key` takes, as a regular expression: 1 to 256 printable characters, space around them left out;
none of the server's own.
"""


class Session(msgspec.Struct, frozen=True):
    """A conversation as it is listed. Times are seconds since the epoch; `messages` counts what is in its
    transcript.

    `title` and `metadata` are the user's; the model sees neither.
    """

    key: str
    messages: int
    created_at: float
    updated_at: float
    title: str | None = None
    metadata: dict[str, str] = {}


def parse_key(raw: str) -> str:
    """Return the session key that `raw` names: stripped of white space around it, otherwise verbatim.

    Raises:
        BadSessionKey: over 256 characters, a control character or a broken one in it, or a name that the
            server keeps for itself. (An empty key is the caller's to answer: each door has its own words for
            a missing one.)
    """
    key = raw.strip()
    if len(key) > MAX_KEY_CHARS:
        raise BadSessionKey(f"session key of {len(key)} characters: at most {MAX_KEY_CHARS} are allowed")
    if not key.isprintable():
        _check_characters(key)
    if key.startswith(RESERVED_PREFIX):
        raise BadSessionKey(
            f"session key {key!r}: keys that start with {RESERVED_PREFIX!r} are the server's own, choose another"
        )
    return key


def _check_characters(key: str) -> None:
    """Return where every character may stand in a key; there are more that Python would not print."""
    for character in key:
        if ord(character) < 32 or 127 <= ord(character) < 160:
            raise BadSessionKey(
                f"session key with the control character U+{ord(character):04X}: only printable characters are allowed"
            )
        # how Python reads bytes on a command line that are no UTF-8
        if 0xD800 <= ord(character) < 0xE000:
            raise BadSessionKey(
                f"session key {key.encode('utf-8', 'replace').decode()!r} is not UTF-8: only whole characters are allowed"
            )
