"""Text as the search sees it: words and pairs of characters, in one form.

Compatible characters, case, accents and the vowel marks of Arabic and Hebrew make no difference. Scripts that
set no spaces between words are taken apart into overlapping pairs of characters, so that any part of a
sentence is found; the last character of a run stands alone. The characters of a message that mean something
by themselves follow after its end, once each.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from nanobot.core.late_pattern import LatePattern

VERSION = f"5/{unicodedata.unidata_version}"
"""Changes whenever a text may have other tokens than before, or comes into the index in other slices: an
index of another version is rebuilt.
"""
MOST_CHARACTERS = 400_000
"""How much of a message is searched, and of its folded form, which may be longer."""
STRETCH = 16 * 1024
"""So many characters are taken apart at once."""
MOST_DIFFERENT = 32_768
"""How many different tokens of a message are searched: each costs the index some microseconds, in which
nobody's turn is stored. A novel in English has fewer; one in Chinese is searched in its first 100,000
characters or so.
"""
LONGEST = 64
STEM_LENGTHS = range(4, 9)
"""Beginnings of words that are so long stand in the index as words do. To look for another one is to read
through all words with it, of everybody's messages.
"""
ALONE: Final = "\u00b7"
"""Stands before what follows after the end."""
_PIECE = 256
_LONGER = 4
"""A few characters stand for up to eighteen; a word of them alone is no word."""
_BREAKS = " \t\n\r.,;:!?()[]{}<>\"'/\\+=|\u2026\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b"
_LOOKED_BACK = 1_024

# Marks that tell no words apart, and characters that are not seen.
_MARKS = LatePattern(
    "[\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]+"
)
_ARABIC = LatePattern("[\u0621-\u06ff]")
# Letters that are written one for another: forms of alef and yeh, teh marbuta, Persian kaf and yeh, digits.
_ARABIC_FORMS = str.maketrans(
    "\u0671\u0649\u0629\u06a9\u06cc\u06c1\u06d5"
    "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
    "\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9",
    "\u0627\u064a\u0647\u0643\u064a\u0647\u064701234567890123456789",
)
# Letters with a stroke and the like, which are no letter and a mark to Unicode.
_STROKES = str.maketrans(
    {"đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ø": "o", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
)
_STROKED = LatePattern("[đðħıłøŧæœþ]")
_CJK = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u303c\u3041-\u3096\u309d-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\ud7b0-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_ALPHABETIC = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0ecf\u0edc-\u0eff\u1000-\u103f\u1050-\u109f\u1780-\u17d3"
_UNSPACED = f"{_CJK}{_ALPHABETIC}"
# Vowel signs belong to the words of Indic scripts; their full stops do not.
_INDIC = "\u0900-\u0963\u0966-\u0df3\u0f00\u0f18-\u0f33\u0f35-\u0f39\u0f3e-\u0fbc"
_RUN = LatePattern(f"([{_UNSPACED}]+)|((?:[^\\W_{_UNSPACED}]|[{_INDIC}])+)")
_ALPHABETIC_RUN = LatePattern(f"[{_ALPHABETIC}]")
# Before these characters, no script does without spaces, and no word has signs that are no letters.
_BEYOND = LatePattern("[\\u0900-\\U0010ffff]")
_WORD = LatePattern(r"[^\W_]+")
_ASCII_WORDS = bytes(ord(chr(byte) if chr(byte).isalnum() else " ") for byte in range(256))
"""Turns what is no letter and no digit into spaces."""


def folded(text: str) -> str:
    """Return the text in the form in which words are compared."""
    if text.isascii():
        return text.lower()
    words = text.split()
    known = {
        # Putting many marks in a row into order takes time that grows with the square of their number.
        word: "".join([_folded(word[at : at + _PIECE]) for at in range(0, len(word), _PIECE)])
        for word in dict.fromkeys(words)
    }
    return " ".join([known[word] for word in words])


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    taken_apart = unicodedata.normalize("NFKD", word)[: _LONGER * len(word) + LONGEST]
    word = _MARKS.sub("", taken_apart)
    if _ARABIC.search(word):
        word = word.translate(_ARABIC_FORMS)
    word = word.casefold()
    if _STROKED.search(word):
        word = word.translate(_STROKES)
    return unicodedata.normalize("NFC", word)


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a text that `folded` returned, and its runs of characters without spaces between
    words; with each, whether it is such a run.
    """
    for match in _RUN.finditer(text):
        run = match[1]
        yield (match[2][:LONGEST], False) if run is None else (run, True)


def distinct_runs(text: str) -> list[tuple[str, bool]]:
    """Return what `runs` yields, each once."""
    if _is_plain(text):
        return [(word[:LONGEST], False) for word in dict.fromkeys(_plain_words(text))]
    return list(dict.fromkeys(runs(text)))


def _is_plain(text: str) -> bool:
    """Return whether all words have spaces or signs between them, and letters and digits alone in them: as in
    most texts of many languages, whose words are then found at a tenth of the cost.
    """
    return text.isascii() or not _BEYOND.search(text)


