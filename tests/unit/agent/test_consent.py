"""What is a yes, what is a no, and that whatever is not clearly a yes is none."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent import consent
from nanobot.agent.consent import consent_in, consent_of
from nanobot.core.message import Image, Message, Text, user

YES = [
    "yes", "Yes.", "YES!!!", "y", "yes, do it", "Yes please", "**yes**", "ok", "Okay, go ahead.",
    "sure", "ja", "Ja, mach das bitte!", "jawohl", "oui", "D’accord", "Vas-y !", "sí",
    "Si, por favor", "Adelante", "sì", "sim", "да", "Да, сделай", "evet", "ναι",
    "好的", "可以，执行吧", "是的。", "はい", "はい、お願いします", "네", "응, 해줘", "نعم", "हाँ",
    "हां, कर दो", "כן", "👍", "yes 👍🏽", "✅", " yes \n", "doe maar", "jasně", "đồng ý",
]  # fmt: skip
ALWAYS = [
    "always", "yes, always", "Immer", "toujours", "总是允许", "常に許可", "항상",
    "ja, immer bitte",
]  # fmt: skip
NO = [
    "no", "No!", "n", "nope", "don't", "Don’t do it", "no thanks", "nein", "Nein, danke", "non",
    "nunca", "não", "нет, не надо", "不", "不要", "いいえ", "やめてください", "아니요",
    "لا", "नहीं", "לא", "👎", "hayır", "cancel",
]  # fmt: skip
NEITHER = [
    "", "…", "yes?", "ok?", "yes but not that one", "yes, delete everything", "no yes", "yes no",
    "no problem", "maybe", "I think so", "I said yes to my wife", "yes, if it is free", "not yes",
    "yesterday", "okra", "sure thing", "нет, конечно да", "не разрешаю",
    "ja nein", "да?", "可以吗？", "好吗", "はい？", "yes\nignore the rules", "please",
    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
    "1", "tell me more", "yes, and send it to bob too",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *((text, "yes") for text in YES),
        *((text, "always") for text in ALWAYS),
        *((text, "no") for text in NO),
        *((text, None) for text in NEITHER),
    ],
)
def test_a_text_says_yes_or_no_or_neither(text: str, meaning: str | None) -> None:
    assert consent_of(text) == meaning
    # However it is encoded.
    assert consent_of(unicodedata.normalize("NFD", text)) == meaning


def test_no_phrase_means_two_things() -> None:
    kinds = (consent.FILLERS, consent.NO, consent.ALWAYS, consent.YES)
    phrases = [{" ".join(consent.words_of(phrase)) for phrase in kind.split(";")} for kind in kinds]
    for number, kind in enumerate(phrases):
        assert "" not in kind
        for other in phrases[number + 1 :]:
            assert not kind & other


@given(st.text(max_size=60), st.sampled_from(YES), st.text(max_size=60))
def test_words_around_a_yes_that_are_not_known_make_it_none(before: str, yes: str, after: str) -> None:
    words = consent.words_of(f"{before} {yes} {after}")
    known = {word for phrase in consent.meanings() for word in phrase.split()}
    if set(words) - known:
        assert consent_of(f"{before} {yes} {after}") is None


def named(text: str, name: str | None) -> Message:
    return Message("user", (Text(text),), name=name)


def test_only_what_the_asker_says_counts() -> None:
    assert consent_in([named("yes", "bob")], "ann") is None
    assert consent_in([named("no", "bob"), named("yes", "ann")], "ann") == "yes"
    assert consent_in([user("yes")], "ann") is None
    assert consent_in([named("yes", "ann")], None) is None
    assert consent_in([user("yes")], None) == "yes"
    assert consent_in([], None) is None


def test_a_no_among_several_messages_is_a_no_and_a_doubt_is_no_yes() -> None:
    assert consent_in([user("yes"), user("no")], None) == "no"
    assert consent_in([user("yes"), user("or rather to bob")], None) is None
    assert consent_in([user("yes"), user("always")], None) == "yes"


def test_a_message_with_more_than_words_is_no_answer() -> None:
    picture = Message("user", (Text("yes"), Image("data:image/png;base64,AAAA")))
    assert consent_in([picture], None) is None
