"""What a text is about: topics such as food, family or work, by a list of words in eleven languages.

Who asks "What must I not eat?" shares no word with who said to be allergic to peanuts, but a topic. The list,
`topics.txt`, is a part of the index: a message has a token for each of its topics.
"""

import zlib
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from nanobot.stores.sql import tokens
from nanobot.stores.sql.terms import Named, Term, term, without_arabic_prefix

_FILE: Final = Path(__file__).with_name("topics.txt")
_RULES: Final = 1
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
_ANY: Final = "xx"

Entry = tuple[str, str]
"""A language, and a topic that a word of it brings."""


class _Lexicon(msgspec.Struct):
    """The list: words, beginnings of words, words that are several, and runs of characters, each with its
    entries; the topics that a topic is part of, itself among them; and the words of each language that say
    nothing but which one it is.
    """

    words: dict[str, list[Entry]] = msgspec.field(default_factory=dict)
    beginnings: dict[str, list[Entry]] = msgspec.field(default_factory=dict)
    phrases: dict[str, dict[tuple[str, ...], list[Entry]]] = msgspec.field(default_factory=dict)
    runs: dict[str, list[Entry]] = msgspec.field(default_factory=dict)
    wider: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    empty: dict[str, list[str]] = msgspec.field(default_factory=dict)

    def add(self, entry: Entry, word: str) -> None:
        """Take in a folded word of the list."""
        language, _ = entry
        is_begun = word.endswith("*")
        word = word.rstrip("*")
        # Most are of letters only: it takes time to look for the parts of all.
        parts = (word,) if word.isalpha() else tuple(run for run, _ in tokens.runs(word.replace("_", " ")))
        if language in _UNSPACED:
            self.runs.setdefault("".join(parts), []).append(entry)
        elif len(parts) > 1:
            self.phrases.setdefault(parts[0], {}).setdefault(parts, []).append(entry)
        elif parts:
            (self.beginnings if is_begun else self.words).setdefault(parts[0], []).append(entry)


def version() -> str:
    """Return what changes whenever a text may have other topics than before."""
    return f"{_RULES}/{zlib.crc32(_FILE.read_bytes()):08x}"


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
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("="):
            topic, *parts_of = line[1:].split(" ")
            lexicon.wider[topic] = (topic, *parts_of)
        elif not line.startswith("#"):
            language, *words = tokens.folded(line).split(" ")
            entry = (language, topic)
            for word in words:
                if topic:
                    lexicon.add(entry, word)
                else:
                    lexicon.empty.setdefault(word, []).append(language)
    for topic in lexicon.wider:
        lexicon.wider[topic] = tuple(_all_wider(lexicon.wider, topic))
    return lexicon


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
    empty = _lexicon().empty
    counts: dict[str, int] = {}
    for word in words:
        for language in empty.get(word, ()):
            counts[language] = counts.get(language, 0) + 1
    return max(counts, key=lambda each: counts[each], default=None)


def _meant(word: str, entries: tuple[Entry, ...], language: str | None) -> list[Entry]:
    """Return those of the entries that are of the language, where some are: the same letters may be another
    word elsewhere. All, where none is, unless to the language they say nothing.
    """
    own = [entry for entry in entries if entry[0] in (language, _ANY)]
    if own or language in _lexicon().empty.get(word, ()):
        return own
    return list(entries)


@lru_cache(maxsize=8_192)
def _entries(word: str) -> tuple[Entry, ...]:
    """Return what a word brings, also with an ending, and an Arabic one with an article or a preposition."""
    found = tuple(_looked_up(word))
    if not found and (stem := without_arabic_prefix(word)) != word:
        return tuple(_looked_up(stem))
    return found


def _looked_up(word: str) -> Iterator[Entry]:
    lexicon = _lexicon()
    yield from lexicon.words.get(word, ())
    for length in range(1, _LONGEST_RUSSIAN_ENDING + 1):
        stem, ending = word[:-length], word[-length:]
        if len(stem) >= _SHORTEST_WITH_ENDINGS or (len(stem) >= _SHORTEST_WITH_ENDING and ending == "s"):
            for entry in lexicon.words.get(stem, ()):
                if length <= _LONGEST_ENDING or entry[0] == "ru":
                    yield entry
    for length in range(2, len(word) + 1):
        yield from lexicon.beginnings.get(word[:length], ())


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
            entries = lexicon.runs.get(part, ()) if len(part) == length else ()
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
                at += length - 1
                break
        at += 1
    return found
