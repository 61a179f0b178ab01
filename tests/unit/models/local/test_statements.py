"""An answer to facts that users tell of themselves begins by taking note of them."""

import pytest

from nanobot.models.local.notation import opened_grammar
from nanobot.models.local.statements import note_of
from tests.gbnf import accepts


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
    assert opening in note_of(text).openings


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
        # What is to be worked on is not told.
        "Translate into German: I have lost my key.",
        "Please correct the mistakes: I am went to the market.",
        "Übersetze ins Englische: Ich habe meinen Schlüssel verloren.",
        "Korrigiere bitte: Ich habe gestern in den Park gegangt.",
        "Corrige les fautes : je suis allez au marché hier avec mes amie.",
        "Corrige: tengo veinte año.",
        "Traduci in inglese: ho perso le chiavi.",
        "Traduza para inglês: eu tenho um gato.",
        "翻译成英文：我有一只猫。",
        "英語に訳して：私は学生です。",
        "Write a poem about the sea.",
        "I have " + "a long story to tell. I have " * 20,
    ],
)
def test_wishes_questions_and_grave_things_are_answered_freely(text: str) -> None:
    assert note_of(text).openings == ()


def test_no_language_takes_note_of_anothers_facts() -> None:
    assert "Got it" not in note_of("Ich bin 34 Jahre alt.").openings
    assert "Alles klar" not in note_of("I am 34 years old.").openings


@pytest.mark.parametrize(
    ("told", "echo", "answer"),
    [
        (
            "Merk dir, dass mein Arzttermin am Freitag ist.",
            "Alles klar, mein Arzttermin ist am Freitag.",
            "Alles klar, dein Arzttermin ist am Freitag.",
        ),
        (
            "Ricorda che il mio gatto si chiama Briciola.",
            "Va bene, il mio gatto si chiama Briciola.",
            "Va bene, il tuo gatto si chiama Briciola. Mi dirai di lui?",
        ),
        ("Mon chat s'appelle Félix.", "D'accord, mon chat est là.", "D'accord, ton chat se montre."),
        ("Mi perro se llama Toby.", "Entendido, mi perro.", "Entendido, miro por tu perro mil veces."),
        ("O meu carro é azul.", "Entendido: o meu carro é azul.", "Entendido: o seu carro é azul."),
        (
            "My birthday is on Monday.",
            "Got it, my day is near.",
            "Got it, your day is Monday, of myriads.",
        ),
    ],
)
def test_what_is_the_users_is_not_the_agents(told: str, echo: str, answer: str) -> None:
    note = note_of(told)
    grammar = opened_grammar(note.openings, note.never)
    assert accepts(grammar, answer)
    assert not accepts(grammar, echo)


def test_words_that_are_english_as_well_begin_no_other_languages_note() -> None:
    english = set(note_of("I'm vegetarian.").openings)
    assert {"Okay", "Got it"} <= english
    for told in (
        "Mein Hund heißt Bello.",
        "Je m'appelle Léa.",
        "Mi perro se llama Toby.",
        "Mi chiamo Marco.",
    ):
        assert not english & set(note_of(told).openings)


@pytest.mark.parametrize("told", ["Our trip starts on 4 May.", "Mein Name ist Ann.", "Je suis Ann."])
def test_a_welcome_is_a_word_of_its_own_and_invites_nobody_to_what_is_the_users(told: str) -> None:
    grammar = opened_grammar(note_of(told).openings, note_of(told).never)
    for answer in ("Welcomet to it.", "Welcome to our trip.", "Willkomment zu ihr.", "Bienvenuet chez nous."):
        assert not accepts(grammar, answer)


@pytest.mark.parametrize("told", ["Unser Ausflug ist am 4. Mai.", "Mein Geburtstag ist am 3. Oktober 1990."])
def test_the_dot_of_a_date_ends_no_sentence(told: str) -> None:
    assert note_of(told).openings
