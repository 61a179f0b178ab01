"""What a text is about: topics such as food, family or work, by a list of words in eleven languages.

Who asks "What must I not eat?" shares no word with who said to be allergic to peanuts, but a topic. The list,
`topics.txt`, is a part of the index: a message has a token for each of its topics.
"""

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from nanobot.core.interpreter import handed_over_soon
from nanobot.core.late_pattern import LatePattern
from nanobot.stores.sql import function_words, tokens
from nanobot.stores.sql.terms import Named, Term, term, without_arabic_prefix

_FILE: Final = Path(__file__).with_name("topics.txt")
_RULES: Final = 2
"""Changes whenever the same list may find other topics in a text than before."""
_MOST_CHARACTERS: Final = 1_000
_MOST_TOPICS: Final = 12
"""A question about more than that is about nothing in particular."""
_MOST_TOLD: Final = 24
"""Likewise what was told."""
_UNSPACED: Final = frozenset({"zh", "ja", "ko"})
_LONGEST_RUN: Final = 6
_SHORTEST_WITH_ENDING: Final = 3
_SHORTEST_WITH_ENDINGS: Final = 4
_LONGEST_ENDING: Final = 2
_LONGEST_RUSSIAN_ENDING: Final = 3
_SHORTEST_JOINED: Final = 8
_SHORTEST_PART: Final = 5
_ENGLISH_ENDINGS: Final = frozenset({"s", "es", "d", "ed", "er", "ers", "ing", "ly", "y", "al"})
_ARABIC_VERB: Final = LatePattern("^س?[يتنا]([\u0621-\u064a]{3,})$")
_ARABIC_BOUND: Final = LatePattern("^([\u0621-\u064a]{2,})ت(?:ي|ك|ه|ها|نا|هم|كم|ين|ان)$")
"""The ending of the feminine becomes another letter before a suffix."""
_ANY: Final = "xx"
_BITS: Final = 16
"""Of the number of an entry."""

Entry = tuple[str, str]
"""A language, and a topic that a word of it brings."""