def _plain_words(text: str) -> list[str]:
    """Return the words of a text that is plain."""
    if text.isascii():
        # At a fourth of what the pattern costs.
        return text.encode().translate(_ASCII_WORDS).decode().split()
    return _WORD.findall(text)


def has_words(text: str, fewest: int) -> bool:
    """Return whether a text has so many words that `folded` returned; each character without spaces counts.
    No more of it is looked at than need be.
    """
    count = 0
    for run, is_unspaced in runs(text) if fewest > 0 else ():
        count += len(run) if is_unspaced else 1
        if count >= fewest:
            return True
    return fewest <= 0


def is_alphabetic(run: str) -> bool:
    """Return whether a run without spaces is of letters for sounds, as in Thai."""
    return _ALPHABETIC_RUN.match(run) is not None


def means_something_alone(character: str) -> bool:
    """Return whether the character is one of Chinese, or a syllable of Korean."""
    return "\u3400" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" or character >= "\U00020000"


def pairs(run: str) -> list[str]:
    """Return each character of a run with the one behind it."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def indexed(text: str) -> str:
    """Return the tokens of a text, with a space between them."""
    return " ".join([token for found in in_stretches(text) for token in found])


def in_stretches(text: str) -> Iterator[list[str]]:
    """Yield the tokens of a text, those of some thousand characters at a time."""
    text = text[:MOST_CHARACTERS]
    left = MOST_CHARACTERS
    alone: dict[str, None] = {}
    different: set[str] = set()
    at = 0
    while at < len(text) and left > 0:
        end, is_cut = _end_of_stretch(text, at)
        form = folded(text[at:end])[:left]
        found = _words(form, alone)
        at = end
        if is_cut and any(is_unspaced for _, is_unspaced in runs(form[-1:])):
            # The last character has one behind it.
            found.pop()
            at = end - 1
        left -= len(form)
        most = len(found) if len(text) <= STRETCH else _most_different(found, different)
        yield found[:most]
        if most < len(found):
            return
    found = _means_alone(alone)
    yield found[: _most_different(found, different)]


def _end_of_stretch(text: str, at: int) -> tuple[int, bool]:
    """Return where the stretch ends that begins at `at`, and whether that may be inside of a word."""
    end = at + STRETCH
    if end >= len(text):
        return len(text), False
    last = max(text.rfind(each, end - _LOOKED_BACK, end) for each in _BREAKS)
    return (end, True) if last < 0 else (last + 1, False)


def _most_different(tokens: Sequence[str], seen: set[str]) -> int:
    """Return how many of the tokens there may be so that they are not too many different ones, with those
    that were seen before, and remember them.
    """
    if len(seen) + len(tokens) <= MOST_DIFFERENT:
        seen.update(tokens)
        return len(tokens)
    for at, token in enumerate(tokens):
        seen.add(token)
        if len(seen) > MOST_DIFFERENT:
            return at
    return len(tokens)


def tokens_of(text: str) -> list[str]:
    """Return the tokens of a text that `folded` returned."""
    alone: dict[str, None] = {}
    return _words(text, alone) + _means_alone(alone)


def _words(text: str, characters: dict[str, None]) -> list[str]:
    """Return the words and pairs of a text that `folded` returned, and add the characters of its runs without
    spaces.
    """
    if _is_plain(text):
        return [word[:LONGEST] for word in _plain_words(text)]
    found: list[str] = []
    for run, is_unspaced in runs(text):
        if is_unspaced:
            found.extend(pairs(run))
            found.append(run[-1])
            characters.update(dict.fromkeys(run))
        else:
            found.append(run)
    return found


def _means_alone(characters: Iterable[str]) -> list[str]:
    return [ALONE + character for character in characters if means_something_alone(character)]


class Phrase(msgspec.Struct, frozen=True):
    """Tokens that stand one after another; `is_open`: the last one may go on."""

    tokens: tuple[str, ...]
    is_open: bool


def alone(character: str) -> Phrase:
    """Return what stands in the tokens of each text that has the character, of a script without spaces."""
    if means_something_alone(character):
        return Phrase((ALONE + character,), False)
    return Phrase((character,), True)


def phrase(text: str, *, is_open: bool) -> Phrase | None:
    """Return what stands in the tokens of each text that has this one as a part; None: there is no word in
    it. `is_open`: its last word may be the beginning of one.
    """
    tokens: list[str] = []
    last = ""
    is_unspaced = False
    for last, is_unspaced in runs(folded(text)):
        tokens.extend((*pairs(last), last[-1]) if is_unspaced else (last,))
    if not tokens:
        return None
    if is_unspaced:
        # The run may go on in the text: its last character is the second one of a pair, or begins one.
        if len(last) > 1:
            return Phrase(tuple(tokens[:-1]), False)
        return alone(last) if len(tokens) == 1 else Phrase(tuple(tokens), True)
    return Phrase(tuple(tokens), is_open)
