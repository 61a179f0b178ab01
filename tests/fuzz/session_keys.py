"""Session keys: as a name, and in the headers of a request."""

from nanobot.access.caller import Caller
from nanobot.core.session_keys import MAX_KEY_CHARS, RESERVED_PREFIX, parse_key
from nanobot.http.session_key import KeyReader
from tests.fuzz.target import Target, refused_in_words

_SEEDS = (
    b"wx:dm:user_alice",
    " gruppe \u00e4\u20ac\U0001f600 ".encode(),
    b"nanobot:internal",
    b"a" * 256,
    b"\x00",
    b"a\x7fb",
    b"\xff",
    b"a/b",
    b"",
)
_WORDS = (b"nanobot:", b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"*", b"[", b"?")
_reader = KeyReader(("X-Conversation",))


def check_key(content: bytes) -> None:
    """As the command line gives it: bytes that are no UTF-8 come as lone surrogates."""
    with refused_in_words():
        key = parse_key(content.decode("utf-8", "surrogateescape"))
        assert parse_key(key) == key, f"{key!r} is read as another key the second time"
        assert len(key) <= MAX_KEY_CHARS
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in key), (
            f"{key!r} has a control character"
        )
        assert not key.startswith(RESERVED_PREFIX)
        # the store keeps it as UTF-8
        key.encode()


def check_header(content: bytes) -> None:
    """The first line is the header, the second one that is accepted besides, the third the pattern that the
    caller is held to.
    """
    first, _, rest = content.partition(b"\n")
    second, _, pattern = rest.partition(b"\n")
    caller = Caller("key_1", patterns=(pattern.decode("latin-1"),) if pattern else (), session_key="own")
    with refused_in_words():
        key = _reader.read({b"x-session-key": first, b"x-conversation": second}, caller)
        assert key, "a request without a session"
        assert parse_key(key) == key
        if key != "own":
            assert key in (
                parse_key(first.decode("utf-8", "replace")),
                parse_key(second.decode("utf-8", "replace")),
            )
            assert caller.sees(key)
            assert not pattern or fits(key, caller.patterns[0]), (
                f"{key!r} is seen through the pattern {pattern!r}"
            )


def fits(key: str, pattern: str) -> bool:
    """Return whether `key` fits `pattern`, in which `*` stands for any run of characters unless a backslash
    stands before it: read sign by sign.
    """
    pieces = [""]
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\" and pattern[at + 1 : at + 2] in ("*", "\\"):
            at += 1
            pieces[-1] += pattern[at]
        elif sign == "*":
            pieces.append("")
        else:
            pieces[-1] += sign
        at += 1
    first, *others = pieces
    if not others:
        return key == first
    if not key.startswith(first):
        return False
    key = key[len(first) :]
    *middle, last = others
    for piece in middle:
        place = key.find(piece)
        if place < 0:
            return False
        key = key[place + len(piece) :]
    return key.endswith(last)


TARGETS = (
    Target("session-key", check_key, _SEEDS, _WORDS),
    Target("session-header", check_header, (*_SEEDS, b"wx:a\n\nwx:*", b"\n \nwx:*", b"\nwx:b\n*:b"), _WORDS),
)
