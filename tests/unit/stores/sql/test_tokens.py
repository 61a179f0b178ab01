"""Tokens: one form for what is the same word, pairs where no spaces are set, and bounded work."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.stores.sql import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Quick, brown_fox!", "the quick brown fox"),
        ("Zoë läuft zur Straße", "zoe lauft zur strasse"),
        ("Łódź, København, Đà Nẵng", "lodz kobenhavn da nang"),
        ("IŞIK ışık Ægir œuvre", "isik isik aegir oeuvre"),
        ("ＮＡＮＯ ﬁsh ①", "nano fish 1"),
        ("北京市", "北京 京市 市 ·北 ·京 ·市"),
        ("我在iPhone上", "我在 在 iphone 上 ·我 ·在 ·上"),
        ("ｶﾞｷﾞ", "ガギ ギ"),
        ("서울에 살아", "서울 울에 에 살아 아 ·서 ·울 ·에 ·살 ·아"),
        ("أَحْمَدُ إلى مدينة", "احمد الي مدينه"),
        ("عــربي ١٢٣", "عربي 123"),
        ("की किताब", "की किताब"),
        ("สวัส", "สว วั ัส ส"),
        ("שָׁלוֹם", "שלום"),
        ("x" * 100, "x" * tokens.LONGEST),
        ("***", ""),
    ],
)
def test_a_text_has_its_words_in_one_form(text: str, expected: str) -> None:
    assert tokens.indexed(text) == expected
    assert tokens.indexed(unicodedata.normalize("NFD", text)) == expected


@pytest.mark.parametrize(
    ("text", "is_open", "expected"),
    [
        ("quick", True, tokens.Phrase(("quick",), True)),
        ("quick", False, tokens.Phrase(("quick",), False)),
        ("北京", True, tokens.Phrase(("北京",), False)),
        ("京", False, tokens.Phrase(("·京",), False)),
        ("の", False, tokens.Phrase(("の",), True)),
        ("x京", True, tokens.Phrase(("x", "京"), True)),
        ("北京市の", True, tokens.Phrase(("北京", "京市", "市の"), False)),
        ("北京 iPhone", True, tokens.Phrase(("北京", "京", "iphone"), True)),
        ("…", True, None),
    ],
)
def test_a_phrase_has_the_tokens_that_its_texts_have(
    text: str, is_open: bool, expected: tokens.Phrase | None
) -> None:
    assert tokens.phrase(text, is_open=is_open) == expected


def is_in(phrase: tokens.Phrase, indexed: list[str]) -> bool:
    *before, last = phrase.tokens
    size = len(phrase.tokens)
    return any(
        indexed[at : at + size - 1] == before
        and (indexed[at + size - 1].startswith(last) if phrase.is_open else indexed[at + size - 1] == last)
        for at in range(len(indexed) - size + 1)
    )


_SIGNS = st.text(alphabet="aB ßé北京都のは서울한글สวัด،عربيةأ1٢.\u0301", max_size=20)


@settings(deadline=None)
@given(_SIGNS, _SIGNS, _SIGNS)
def test_what_stands_between_spaces_is_found_whatever_stands_around_it(
    before: str, text: str, after: str
) -> None:
    phrase = tokens.phrase(text, is_open=False)
    if phrase is not None:
        assert is_in(phrase, tokens.indexed(f"{before} {text} {after}").split())


@settings(deadline=None)
@given(st.text(alphabet="北京都のは서울한글", min_size=1, max_size=20), st.data())
def test_any_part_of_a_sentence_without_spaces_is_found(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    phrase = tokens.phrase(text[start:end], is_open=False)
    assert phrase is not None
    assert is_in(phrase, tokens.indexed(text).split())


@settings(deadline=None)
@given(st.text())
def test_tokens_hold_nothing_that_the_index_would_separate_or_leave_out(text: str) -> None:
    for token in tokens.indexed(text).split(" "):
        assert all(ord(character) > 127 or character.isalnum() for character in token)
        assert "\0" not in token


@settings(deadline=None)
@given(st.text())
def test_a_form_is_its_own_form(text: str) -> None:
    indexed = tokens.indexed(text)
    assert [each for each, _ in tokens.runs(tokens.folded(indexed))] or not indexed


class Traced:
    """Counts the lines of Python that run meanwhile."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, frame: object, event: str, argument: object) -> "Traced":
        self.lines += 1
        return self

    def __enter__(self) -> "Traced":
        self._before = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)


