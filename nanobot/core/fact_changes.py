"""Which fact takes the place of which: told from their words, in the languages that are known here.

`I moved to Berlin` takes the place of `lives in Rome`, `it is Bella, not Rex` of `my dog is called Rex`, `I
don't like tea any more` of `I like tea`. Where that is not certain, both stand: to lose one is the worse.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from nanobot.core.change_words import LANGUAGES, ChangeWords
from nanobot.core.late_pattern import LatePattern

_VALUE = LatePattern(r"[^,.;:!?。，、；！？]{1,48}")
_JOINS = LatePattern(r"\b(?:and|but|und|aber|et|mais|y|pero|e|ma|mas|и|но)\b|和|但", re.IGNORECASE)
_NO_PLACE = LatePattern(
    r"(?:an?|the|my|our|another|fear|peace|ein\w{0,2}|de[rmn]|meine?\w?|unser\w*|un|una|uno|une|um|uma|mi|mio|mia"
    r"|meu|minha|moje\w*)\b|一|家|公寓|宿舍|酒店|アパート|マンション|実家",
    re.IGNORECASE,
)
"""With what one begins that says how one lives, and not where."""
_MOST_WORDS = 4
_WORD = LatePattern(r"[^\W_]+")
_FEWEST_LETTERS = 3
"""A word of fewer says nothing of what a fact is about."""
_NEUTRAL = LatePattern(r"\bj(?:e\b|')|\b(?:now|jetzt|maintenant|ahora|ora|adesso|agora)\b|现在|今は")
"""Words that a sentence may have besides with its opposite."""
_END = " \t\n.!。！"
_CURLY = str.maketrans("’", "'")


class FactCorrection(msgspec.Struct, frozen=True):
    """A fact's new words, `text`, and the words `before` that they take the place of. `language`: of the new
    ones, as ISO 639 names it.
    """

    text: str
    before: str
    language: str


def correction_of(new: str, known: Sequence[str]) -> FactCorrection | None:
    """Return which of the `known` facts, the newest last, is not so any more if the `new` one is; None where
    that is not certain.
    """
    for language in LANGUAGES:
        text, is_corrected = _without_correction(new, language)
        for find in (_of_its_kind, _instead, _negated):
            if (found := find(text, known, language, is_corrected)) is not None:
                words, before = found
                return FactCorrection(words, before, language.code)
    return None


def corrects(text: str) -> bool:
    """Return whether the text begins as one corrects oneself, and goes on."""
    return any(_without_correction(text, language)[1] for language in LANGUAGES)


def uncorrected(text: str) -> str:
    """Return the text without the words by which one takes back what one said before, and its full stop."""
    plain = _plain(text)
    found = (_without_correction(text, language) for language in LANGUAGES)
    return next((rest for rest, is_corrected in found if is_corrected), plain)


def are_of_one_kind(one: str, other: str) -> bool:
    """Return whether both facts tell what there is one of, such as where somebody lives."""
    mine, its = kind_of(one), kind_of(other)
    return mine is not None and mine == its and not mine.startswith(_CALLED)


def kind_of(fact: str) -> str | None:
    """Return what a fact tells of which there is one; None where it tells something else."""
    return next((kind for each in LANGUAGES if (kind := _kind_in(_plain(fact), each)) is not None), None)


def _plain(text: str) -> str:
    return " ".join(text.translate(_CURLY).strip(_END).split())


@lru_cache(maxsize=64)
def _pattern(pattern: str) -> LatePattern[str]:
    return LatePattern(pattern, re.IGNORECASE)


def _without_correction(text: str, language: ChangeWords) -> tuple[str, bool]:
    """Return the text without the words by which one takes back what one said, and whether it has any."""
    text = _plain(text)
    is_corrected = False
    pattern = _pattern(rf"(?:{language.corrects})[\s,.:!，。、！،]*(?=\w)")
    while (found := pattern.match(text)) is not None:
        text, is_corrected = text[found.end() :], True
    return text, is_corrected


# What there is one of -----------------------------------------------------------------------------

HOME = "home"
_CALLED = "called "


def _of_its_kind(
    text: str, known: Sequence[str], language: ChangeWords, is_corrected: bool
) -> tuple[str, str] | None:
    kind = _kind_in(text, language)
    if kind is None or (kind.startswith(_CALLED) and not is_corrected):
        # One may have two dogs.
        return None
    before = next((each for each in reversed(known) if kind_of(each) == kind), None)
    return (text, before) if before is not None and _plain(before) != text else None


def _kind_in(text: str, language: ChangeWords) -> str | None:
    for kind, pattern in (
        (HOME, language.home),
        ("own ", language.own),
        ("name", language.name),
        (_CALLED, language.called),
    ):
        found = _pattern(pattern).fullmatch(text) if pattern else None
        if found is not None and _is_value(value := _value_of(found)):
            if kind == HOME and _NO_PLACE.match(value):
                continue
            groups = found.groupdict()
            return f"{kind}{groups.get('what') or groups.get('owner') or ''}".casefold()
    return None


def _value_of(found: re.Match[str]) -> str:
    groups = found.groupdict()
    return next((groups[name] for name in groups if name.startswith("value") and groups[name]), "")


def _is_value(text: str) -> bool:
    """Return whether the words are one value, and nothing else is said with them."""
    is_short = len(text.split()) <= _MOST_WORDS and _VALUE.fullmatch(text) is not None
    return is_short and _JOINS.search(text) is None


# What was named wrong -----------------------------------------------------------------------------


def _instead(
    text: str, known: Sequence[str], language: ChangeWords, is_corrected: bool
) -> tuple[str, str] | None:
    """Find what is corrected by naming what it is not: `it is Bella, not Rex`."""
    found = _pattern(language.instead).fullmatch(text) if language.instead else None
    if found is None:
        return None
    new, old = found["new"].strip(), found["old"].strip()
    having = [each for each in known if _has_word(each, old)]
    if len(having) != 1 or not _is_value(old):
        return None
    before = having[0]
    if _words_of(new) & _words_of(before):
        return new, before
    if not _is_value(new) or not any(map(str.isalpha, old)):
        # `It is 5, not 4` may be about anything.
        return None
    at = before.casefold().find(old.casefold())
    return before[:at] + new + before[at + len(old) :], before


def _has_word(text: str, word: str) -> bool:
    edge = (r"\b", r"\b") if word.isascii() else ("", "")
    return re.search(rf"{edge[0]}{re.escape(word)}{edge[1]}", text, re.IGNORECASE) is not None


def _words_of(text: str) -> set[str]:
    """Return the words of a text that say something; of a script without spaces, each two characters."""
    words: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if word > "\u2e80":
            words.update(word[at : at + 2] for at in range(len(word) - 1))
        elif len(word) >= _FEWEST_LETTERS:
            words.add(word)
    return words


# What is not so any more --------------------------------------------------------------------------


def _negated(
    text: str, known: Sequence[str], language: ChangeWords, is_corrected: bool
) -> tuple[str, str] | None:
    """Find the opposite of what is told: `I don't like tea any more` of `I like tea`."""
    if not language.negated or (mine := _positive(text, language)) is None or not mine[0]:
        return None
    for each in reversed(known):
        its = _positive(each, language)
        if its is not None and mine[0] == its[0] and mine[1] != its[1]:
            return text, each
    return None


def _positive(text: str, language: ChangeWords) -> tuple[frozenset[str], bool] | None:
    """Return the words of a text without those that negate it, and whether there are any."""
    is_unspaced = language.code in ("zh", "ja")
    edge = "" if is_unspaced else r"\b"
    said = _NEUTRAL.sub(" ", _plain(text).casefold())
    left, count = _pattern(rf"{edge}(?:{language.negated}){edge}").subn(" ", said)
    words = frozenset("".join(left.split()) if is_unspaced else _WORD.findall(left))
    return (words, count > 0) if words else None
