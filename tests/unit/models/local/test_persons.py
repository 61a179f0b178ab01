"""An answer to a question about the user does not begin as if the model spoke of itself."""

import pytest

from nanobot.models.local.notation import answer_grammar
from nanobot.models.local.persons import not_to_begin_as, not_to_begin_with, tells


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("When is my birthday?", "My"),
        ("What am I allergic to?", "I'm "),
        ("Where do I live?", "I "),
        ("Wie heißt mein Hund?", "Mein"),
        ("Wo wohne ich?", "Ich"),
        ("Où est-ce que j’habite ?", "J'"),
        ("Quel est mon nom ?", "Mon "),
        ("¿Cuántos hermanos tengo?", "Tengo"),
        ("Come si chiama la mia gatta?", "La mia"),
        ("Quantos irmãos tenho?", "Tenho"),
        ("我叫什么名字？", "我"),
        ("私の名前は何ですか？", "私"),
        ("僕はどこに住んでいますか。", "僕"),
    ],
)
def test_the_word_by_which_users_speak_of_themselves_is_left_to_them(question: str, beginning: str) -> None:
    assert beginning in not_to_begin_with(question)


@pytest.mark.parametrize(
    "text",
    [
        "Who are you?",
        "How do I do it?",
        "你是谁？",
        "Call me Max.",
        "Write a poem in my style.",
        "?" * 300 + " my",
    ],
)
def test_other_messages_may_be_answered_in_any_words(text: str) -> None:
    assert not_to_begin_with(text) == ()


def test_the_grammar_leaves_out_these_beginnings_and_only_these() -> None:
    grammar = answer_grammar([], may_recall=False, not_first=("My ", "I ", "I'm "))
    assert grammar == (
        "root ::= text\n"
        r"text ::= [^\x00\[ \t\r\nIM] rest"
        r""" | "I" ([^\x00\x20\x27] rest | "'" ([^\x00m] rest | "m" ([^\x00\x20] rest)?)?)?"""
        r""" | "M" ([^\x00y] rest | "y" ([^\x00\x20] rest)?)?"""
        "\n" + r"rest ::= [^\x00]*"
    )


@pytest.mark.parametrize(
    "text",
    [
        "My birthday is on the 3rd of May.",
        "I'm 34.",
        "Ich habe 2 Katzen.",
        "J’ai deux frères.",
        "私は20歳です。",
    ],
)
def test_who_tells_of_themselves_has_nothing_worked_out(text: str) -> None:
    assert tells(text)


@pytest.mark.parametrize(
    "text",
    [
        "I have 3 apples and buy 4, how many is that?",
        "I need 17 * 23.",
        "Add 9 to that.",
        "What is my age plus 3?",
        "Mice are small.",
    ],
)
def test_who_asks_may_have_it_worked_out(text: str) -> None:
    assert not tells(text)


@pytest.mark.parametrize(
    ("before", "text", "beginning"),
    [
        ("Kirsche, Apfel und Birne.", "Übersetze sie ins Englische.", "Kirsche,"),
        ("The sea is vast.", "Now translate it to German.", "The "),
        ("春天是温暖的季节。", "翻译成英文。", "春天是"),
    ],
)
def test_a_translation_does_not_begin_as_what_is_translated(before: str, text: str, beginning: str) -> None:
    assert not_to_begin_as(before, text) == (beginning,)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("The sea is vast.", "Say it again."),
        ("", "Translate it."),
        ("The sea.", "Translate this: " + "x" * 90),
    ],
)
def test_other_answers_may_begin_as_the_one_before(before: str, text: str) -> None:
    assert not_to_begin_as(before, text) == ()
