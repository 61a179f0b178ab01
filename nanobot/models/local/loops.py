"""Whether a text has begun to repeat itself without end, as small models do."""

_TAIL_CHARS = 2_400
_LONGEST_PHRASE = 240
_EVERY_CHARS = 16
_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


class LoopBrake:
    """Reads a text piece by piece, and tells when it has become a loop.

    A loop is a phrase of words that comes at least four times in a row and fills 120 characters, or 48 where
    it is of three different words or more; three times and 240 where it is of six; eight times and 300 where
    its copies differ in numbers, as in a list that never ends. Without words, as in a row of blanks or
    digits, it fills 600 characters. Lists and code of similar lines are none.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._unread = 0
        self.is_loop = False
        """What was read last ends in a loop."""

    def before_loop(self, text: str) -> str:
        """Return the part of `text` that may follow the text so far: all of it, unless that is a loop."""
        for end in range(_EVERY_CHARS, len(text), _EVERY_CHARS):
            if self._loops_with(text[end - _EVERY_CHARS : end]):
                return text[:end]
        self._loops_with(text[(len(text) - 1) // _EVERY_CHARS * _EVERY_CHARS :])
        return text

    def _loops_with(self, text: str) -> bool:
        self._tail = (self._tail + text)[-_TAIL_CHARS:]
        self._unread += len(text)
        if self._unread < _EVERY_CHARS:
            return False
        self._unread = 0
        self.is_loop = (
            _repeats(self._tail, 4, 120)
            or _repeats(self._tail, 4, 48, words=3)
            or _repeats(self._tail, 3, 240, words=6)
            or _repeats(self._tail.translate(_NO_DIGITS), 8, 300)
            or _repeats(self._tail, 8, 600, has_words=False)
        )
        return self.is_loop


def _repeats(text: str, times: int, chars: int, *, words: int = 0, has_words: bool = True) -> bool:
    """Return whether `text` ends with a phrase that comes `times` in a row at least and fills `chars`, and
    has so many different `words`, or none need be in it.
    """
    # Longer phrases need as much, or more.
    for length in range(4, min(_LONGEST_PHRASE, len(text) // times) + 1):
        # This alone tells of most lengths that they are none.
        if text[-length - 1] != text[-1]:
            continue
        phrase = text[-length:]
        count = max(times, -(-chars // length))
        if text[-2 * length : -length] != phrase or text[-length * count :] != phrase * count:
            continue
        # Rules, tables and rows of blanks have few words.
        if not has_words or (sum(map(str.isalpha, phrase)) * 2 >= length and _words(phrase) >= words):
            return True
    return False


def _words(phrase: str) -> int:
    """Return how many different words a phrase has that is repeated, wherever in a word it begins."""
    # Chinese and Japanese have no spaces: two characters are about a word.
    return max(len({*(phrase * 2).split()[1:-1]}), len({each for each in phrase if each >= "\u3040"}) // 2)
