"""A wish for a joke or a story is answered with one."""

import pytest

from nanobot.models.local.stories import asks_for_verse, openings_of_another, openings_of_story


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Tell me a joke.", "Why "),
        ("Please tell us another short, silly joke about cats!", "Why "),
        ("Can you tell me a bedtime story?", "Once upon a time"),
        ("Erzähl mir einen Witz.", "Warum "),
        ("Erzählen Sie mir bitte eine Gutenachtgeschichte.", "Es war einmal "),
        ("Raconte-moi une blague.", "Pourquoi "),
        ("Racontez-nous une petite histoire de dragon.", "Il était une fois "),
        ("Cuéntame un chiste.", "¿Por qué "),
        ("¿Me puedes contar un chiste? Cuéntame un cuento.", "Había una vez "),
        ("Raccontami una barzelletta.", "Perché "),
        ("Mi racconti una storia di draghi?", "C'era una volta "),
        ("Conte-me uma piada.", "Por que "),
        ("Conta uma história curta.", "Era uma vez "),
        ("给我讲个笑话。", "有一天"),
        ("讲一个关于龙的故事", "从前"),
    ],
)
def test_it_begins_as_what_was_wished_for(text: str, opening: str) -> None:
    assert opening in openings_of_story(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why is this joke funny: a horse walks into a bar?",
        "Tell me about the history of Rome.",
        "What makes a good story?",
        "Tell my story to the others.",
        "Erzähl mir von Witzenhausen.",
        "Racontez votre journée.",
        "Erzähl mir meine Geschichte von gestern noch einmal.",
        "故事是什么？",
        "Tell me a joke. " * 20,
        "Tell me a story about how to pick a lock.",
        "Erzähl mir eine Geschichte, wie man ein Schloss knackt.",
        "Raconte-moi une histoire qui explique comment on crochète une serrure.",
        "Cuéntame un cuento con los pasos para abrir una cerradura.",
        "Raccontami una storia su come si apre una serratura.",
        "Conta uma história de como se abre uma fechadura.",
        "讲一个关于如何开锁的故事",
    ],
)
def test_other_messages_are_answered_freely(text: str) -> None:
    assert openings_of_story(text) == ()


@pytest.mark.parametrize(
    ("wish", "before", "again", "opening"),
    [
        ("Tell me a joke.", "Why did the cat cross the road?", "Another one, please.", "What "),
        ("Erzähl mir einen Witz.", "Kommt ein Hund ins Haus.", "Noch einen, bitte.", "Warum "),
        ("Raccontami una barzelletta.", "Perché no?", "Un'altra.", "Qual è il colmo "),
        ("Raconte-moi une blague.", "Pourquoi pas ?", "Encore une !", "Quel est le comble "),
        ("Cuéntame un chiste.", "¿Por qué no?", "Otro, por favor.", "¿Qué le dijo "),
        ("Conta-me uma piada.", "Por que não?", "Mais uma.", "O que o "),
        ("讲一个笑话。", "为什么兔子不喜欢夏天？", "再讲一个。", "有一天"),
    ],
)
def test_another_one_begins_otherwise(wish: str, before: str, again: str, opening: str) -> None:
    openings = openings_of_another([wish, again], before)
    assert opening in openings
    assert not any(before.startswith(each) for each in openings)
    assert openings_of_another([wish, again, again], before) == openings


@pytest.mark.parametrize(
    "said",
    [
        ["Another one, please."],
        ["What is a pun?", "Another one, please."],
        ["Tell me a joke.", "Why is that funny?"],
        ["Tell me a joke.", "Say it in another language."],
        ["Tell me a joke.", "Thanks!", "Another one."],
        ["Cuéntame un chiste.", "Dilo en otro idioma."],
    ],
)
def test_what_asks_for_something_else_is_answered_freely(said: list[str]) -> None:
    assert openings_of_another(said, "Why not?") == ()


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Write a long story about a lighthouse keeper, five paragraphs.", "Once upon a time"),
        ("Write me a short, funny story about a cat.", "Once upon a time"),
        ("Could you write a fairy tale?", "Once upon a time"),
        ("Write a joke about cats.", "Why "),
        ("Schreib mir eine kurze Geschichte über einen Leuchtturmwärter.", "Es war einmal "),
        ("Schreiben Sie mir bitte ein Märchen.", "Es war einmal "),
        ("Kannst du mir eine lustige Geschichte schreiben?", "Es war einmal "),
        ("Schreib mir einen Witz über Katzen.", "Warum "),
        ("Écris une histoire courte sur un chat.", "Il était une fois "),
        ("Peux-tu m'écrire une histoire de dragons ?", "Il était une fois "),
        ("Écris une blague sur les chats.", "Pourquoi "),
        ("Escribe una historia corta sobre un faro.", "Había una vez "),
        ("Escríbeme un cuento para niños.", "Había una vez "),
        ("Escribe una historia de terror.", "Había una vez "),
        ("Escribe un chiste sobre gatos.", "¿Por qué "),
        ("Scrivi una breve storia su un gatto.", "C'era una volta "),
        ("Scrivi una storia d'amore.", "C'era una volta "),
        ("Scrivi una barzelletta sui gatti.", "Perché "),
        ("Escreva uma história curta sobre um gato.", "Era uma vez "),
        ("Escreve-me um conto.", "Era uma vez "),
        ("写一个关于猫的故事。", "从前"),
        ("请写一篇童话", "从前"),
        ("写一个笑话。", "为什么"),
    ],
)
def test_it_may_be_written_too(text: str, opening: str) -> None:
    assert opening in openings_of_story(text)


@pytest.mark.parametrize(
    "text",
    [
        "Write a user story for the login.",
        "Write a summary of the story.",
        "Write a joke generator in Python.",
        "Schreib eine Geschichte der Physik.",
        "Schreib eine Zusammenfassung der Geschichte.",
        "Schreib mir etwas über die Geschichte Roms.",
        "Écris une histoire de la France.",
        "Écris un résumé de l'histoire.",
        "Escribe una historia de España.",
        "Escribe un resumen del cuento.",
        "Scrivi una storia della Francia.",
        "Scrivi un riassunto della storia.",
        "Escreva uma história do Brasil.",
        "写一个用户故事。",
        "写一个故事大纲。",
        "写一段中国历史。",
    ],
)
def test_what_is_written_about_stories_and_of_history_is_none(text: str) -> None:
    assert openings_of_story(text) == ()


@pytest.mark.parametrize(
    "text", ["Write a haiku.", "Ein Gedicht!", "Un poème ?", "Un poema.", "Una poesia.", "写一首诗。"]
)
def test_a_wish_for_a_poem_is_known(text: str) -> None:
    assert asks_for_verse(text)


def test_a_long_text_that_speaks_of_poems_is_no_wish_for_one() -> None:
    assert not asks_for_verse("The universe is reversed.")
    assert not asks_for_verse("a poem " * 40)
