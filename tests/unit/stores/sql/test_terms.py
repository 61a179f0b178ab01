"""Terms: what is looked for, a bounded number of them whatever the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.stores.sql import terms, tokens


def phrases(text: str) -> list[str]:
    return [
        " ".join(phrase.tokens) + ("*" if phrase.is_open else "")
        for term in terms.terms(text)
        for phrase in term.phrases
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wohnt Zoë da?", ["wohnt", "wohn*", "zoe", "da"]),
        ("我姐姐在", ["我姐", "姐姐", "姐在"]),
        ("京", ["·京"]),
        ("の", []),
        ("seit 20260314", ["seit", "20260314"]),
        ("Krankenversicherungen", ["krankenversicherungen", "krankenv*"]),
        ("ไปนา", ["ไป ปน", "ปน นา"]),
        ("me me ME", ["me"]),
        ("?!", []),
    ],
)
def test_a_text_has_the_terms_of_its_words(text: str, expected: list[str]) -> None:
    assert phrases(text) == expected


@pytest.mark.parametrize("word", ["سيارة", "السيارة", "بالسيارة", "والسيارة", "للسيارة"])
def test_an_arabic_word_is_looked_for_with_and_without_what_is_written_together_with_it(word: str) -> None:
    assert {"سيار*", "السيار*", "بالسيار*", "والسيار*", "للسيار*"} <= set(phrases(word))


@settings(deadline=None)
@given(st.text(max_size=300) | st.text("abcdefgäéßжйسيرتاول ", max_size=300))
def test_the_index_has_each_beginning_that_is_looked_for_but_the_shortest_roots(text: str) -> None:
    begun = [phrase for term in terms.terms(text) for phrase in term.phrases if phrase.is_open]
    lengths = {len(phrase.tokens[-1]) for phrase in begun}
    assert lengths <= {3, *tokens.STEM_LENGTHS}
    assert all(len(phrase.tokens) == 1 for phrase in begun)


def test_single_characters_are_those_that_mean_something() -> None:
    found = [term.phrases[0].tokens[0] for term in terms.single_characters("猫がいる cat 개")]
    assert found == ["·猫", "·개"]


@settings(deadline=None)
@given(st.text(max_size=3_000))
def test_there_is_a_bound_on_the_terms_and_no_two_are_the_same(text: str) -> None:
    for found in (terms.terms(text), terms.single_characters(text)):
        assert len(found) <= terms.MOST_TERMS
        assert len({term.phrases for term in found}) == len(found)
        assert all(token for term in found for phrase in term.phrases for token in phrase.tokens)


def test_of_a_long_text_the_beginning_and_the_end_count() -> None:
    found = phrases("first " + "word filler " * 100_000 + "last")
    assert "first" in found and "last" in found
    assert max(map(len, found)) - 1 <= tokens.LONGEST


@pytest.mark.parametrize(
    "text",
    [
        "What would that be about?",
        "Was hast du denn da?",
        "¿Qué es lo que hay?",
        "Qu'est-ce que c'est ?",
        "Что это было?",
        "ما هذا الذي كان؟",
        "那是什么?",
        "それは何ですか",
        "그건 뭐예요?",
    ],
)
def test_words_that_say_nothing_count_little_or_not_at_all(text: str) -> None:
    assert {term.weight for term in terms.terms(text)} <= {terms.FUNCTION_SHARE, terms.FUNCTION_SHARE / 2}
    assert terms.terms(text, 0.0) == []


def test_beside_them_a_word_that_says_something_counts_in_full() -> None:
    by_word = {term.phrases[0].tokens: term.weight for term in terms.terms("What is the cat?")}
    assert by_word[("cat",)] == 1.0
    assert [term.phrases[0].tokens for term in terms.terms("What is the cat?", 0.0)] == [("cat",)]
