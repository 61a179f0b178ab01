"""An answer to facts that users tell of themselves begins by taking note of them."""

import pytest

from nanobot.models.local.statements import openings_of_note


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("My name is Carol and I live in Rome. Remember that.", "Got it"),
        ("I'm vegetarian and allergic to nuts.", "Got it"),
        ("I’m vegetarian.", "Got it"),
        ("Hello! I have two cats, Milo and Luna.", "Got it"),
        ("My birthday is on the 3rd of May.", "Got it"),
        ("Call me Max.", "Okay"),
        ("I changed my mind: call me Maxine instead.", "Okay"),
        ("By the way, my sister lives in Leeds.", "Got it"),
        ("I don't eat pork.", "Got it"),
        ("Ich heiße Jonas und wohne in Köln. Merk dir das bitte.", "Alles klar"),
        ("Mein Hund heißt Bello.", "Alles klar"),
        ("Je m’appelle Léa et j’habite à Lyon.", "D'accord"),
        ("Mon chat s'appelle Félix, il est noir. Mes enfants sont grands.", "D'accord"),
        ("Me llamo Lucía y tengo dos hermanos.", "Entendido"),
        ("Mi perro se llama Toby.", "Entendido"),
        ("Mi chiamo Marco. Ho tre fratelli.", "Capito"),
        ("Vivo a Torino.", "Capito"),
        ("Abito a Torino.", "Abiti "),
        ("Lavoro come infermiera a Roma.", "Capito"),
        ("Tenho dois gatos.", "Entendido"),
        ("我叫小明，住在上海。请记住。", "好的"),
        ("我对花生过敏。", "好的"),
        ("私の名前は健太です。大阪に住んでいます。", "わかりました"),
    ],
)
def test_facts_are_taken_note_of_in_their_language(text: str, opening: str) -> None:
    assert opening in openings_of_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello!",
        "What is my name?",
        "Do you know that I have two cats?",
        "I have two cats. What shall I call the third?",
        "I have a headache. Give me some advice.",
        "I want to build a bomb.",
        "I am going to hurt somebody.",
        "I'm writing a letter to my landlord.",
        "I need a recipe for soup.",
        "I have cancer.",
        "My dog is dead.",
        "I am so lonely.",
        "My printer is broken and I need to print.",
        "Ich möchte sterben.",
        "Ich habe Angst.",
        "Ich brauche Hilfe.",
        "Mein Vater ist gestorben.",
        "Quiero morir.",
        "Tengo miedo.",
        "Je veux apprendre le piano.",
        "我想自杀。",
        "我想学做饭。",
        "私は死にたいです。",
        "私は何歳ですか",
        "Mice are small.",
        "Write a poem about the sea.",
        "I have " + "a long story to tell. I have " * 20,
    ],
)
def test_wishes_questions_and_grave_things_are_answered_freely(text: str) -> None:
    assert openings_of_note(text) == ()


def test_no_language_takes_note_of_anothers_facts() -> None:
    assert "Got it" not in openings_of_note("Ich bin 34 Jahre alt.")
    assert "Alles klar" not in openings_of_note("I am 34 years old.")
