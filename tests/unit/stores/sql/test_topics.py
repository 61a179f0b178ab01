"""What a text is about is known by its words, in each of the languages of the list."""

from pathlib import Path

import pytest

from nanobot.stores.sql import function_words, tokens, topics
from nanobot.stores.sqlite import index
from nanobot.testing import ScriptedModel
from tests.harness import OpenHarness


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("We keep two kittens.", "Do I have any pets?"),
        ("I'm a violinist's wife and play the cello.", "Which instrument is mine?"),
        ("Mein Bruder lernt Gitarre.", "Habe ich Geschwister?"),
        ("J'ai une chienne.", "Quels animaux est-ce que j'ai ?"),
        ("Tengo una moto roja.", "¿Qué vehículo conduzco?"),
        ("Il mio gatto dorme sempre.", "Quali animali ho?"),
        ("Meu filho toca violão.", "Quem é da minha família?"),
        ("Моя сестра живёт в Казани.", "Где живут мои родственники?"),
        ("أختي تسكن في القاهرة", "أين يسكن أقاربي؟"),
        ("我姐姐喜欢钢琴。", "我家人会什么乐器？"),
        ("私は猫を飼っています。", "どんなペットがいますか"),
        ("제 여동생은 피아노를 쳐요.", "우리 가족은 어떤 악기를 해요?"),
    ],
)
def test_what_was_told_and_what_asks_for_it_in_other_words_have_a_topic(told: str, asked: str) -> None:
    assert topics.topics(told) & topics.topics(asked)


def test_a_word_brings_its_topic_and_the_wider_ones() -> None:
    assert topics.topics("poodles") == {"dog", "pet"}


def test_a_word_is_known_with_an_ending_and_without_accents() -> None:
    assert topics.topics("CAFÉS") == topics.topics("cafe") != frozenset()
    assert "work" in topics.topics("in unseren Büros arbeitet niemand")


def test_an_ending_that_english_has_not_makes_another_word() -> None:
    assert "phone" in topics.topics("my cells")
    assert "phone" not in topics.topics("my cello")


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("سيارتنا قديمة", "car"),
        ("بسيارتي", "car"),
        ("هو يعزف كل يوم", "music"),
        ("ستسكن هناك", "home"),
    ],
)
def test_an_arabic_word_is_known_as_a_verb_and_before_a_suffix(text: str, topic: str) -> None:
    assert topic in topics.topics(text)


def test_a_word_made_of_several_is_about_what_its_last_part_is() -> None:
    assert "furniture" in topics.topics("der Küchenschrank")
    assert "appliance" in topics.topics("unser Altkühlschrank")


@pytest.mark.parametrize("text", ["他是音乐家", "音楽家です", "음악가예요"])
def test_a_word_without_spaces_is_also_about_what_its_parts_are(text: str) -> None:
    assert {"music", "profession"} <= topics.topics(text)


def test_several_words_together_bring_a_topic_that_none_of_them_does() -> None:
    assert "spice" in topics.topics("a hot sauce")
    assert "spice" not in topics.topics("a sauce that is hot")


def test_the_same_letters_are_the_word_of_the_language_that_is_spoken() -> None:
    assert topics.topics("J'ai du pain avec moi") == {"bakery", "food"}
    assert topics.topics("there is a pain in my back") == {"body", "bodypart", "health"}


def test_words_that_a_sentence_needs_are_about_nothing() -> None:
    assert topics.topics("ich bin es und du bist es") == frozenset()


def test_a_question_about_very_much_asks_for_no_topic() -> None:
    everything = "food dog house job school language city car music film shirt money phone password religion"
    assert len(topics.topics(everything)) > 12
    assert topics.terms(everything) == []


def test_no_word_of_a_text_is_the_token_of_a_topic() -> None:
    token = topics.indexed("poodles").split()[0]
    assert token not in tokens.indexed(f"{token} {token[1:]} poodles").split()


def test_of_a_long_text_only_the_beginning_is_about_something() -> None:
    assert topics.topics(f"{'x ' * 1_000} poodle") == frozenset()


def test_another_list_makes_another_version_of_the_index(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = index.version()
    changed = tmp_path / "topics.txt"
    changed.write_text("=food\nen cheese\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(topics, "_FILE", changed)
        assert index.version() != before
    monkeypatch.setattr(function_words, "_FILE", changed)
    assert index.version() != before


async def test_a_server_that_listens_has_read_the_list(open_harness: OpenHarness) -> None:
    topics._lexicon.cache_clear()  # noqa: SLF001 - whether it was read is not to be seen otherwise
    harness = await open_harness(ScriptedModel())
    await harness.app.warm()
    assert topics._lexicon.cache_info().currsize == 1  # noqa: SLF001
