"""Words that a sentence needs and that say nothing of what it is about, by language."""

import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from nanobot.stores.sql import tokens

_FILE: Final = Path(__file__).with_name("function_words.txt")
_CHARACTERS: Final = frozenset(
    # Chinese: pronouns, particles, prepositions, what questions are made of.
    "请的了是在我你您他她它们有不没和跟对也都就还吗呢吧啊要会能可以很最这那哪谁什么怎样几个为给把被让从到里中得"
    "地着过与及其所之而且但因如果或者些位件只再又"
    # Japanese: beside all that is written in hiragana.
    "何誰"
    # Korean: particles, endings, pronouns, what questions are made of.
    "은는이가을를에서의도로와과하고요어아여예게지만든데면까던죠있없것거뭐무엇누구어디언제왜제내저나너우리들했었았"
    "됐돼되한해할함니다습입인어떤느주세좀그건"
)


def load() -> None:
    """Read the list, so that no message waits for that."""
    _words()


def version() -> str:
    """Return what changes with the list."""
    return f"{zlib.crc32(_FILE.read_bytes()):08x}"


def languages(word: str) -> tuple[str, ...]:
    """Return the languages that a folded word is such a word of."""
    return _words().get(word, ())


def is_one(word: str) -> bool:
    """Return whether a folded word is such a word of any language."""
    return word in _words()


def are_of_such(characters: str) -> bool:
    """Return whether all characters, of scripts without spaces, are such as those words are made of."""
    return all("\u3041" <= each <= "\u309f" or each in _CHARACTERS for each in characters)


@cache
def _words() -> dict[str, tuple[str, ...]]:
    words: dict[str, tuple[str, ...]] = {}
    for line in _lines():
        language, *own = tokens.folded(line).split()
        for word in own:
            known = words.get(word, ())
            if language not in known:
                words[word] = (*known, language)
    return words


def _lines() -> Iterator[str]:
    with _FILE.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                yield line
