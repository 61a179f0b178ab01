"""Arguments of calls as people read them: texts of several lines, as scripts, in lines; the rest as JSON."""

import json

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.unseen import escaped, without_unseen

_NAME = LatePattern("[A-Za-z][A-Za-z0-9_]{0,39}")
_HIDING = LatePattern(r"\S[ \t]{17}|[ \t]{61}|\n[ \t]*\n[ \t]*\n[ \t]*\n")
"""Room that could push what follows out of sight."""


class ReadableText(msgspec.Struct, frozen=True):
    """An argument of several lines: its name, and its lines. `is_ended`: a line feed follows the last one."""

    name: str
    lines: str
    is_ended: bool


class ReadableArguments(msgspec.Struct, frozen=True):
    """Together all that the arguments say: `rest` is JSON, empty where the texts are all there is."""

    texts: tuple[ReadableText, ...]
    rest: str

    @property
    def labels(self) -> tuple[str, ...]:
        """What is to stand above each text."""
        return tuple(
            f"{text.name} (with a line feed at its end):" if text.is_ended else f"{text.name}:"
            for text in self.texts
        )


def readable(arguments: str) -> ReadableArguments:
    """Return arguments, a JSON object, for people. A text with characters that they cannot see, or that could
    be out of their sight, stays in the JSON, where such characters are escaped.
    """
    given = json.loads(arguments)
    texts = tuple(
        ReadableText(name, value.removesuffix("\n"), value.endswith("\n"))
        for name, value in given.items()
        if _NAME.fullmatch(name) and isinstance(value, str) and _is_plain(value)
    )
    named = {text.name for text in texts}
    rest = {name: value for name, value in given.items() if name not in named}
    shown = json.dumps(rest, ensure_ascii=False, indent=2) if rest or not texts else ""
    return ReadableArguments(texts, without_unseen(shown, escaped))


def _is_plain(text: str) -> bool:
    return (
        "\n" in text.removesuffix("\n")
        # Blank lines at either end are easily passed over.
        and text.removesuffix("\n").strip() == text.removesuffix("\n")
        and without_unseen(text) == text
        and not _HIDING.search(text)
    )