@pytest.mark.parametrize("unit", ["é", "北", "e\u0301\u0316", "word ", "ß "])
def test_the_work_grows_with_the_text_and_ends_where_the_bound_is(unit: str) -> None:
    def lines(length: int) -> int:
        with Traced() as traced:
            tokens.indexed(unit * (length // len(unit)))
        return traced.lines

    assert lines(40_000) <= 11 * lines(4_000)
    bound = tokens.MOST_CHARACTERS
    assert tokens.indexed("é" * bound) == tokens.indexed("é" * (bound + 100))


_PLAIN = st.text(st.characters(max_codepoint=0x8FF, categories=("L", "M", "N", "P", "S", "Z")), max_size=60)


@settings(deadline=None)
@given(_PLAIN | st.text(max_size=60))
def test_a_text_has_the_same_words_beside_those_of_another_script(text: str) -> None:
    """Texts without such words are read in a quicker way."""
    own = tokens.folded(text)
    beside = tokens.tokens_of(f"{own} \u3042")
    assert [each for each in beside if "\u3042" not in each] == [
        each for each in tokens.tokens_of(own) if "\u3042" not in each
    ]
    assert tokens.distinct_runs(own) == list(dict.fromkeys(tokens.runs(own)))


@settings(deadline=None)
@given(st.text(alphabet="aB ßé北京のสวัสعر1.", max_size=30), st.integers(0, 6))
def test_a_text_has_so_many_words_or_fewer(text: str, fewest: int) -> None:
    own = tokens.folded(text)
    count = sum(len(run) if is_unspaced else 1 for run, is_unspaced in tokens.runs(own))
    assert tokens.has_words(own, fewest) == (count >= fewest)


def test_whether_a_long_text_has_a_few_words_is_seen_at_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recall asks that of each message that it compares."""
    words = iter([("word", False)] * 1_000)
    monkeypatch.setattr(tokens, "runs", lambda text: words)
    assert tokens.has_words("word " * 1_000, 3)
    assert len(list(words)) == 997


DIFFERENT = (
    "".join(map(chr, range(0x4E00, 0x9FFF))) * 4,
    " ".join(f"word{number}" for number in range(60_000)),
    " ".join(f"wörd{number}" for number in range(45_000)),
)


@pytest.mark.parametrize("text", DIFFERENT)
def test_a_text_brings_the_index_no_more_different_tokens_than_may_be(text: str) -> None:
    # In the first one the same pairs come again and again.
    text = text if " " in text else "".join(text[at::7] for at in range(7))
    found = tokens.indexed(text).split()
    assert len(set(found)) <= tokens.MOST_DIFFERENT
    assert found == tokens.tokens_of(tokens.folded(text[: tokens.MOST_CHARACTERS]))[: len(found)]
    assert len(found) >= tokens.MOST_DIFFERENT


def test_the_same_words_over_and_over_are_all_searched() -> None:
    assert len(tokens.indexed("word " * 80_000).split()) == 80_000


@pytest.mark.parametrize("letter", ["o", "ö"])
def test_long_texts_have_the_words_of_short_ones(letter: str) -> None:
    piece = f"One, tw{letter}! Thr_ee 4 "
    assert tokens.indexed(piece * 1_000).split() == tokens.indexed(piece).split() * 1_000


def test_characters_that_stand_for_many_bring_no_more_than_may_be() -> None:
    """One becomes eighteen in the form in which words are compared."""
    assert len(tokens.indexed("\ufdfa" * tokens.MOST_CHARACTERS)) <= 2 * tokens.MOST_CHARACTERS


def test_a_long_word_of_such_characters_is_compared_by_its_beginning() -> None:
    assert len(tokens.folded("\ufdfa" * 500)) <= 5 * 500
    assert tokens.folded("\ufdfa") == tokens.folded("صلى الله عليه وسلم")
