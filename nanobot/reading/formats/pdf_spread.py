"""Words whose letters are set apart, as in titles: their gaps are as wide as those between other words."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

_FEWEST_LETTERS = 5
_LEAST_GAP, _WIDEST_GAP = 0.22, 0.45
"""Between which, in sizes of the text, the gaps are; wider ones are between columns of single letters."""
_EVEN = 0.12
_EVEN_SHARE = 0.7
_WORD_GAP = 0.25
_BESIDE_LETTERS = frozenset("-–&.,:;!?'’()/")


class Letter(NamedTuple):
    """A character of a line. `gap`: how far it is from the one before it, in points; `is_after_space`: a
    space is written between them.
    """

    text: str
    gap: float
    is_after_space: bool


def respaced(text: str, size: float, letters: Sequence[Letter]) -> str:
    """Return the text of a line with its words together where its letters are set apart evenly; else as it
    is. Digits are never put together: they may be numbers of one digit.
    """
    if len(letters) < _FEWEST_LETTERS or text.count(" ") < 0.7 * len(letters):
        return text
    if not all(letter.text.isalpha() or letter.text in _BESIDE_LETTERS for letter in letters):
        return text
    gaps = [letter.gap for letter in letters[1:]]
    usual = statistics.median(gaps)
    even = sum(abs(gap - usual) <= _EVEN * size for gap in gaps)
    if not _LEAST_GAP * size < usual <= _WIDEST_GAP * size or even < _EVEN_SHARE * len(gaps):
        return text
    words = [letters[0].text]
    for letter in letters[1:]:
        is_word = letter.is_after_space or letter.gap > usual + _WORD_GAP * size
        words.append(f" {letter.text}" if is_word else letter.text)
    return "".join(words)
