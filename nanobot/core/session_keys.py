"""What names a session: which keys there may be, and which are the server's own."""

from nanobot.core.errors import BadSessionKey

MAX_KEY_CHARS = 256
RESERVED_PREFIX = "nanobot:"
DELEGATED_PREFIX = f"{RESERVED_PREFIX}delegated:"
"""What keys of sessions begin with in which a turn has a part of its work done."""
_LOST = "\ufffd"
"""What programs put in place of a character that is broken, such as half of a surrogate pair."""
_INNER = r"[^\x00-\x1f\x7f-\x9f\ufffd]"
_OUTER = r"[^\s\x00-\x1f\x7f-\x9f\ufffd]"
KEY_PATTERN = rf"^[ \t]*(?!{RESERVED_PREFIX}){_OUTER}({_INNER}{{0,254}}{_OUTER})?[ \t]*$"
"""What `parse_key` takes, as a regular expression: 1 to 256 printable characters, space around them left out;
none of the server's own.
"""


def parse_key(raw: str, param: str | None = None) -> str:
    """Return the session key that `raw` names: stripped of white space around it, otherwise verbatim.
    `param`: what the request calls it, for the error.

    Raises:
        BadSessionKey: over 256 characters, a control character or a broken one in it, or a name that the
            server keeps for itself. (An empty key is returned: each entry point has its own error for
            a missing one.)
    """
    key = raw.strip()
    if len(key) > MAX_KEY_CHARS:
        raise BadSessionKey(
            f"session key of {len(key)} characters: at most {MAX_KEY_CHARS} are allowed", param=param
        )
    if _LOST in key:
        raise BadSessionKey(
            "session key with U+FFFD, which stands for a character that was lost: two keys would become one;"
            " send the key as UTF-8, or as JSON without half of a surrogate pair",
            param=param,
        )
    if not raw.isprintable():
        # `isprintable` also refuses some that keys may have, such as a no-break space. Not `key`: `strip`
        # takes line ends and other control characters for white space, and two keys would become one.
        _check_characters(raw.strip(" \t"), param)
    if key.startswith(RESERVED_PREFIX):
        raise BadSessionKey(
            f"session key {key!r}: keys that start with {RESERVED_PREFIX!r} are the server's own, choose"
            " another",
            param=param,
        )
    return key


def _check_characters(key: str, param: str | None) -> None:
    """Return where every character may stand in a key; there are more that Python would not print."""
    for character in key:
        if ord(character) < 32 or 127 <= ord(character) < 160:
            raise BadSessionKey(
                f"session key with the control character U+{ord(character):04X}: only printable characters"
                " are allowed",
                param=param,
            )
        # Python reads bytes of a command line that are not UTF-8 as lone surrogates.
        if 0xD800 <= ord(character) < 0xE000:
            raise BadSessionKey(
                f"session key {key.encode('utf-8', 'replace').decode()!r} is not UTF-8: only whole"
                " characters are allowed",
                param=param,
            )
