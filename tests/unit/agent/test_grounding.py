"""A fact that a model has found is kept only where the user said it."""

import pytest

from nanobot.agent.grounding import have_words_in_common, why_not


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("lives in Berlin", "I moved to Berlin last week"),
        ("works as a nurse at St. Mary", "i'm a nurse, at St. Mary since May"),
        ("has two cats called Kim and Jo", "My two cats are Kim and Jo."),
        ("lives in Berlin", "Berlin"),
        ("wohnt in Köln", "Ich wohne jetzt in Köln"),
        ("vit à Lyon", "J'habite à Lyon"),
        ("住在北京", "我住在北京，工作很忙"),
        ("ベルリンに住んでいる", "ベルリンに住んでいます"),
        ("서울에 산다", "저는 서울에 살아요"),
        ("يعيش في دمشق", "أعيش في دمشق"),
    ],
)
def test_what_the_user_said_is_a_fact(fact: str, said: str) -> None:
    assert why_not(fact, said, (said,)) == ""


@pytest.mark.parametrize(
    ("fact", "quote", "said"),
    [
        ("lives in Rome", "I moved to Berlin", "I moved to Berlin"),
        ("lives in Berlin", "I live in Berlin", "What is the weather in Berlin"),
        ("lives in Berlin", "", "I live in Berlin"),
        ("is a surgeon with three children", "I work a lot", "I work a lot"),
        ("lives in Berlin", "Do I live in Berlin?", "Do I live in Berlin?"),
        ("was born in 1984", "I was born in May", "I was born in May"),
        ("password is hunter2", "my password is hunter2", "my password is hunter2"),
        ("card 4111 1111 1111 1111", "card 4111 1111 1111 1111", "my card 4111 1111 1111 1111"),
        ("is the user", "I am the user", "I am the user"),
        ("住在上海", "我住在北京", "我住在北京"),
    ],
)
def test_what_the_user_did_not_say_is_none(fact: str, quote: str, said: str) -> None:
    assert why_not(fact, quote, (said,)) != ""


def test_a_quote_may_be_spaced_and_written_otherwise() -> None:
    assert why_not("lives in Berlin", "I LIVE in  Berlin", ("so\nI live in\nBerlin now",)) == ""


def test_only_facts_of_one_matter_take_each_others_place() -> None:
    assert have_words_in_common("lives in Rome", "lives in Berlin")
    assert have_words_in_common("住在罗马", "住在柏林")
    assert not have_words_in_common("likes tea", "lives in Berlin")
    assert not have_words_in_common("is a nurse", "has a cat")
