"""An answer to a question about the user does not begin as if the model spoke of itself."""

import pytest

from nanobot.core.message import Message, Text, user
from nanobot.models.local.notation import answer_grammar
from nanobot.models.local.persons import not_to_begin_as, not_to_begin_with, tells
from tests.gbnf import accepts


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("When is my birthday?", "My"),
        ("What am I allergic to?", "I'm"),
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


@pytest.mark.parametrize(
    ("answer", "is_allowed"),
    [
        ("My name is Ann.", False),
        ("Mystery.", True),
        ("I live in Rome.", False),
        ("I'm Ann.", False),
        ("I'mSorry.", False),
        ("I_am_Ann.", False),
        ("My-name.", False),
        ("It is May.", True),
        ("In May.", True),
        ("Your name is Ann.", True),
        ("[My name]", False),
    ],
)
def test_the_grammar_leaves_out_these_beginnings_and_only_these(answer: str, *, is_allowed: bool) -> None:
    grammar = answer_grammar([], may_recall=False, not_first=("My ", "I ", "I'm"))
    assert accepts(grammar, answer) is is_allowed


@pytest.mark.parametrize(
    ("question", "answer", "is_allowed"),
    [
        ("Where do I live?", "Ilive in Berlin.", False),
        ("When do we meet?", "We meet at 5.", True),
        ("Comment je m'appelle ?", "Jem'appelle Ben.", False),
        ("Where do I live?", "In Berlin.", True),
        ("Where do I live?", "Italy.", True),
        ("When do we meet?", "Wednesday at 5.", True),
        ("Quand est-ce que je pars ?", "Jeudi.", True),
    ],
)
def test_a_word_that_is_left_to_the_user_is_not_written_without_its_space(
    question: str, answer: str, *, is_allowed: bool
) -> None:
    grammar = answer_grammar([], may_recall=False, not_first=not_to_begin_with(question))
    assert accepts(grammar, answer) is is_allowed


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
    ("said", "beginnings"),
    [
        (["Three?", "Kirsche, Apfel und Birne.", "Übersetze sie ins Englische."], ["Kirsche"]),
        (["The sea?", "The sea is vast.", "Now translate it to German."], ["The "]),
        (["春天", "春天是温暖的季节。", "翻译成英文。"], ["春天是"]),
        (
            [
                "The moon?",
                "The moon is far.",
                "Translate that to French.",
                "La lune est loin.",
                "And to Italian.",
            ],
            ["La lune", "The moon"],
        ),
        (
            ["?", "Der Winter.", "Übersetze ihn ins Englische.", "The winter.", "Und auf Französisch?"],
            ["The winter", "Der Winter"],
        ),
        (
            ["?", "Un chat.", "Translate it.", "A cat.", "In German?", "Eine Katze.", "And in Spanish?"],
            ["Eine Katze", "A cat", "Un chat"],
        ),
    ],
)
def test_a_translation_does_not_begin_as_what_is_translated(said: list[str], beginnings: list[str]) -> None:
    found = not_to_begin_as(exchanged(said[:-1]), said[-1])
    assert list(found[: len(beginnings)]) == beginnings


def test_what_was_said_is_not_said_again_with_another_capital() -> None:
    said = exchanged(
        ["?", "Der Winter.", "Übersetze ihn ins Englische.", "The winter.", "Und auf Französisch?"]
    )
    assert "Der winter" in not_to_begin_as(said[:-1], "Und auf Französisch?")


def test_a_translation_does_not_ask_for_the_text_that_is_there() -> None:
    said = exchanged(["La luna?", "La luna è lontana."])
    assert {"Sure", "Please"} <= set(not_to_begin_as(said, "Traducila in inglese."))


@pytest.mark.parametrize(
    "said",
    [
        ["The sea?", "The sea is vast.", "Say it again."],
        ["Translate it."],
        ["The sea?", "The sea.", "Translate this: " + "x" * 90],
        # Each of these answers may well begin with "In".
        ["How do you say 'please' in Italian?", "In Italian it is 'per favore'.", "And in French?"],
        ["Where is Oslo?", "In Norway.", "Where do they speak French?"],
    ],
)
def test_other_answers_may_begin_as_the_one_before(said: list[str]) -> None:
    assert not_to_begin_as(exchanged(said[:-1]), said[-1]) == ()


def exchanged(said: list[str]) -> tuple[Message, ...]:
    return tuple(
        Message("assistant", (Text(text),)) if at % 2 else user(text) for at, text in enumerate(said)
    )


@pytest.mark.parametrize("question", ["Come mi chiamo?", "What is my name?", "Wie heißt mein Hund?"])
def test_an_answer_about_the_user_is_no_greeting(question: str) -> None:
    assert {"Ciao", "Hello", "Hallo"} <= set(not_to_begin_with(question))
