"""Characters that people do not see, though programs and models read them: by these a text says more than it
shows, or shows it in another order.
"""

import json
from collections.abc import Callable

from nanobot.core.late_pattern import LatePattern

_IGNORED = LatePattern(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Letters, signs and marks that show nothing; `str.isprintable` takes them for any other."""
_PRESENTATION = "\ufe0e\ufe0f"


def without_unseen(text: str, instead: Callable[[str], str] = lambda _: "") -> str:
    """Return the text with `instead` of each character that is not seen. Line feeds, tabs and ordinary spaces
    stay, and one selector behind a sign, as many emoji have it.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    is_seen_before = False
    for each in text:
        is_seen = _is_seen(each)
        is_kept = is_seen or each in "\n\t" or (is_seen_before and each in _PRESENTATION)
        kept.append(each if is_kept else instead(each))
        is_seen_before = is_seen and each != " "
    return "".join(kept)


def escaped(character: str) -> str:
    """Return the escape of the character in ASCII-only JSON."""
    return json.dumps(character)[1:-1]


def _is_seen(character: str) -> bool:
    return character.isprintable() and not _IGNORED.match(character)
