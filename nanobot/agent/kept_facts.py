"""What a summary must keep of what was said: names, numbers, dates, paths, addresses, codes, as they are
written. Scripts without capitals show no names: there it is what people say of themselves.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from nanobot.core.late_pattern import LatePattern

MOST_FACTS = 300
_RARE = 0.15
"""Where more of the words are capitalised, most of them are no names, as in German."""
_LONGEST_TOLD = 300
_SHORTEST_TOLD = 4
_LEAST_TOLD = 0.6
"""So much of a sentence is told by a text that has so many of its pairs of letters."""
_ENOUGH = 3
_FACT = LatePattern(
    r"""
      https?://[^\s<>"')]+                                          # an address
    | (?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}
    | (?<!\w)(?:[A-Za-z]:\\|~?/)[\w./\\-]*\w                        # a path
    | (?<![\w./\\-])(?:[\w-]{1,64}/){1,32}[\w.-]{1,64}\.[a-z][a-z0-9]{0,4}\b
    | (?<![\w./\\-])[A-Za-z0-9_-]{2,64}\.[a-z][a-z0-9]{1,4}\b            # the name of a file, or of a server
    | "[^"\n]{2,60}" | “[^”\n]{2,60}” | „[^“\n]{2,60}“ | «[^»\n]{2,60}» | 「[^」\n]{1,60}」
    | (?<![A-Za-z0-9_-])(?=[A-Za-z_-]{0,40}\d)(?=[\d_-]{0,40}[A-Za-z])[A-Za-z0-9_-]{3,40}   # a code: AB-12
    | (?:\d+[年月日号點点時时分歳岁])+
    | \d+(?:[.,:/-]\d+)+ | \d{2,}                                   # a date, a time, a number
    | (?<!\w)[A-Z][\w-]{0,30}[A-Z][\w-]{0,30}                                     # NASA, McKay
    """,
    re.VERBOSE,
)
_MARKED = LatePattern(r"[\d@/\\]|\.[a-z]|[\w-][A-Z]")
"""What is in a word that is such a fact, or a part of one."""
_QUOTES = LatePattern('["“„«「]')
_NUMBER = LatePattern(r"(?<!\d)(?<!\d[.,:/-])\d+(?!\d)(?![.,:/-]\d)")
"""Digits that no sign of a date joins to others: the 26 of a date is not that of 26 people."""
_PERSONAL = LatePattern(
    r"\b(?:i|i'm|i’m|my|me|we|our|call me|remember|ich|mein\w*|mir|wir|unser\w*"
    r"|je|j'|j’|mon|ma|mes|moi|nous|yo|mi|mis|nosotros|io|mio|mia|eu|meu|minha|я|мой|моя|меня|мне"
    r"|ja|mnie|mój|moja|benim|adım|tôi|mình)\b|με λένε|μου\b"
    r"|我|咱|私|僕|俺|저|제\s|나는|내\s|우리|أنا|اسمي|عندي|(?:^|\s)(?:أعيش|أسكن|أعمل|أحب|لدي)|मेर|मैं|मुझे"
    r"|हमार|ฉัน|ผม|ดิฉัน|אני|שלי|شمي",
    re.IGNORECASE,
)


def is_personal(text: str) -> bool:
    """Return whether the text is about who says it."""
    return _PERSONAL.search(text) is not None


def facts_in(text: str, *, names: bool = True) -> list[str]:
    """Return what in the text is to be kept as it is written; `names`: also capitalised words."""
    # None but a quotation has spaces in it, and most words are none.
    places = [text] if _QUOTES.search(text) else list(filter(_may_be_fact, text.split()))
    found = [each[0] for place in places for each in _FACT.finditer(place)]
    # Two in a row are a name in any language.
    found += [each[0] for each in _capitalised().finditer(text) if names or " " in each[0]]
    return [fact for each in found if (fact := each.strip(" \t.,;:!?\"'“”„«»「」"))]


def _may_be_fact(word: str) -> bool:
    return not (word.islower() and word.isalpha()) and _MARKED.search(word) is not None


def has_names(text: str) -> bool:
    """Return whether capitalised words are names in the language of the text."""
    words = text.count(" ") + 1
    return len(_capitalised().findall(text)) <= _RARE * words


@cache
def _capitalised() -> re.Pattern[str]:
    """Return the pattern of words that begin with a capital, where no sentence begins."""
    letters = [chr(code) for first, end in ((0x41, 0x587), (0x1E00, 0x2000)) for code in range(first, end)]
    upper = "".join(filter(str.isupper, letters))
    lower = "".join(filter(str.islower, letters))
    return re.compile(rf"(?<=[{lower},;:]\s)[{upper}][\w'-]+(?:\s[{upper}][\w'-]+)*")


def told_in(sentence: str) -> str:
    """Return the sentence, where it tells something of who says it in a script without capitals; else an
    empty text.
    """
    if sentence.isascii() or not _SHORTEST_TOLD <= len(sentence) <= _LONGEST_TOLD:
        return ""
    if not is_personal(sentence):
        return ""
    letters = [letter for letter in sentence if letter.isalpha()]
    caseless = sum(letter.lower() == letter.upper() for letter in letters)
    return sentence if 2 * caseless > len(letters) >= _SHORTEST_TOLD else ""


def share_kept(wanted: Sequence[str], lacks: Sequence[str]) -> float:
    """Return the share of the wanted facts that are not lacking; 1 where none is wanted."""
    return 1 - len(lacks) / len(wanted) if wanted else 1.0


def lacking(wanted: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the facts that are not in the text."""
    is_there = _Looked(text.casefold()).has
    return tuple(fact for fact in wanted if not is_there(fact.casefold()))


def untold(told: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the sentences of which the text has too little."""
    if not told:
        return ()
    known = _pairs(text)
    return tuple(
        each
        for each in told
        if len((pairs := _pairs(each)) & known) < _LEAST_TOLD * len(pairs) or len(pairs) < _ENOUGH
    )


def _pairs(text: str) -> set[str]:
    letters = "".join(letter for letter in text.casefold() if letter.isalnum())
    return {letters[at : at + 2] for at in range(len(letters) - 1)}


def having_any(facts: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Return the lines that have one of the facts."""
    folded = [fact.casefold() for fact in facts]
    return [line for line in lines if any(map(_Looked(line.casefold()).has, folded))]


class _Looked:
    """A text in which hundreds of facts are looked for; all in lower case."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._numbers: frozenset[str] | None = None

    def has(self, fact: str) -> bool:
        if not fact.isdecimal():
            return fact in self._text
        if self._numbers is None:
            self._numbers = frozenset(_NUMBER.findall(self._text))
        return fact in self._numbers