class _Words:
    """Words with their entries: by hashes, as 18,000 of them would otherwise take 4 MB."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._added: list[int] = []
        self._hashes = array("q")
        self._numbers = array("H")

    def add(self, word: str, entry: Entry) -> None:
        """Take in a word; those of one entry come one after the other."""
        if not self._entries or self._entries[-1] != entry:
            self._entries.append(entry)
        self._added.append(hash(word) << _BITS | len(self._entries) - 1)

    def sort(self) -> None:
        """Let `of` find what was added."""
        self._added.sort()
        self._hashes.extend(both >> _BITS for both in self._added)
        self._numbers.extend(both & (1 << _BITS) - 1 for both in self._added)
        self._added.clear()

    def of(self, word: str) -> list[Entry]:
        """Return the entries of a word, in the order of the list; empty where it has none."""
        hashed = hash(word)
        at = end = bisect_left(self._hashes, hashed)
        while end < len(self._hashes) and self._hashes[end] == hashed:
            end += 1
        return [self._entries[number] for number in self._numbers[at:end]]


class _Lexicon(msgspec.Struct):
    """The list: words, beginnings of words, words that are several, and runs of characters, each with its
    entries; and the topics that a topic is part of, itself among them."""

    words: _Words = msgspec.field(default_factory=_Words)
    beginnings: _Words = msgspec.field(default_factory=_Words)
    phrases: dict[str, dict[tuple[str, ...], list[Entry]]] = msgspec.field(default_factory=dict)
    runs: _Words = msgspec.field(default_factory=_Words)
    wider: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def add(self, entry: Entry, word: str) -> None:
        """Take in a folded word of the list."""
        language, _ = entry
        is_begun = word.endswith("*")
        word = word.rstrip("*")
        # Most are of letters only: it takes time to look for the parts of all.
        parts = (word,) if word.isalpha() else tuple(run for run, _ in tokens.runs(word.replace("_", " ")))
        if language in _UNSPACED:
            self.runs.add("".join(parts), entry)
        elif len(parts) > 1:
            self.phrases.setdefault(parts[0], {}).setdefault(parts, []).append(entry)
        elif parts:
            (self.beginnings if is_begun else self.words).add(parts[0], entry)


def load() -> None:
    """Read the list, so that no message waits for that."""
    with handed_over_soon():
        _lexicon()
        function_words.load()


def version() -> str:
    """Return what changes whenever a text may have other topics than before."""
    return f"{_RULES}/{zlib.crc32(_FILE.read_bytes()):08x}/{function_words.version()}"


def indexed(text: str) -> str:
    """Return the tokens of the topics of a text, with a space between them."""
    found = topics(text)
    return " ".join(map(_token, sorted(found))) if len(found) <= _MOST_TOLD else ""


def terms(text: str) -> list[Term]:
    """Return a term for each topic that a text asks for."""
    return list(map(term, named(text)))


def named(text: str, weight: float = 1.0) -> list[Named]:
    """Return what `terms` returns by their names, with that weight."""
    found = topics(text)
    if len(found) > _MOST_TOPICS:
        return []
    return [(_token(topic), weight) for topic in sorted(found)]


def topics(text: str) -> frozenset[str]:
    """Return what the beginning of a text is about."""
    lexicon = _lexicon()
    runs = tokens.distinct_runs(tokens.folded(text[:_MOST_CHARACTERS]))
    words = [run for run, is_unspaced in runs if not is_unspaced]
    unspaced = [run for run, is_unspaced in runs if is_unspaced]
    language = _language(words)
    found = [_meant(word, entries, language) for word in words if (entries := _entries(word))]
    if not lexicon.phrases.keys().isdisjoint(words):
        found += [_meant("", entries, language) for entries in _phrases(words)]
    if unspaced:
        is_japanese = any("\u3041" <= character <= "\u30fc" for character in chain(*unspaced))
        found += [_in_run(run, "ja" if is_japanese else "zh") for run in unspaced]
    return frozenset(chain.from_iterable(lexicon.wider[topic] for each in found for _, topic in each))


# The list -----------------------------------------------------------------------------------------


@cache
def _lexicon() -> _Lexicon:
    lexicon = _Lexicon()
    topic = ""
    for line in _lines():
        if line.startswith("="):
            topic, *parts_of = line[1:].split(" ")
            lexicon.wider[topic] = (topic, *parts_of)
        elif not line.startswith("#"):
            language, *words = tokens.folded(line).split(" ")
            entry = (language, topic)
            for word in words:
                lexicon.add(entry, word)
    for table in (lexicon.words, lexicon.beginnings, lexicon.runs):
        table.sort()
    for topic in lexicon.wider:
        lexicon.wider[topic] = tuple(_all_wider(lexicon.wider, topic))
    return lexicon


def _lines() -> Iterator[str]:
    with _FILE.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def _all_wider(wider: dict[str, tuple[str, ...]], topic: str) -> list[str]:
    every = [topic]
    for each in every:
        every += [wide for wide in wider[each] if wide not in every]
    return every


@cache
def _numbers() -> dict[str, int]:
    return {topic: number for number, topic in enumerate(_lexicon().wider)}


def _token(topic: str) -> str:
    # Shorter than the shortest of the beginnings that stand in the index.
    return f"{tokens.ALONE}{_numbers()[topic]:02x}"


# Words --------------------------------------------------------------------------------------------


def _language(words: list[str]) -> str | None:
    """Return the language that most of the words without a meaning of their own are of."""
    counts: dict[str, int] = {}
    for word in words:
        for language in function_words.languages(word):
            counts[language] = counts.get(language, 0) + 1
    return max(counts, key=lambda each: counts[each], default=None)


def _meant(word: str, entries: tuple[Entry, ...], language: str | None) -> list[Entry]:
    """Return those of the entries that are of the language, where some are: the same letters may be another
    word elsewhere. All, where none is, unless to the language they say nothing.
    """
    own = [entry for entry in entries if entry[0] in (language, _ANY)]
    if own or language in function_words.languages(word):
        return own
    return list(entries)


@lru_cache(maxsize=2_048)
def _entries(word: str) -> tuple[Entry, ...]:
    """Return what a word brings, also with an ending; an Arabic one with an article, a preposition, or the
    beginning of a verb; and one that is made of several, as in German, what its last part does.
    """
    if found := tuple(_looked_up(word)):
        return found
    if (stem := without_arabic_prefix(word)) != word and (found := tuple(_looked_up(stem))):
        return found
    if (verb := _ARABIC_VERB.match(word)) and (found := tuple(_looked_up(verb[1]))):
        return found
    return _of_last_part(word) if len(word) >= _SHORTEST_JOINED else ()


def _looked_up(word: str) -> Iterator[Entry]:
    lexicon = _lexicon()
    yield from lexicon.words.of(word)
    for length in range(1, _LONGEST_RUSSIAN_ENDING + 1):
        stem, ending = word[:-length], word[-length:]
        if len(stem) >= _SHORTEST_WITH_ENDINGS or (len(stem) >= _SHORTEST_WITH_ENDING and ending == "s"):
            for entry in lexicon.words.of(stem):
                if _may_end(entry[0], ending):
                    yield entry
    for length in range(2, len(word) + 1):
        yield from lexicon.beginnings.of(word[:length])
    if word[-1:] != "ه" and (bound := _ARABIC_BOUND.match(word)):
        yield from lexicon.words.of(f"{bound[1]}ه")


def _may_end(language: str, ending: str) -> bool:
    """Return whether the words of a language may have the ending."""
    if language == "en":
        return ending in _ENGLISH_ENDINGS
    return len(ending) <= _LONGEST_ENDING or language == "ru"


def _of_last_part(word: str) -> tuple[Entry, ...]:
    """Return what the longest word brings that a German one ends with."""
    lexicon = _lexicon()
    for at in range(_SHORTEST_WITH_ENDING, len(word) - _SHORTEST_PART + 1):
        part = word[at:]
        found = [*lexicon.words.of(part), *lexicon.beginnings.of(part)]
        if own := tuple([entry for entry in found if entry[0] == "de"]):
            return own
    return ()


def _phrases(words: list[str]) -> Iterator[tuple[Entry, ...]]:
    lexicon = _lexicon()
    for at, word in enumerate(words):
        for phrase, entries in lexicon.phrases.get(word, {}).items():
            if tuple(words[at : at + len(phrase)]) == phrase:
                yield tuple(entries)


def _in_run(run: str, language: str) -> list[Entry]:
    """Return what the parts of a run of characters bring, the longest first."""
    lexicon = _lexicon()
    found: list[Entry] = []
    at = 0
    while at < len(run):
        for length in range(_LONGEST_RUN, 0, -1):
            part = run[at : at + length]
            entries = lexicon.runs.of(part) if len(part) == length else []
            if not entries:
                continue
            own = [entry for entry in entries if entry[0] == language]
            if "\uac00" <= part[0] <= "\ud7a3":
                # One syllable is a word of Korean at the beginning only: behind it, it may be an ending.
                own = list(entries) if length > 1 or at == 0 else []
            elif not own and length > 1:
                own = list(entries)
            if own:
                found += own
                found += _in_parts(part, "ko" if "\uac00" <= part[0] <= "\ud7a3" else language)
                at += length - 1
                break
        at += 1
    return found


def _in_parts(word: str, language: str) -> Iterator[Entry]:
    """Yield what the words bring that a longer one is made of, which have two characters at least."""
    lexicon = _lexicon()
    for length in range(2, len(word)):
        for at in range(len(word) - length + 1):
            yield from (entry for entry in lexicon.runs.of(word[at : at + length]) if entry[0] == language)
