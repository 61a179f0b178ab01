"""A wish for a joke or a story is answered with one."""

import pytest

from nanobot.models.local.stories import openings_of_another, openings_of_story


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
    "text",
    [
        "Write a long story about a lighthouse keeper, five paragraphs.",
        "Write me a short, funny story about a cat.",
        "Could you write a fairy tale?",
    ],
)
def test_a_story_may_be_written_too(text: str) -> None:
    assert "Once upon a time" in openings_of_story(text)


@pytest.mark.parametrize("text", ["Write a user story for the login.", "Write a summary of the story."])
def test_what_is_written_about_stories_is_none(text: str) -> None:
    assert openings_of_story(text) == ()
