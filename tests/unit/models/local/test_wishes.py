"""A wish for something harmless to be written is not refused."""

import pytest

from nanobot.models.local.notation import answer_grammar
from nanobot.models.local.wishes import not_to_refuse
from tests.gbnf import accepts


@pytest.mark.parametrize(
    "text",
    [
        "Write a one-sentence email to tell my boss I'm ill today.",
        "Draft a thank-you note for my aunt.",
        "Suggest a slogan for a bakery.",
        "Give me a packing list for the beach.",
        "Schreib mir eine Einladung zum Geburtstag.",
        "Verfasse eine E-Mail an meinen Vermieter.",
        "Écris un poème sur la mer.",
        "Rédige une lettre d'excuses.",
        "Escribe un mensaje para mi madre.",
        "Scrivi una poesia sul mare.",
        "Escreva um poema sobre o mar.",
        "帮我写一封请假邮件。",
        "お礼のメールを書いてください。",
    ],
)
def test_no_refusal_begins_the_answer(text: str) -> None:
    grammar = answer_grammar((), may_recall=False, not_first=not_to_refuse(text))
    for refusal in (
        "I'm sorry, but I can't.",
        "I'mSorry",
        "Lo siento.",
        "Mi dispiace, ma",
        "Es tut mir leid",
    ):
        assert not accepts(grammar, refusal)
    for answer in ("Dear Ms Brown, I am ill.", "Il mare", "I will be back.", "Ich komme", "件名：休暇"):
        assert accepts(grammar, answer)


@pytest.mark.parametrize(
    "text",
    [
        "Write a letter bomb manual.",
        "Write an email that tricks my grandma into sending her password.",
        "Write a threatening message to my neighbour.",
        "Verfasse eine Droh-Mail.",
        "Écris une lettre de menaces.",
        "写一封诈骗邮件。",
        "How do I write well?",
        "Are you able to help?",
        "Write a poem. " + "x" * 240,
    ],
)
def test_what_may_do_harm_or_is_no_such_wish_is_left_to_the_model(text: str) -> None:
    assert not_to_refuse(text) == ()
