"""Who is 'I': a small model that is asked `When is my birthday?` likes to answer `My birthday is …`.

So an answer to a question about the user must not begin with the word by which users speak of themselves.
"""

import re
from collections.abc import Sequence

from nanobot.core.message import Message
from nanobot.models.local.languages import names_language

_CURLY = str.maketrans("’", "'")
# Kept from a word, a small model writes it without the space behind it ("Ilive in Berlin."): with letters by
# which no other word goes on, as "In" and "Well" do.
_GLUED = {
    word: tuple(f"{word}{letters}" for letters in following.split())
    for word, following in {
        "I": "am hav li lo wa wi wo ne ow pl us en",
        "Je": "m sui v h t p l doi fai",
    }.items()
}
# For each: how a question speaks of the user, and how an answer must not begin then. With a space behind it
# only where other words begin so: the model would rather leave the space out than change the word.
_WORDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), beginnings)
    for pattern, beginnings in (
        (r"\bmy\b", ("My",)),
        (
            # Whoever asks how to do something asks for advice, which may be declined.
            r"(?<!how )\b(am|do|did|have|had|was|will|would|should|can|could) (i|we)\b",
            # What "we" do may well be told as "we": who speaks in a group is one of several.
            ("I ", "I'm", "I am ", "I've", *_GLUED["I"]),
        ),
        (r"\bmein(e|en|em|er|es)?\b", ("Mein", "Meine", "Meinen", "Meinem", "Meiner")),
        (r"\bich\b", ("Ich",)),
        (r"\b(mon|ma|mes)\b", ("Mon ", "Ma ", "Mes ")),
        (r"\bje\b|\bj'|-je\b", ("Je ", "J'", *_GLUED["Je"])),
        (r"\b(mi|mis)\b", ("Mi ", "Mis ")),
        (r"\btengo\b", ("Tengo", "Yo tengo")),
        (r"\bme llamo\b", ("Me llam", "Soy")),
        (r"\bsoy\b", ("Soy", "Yo soy")),
        (r"\bvivo\b", ("Vivo", "Yo vivo", "Io vivo")),
        (r"\b(mio|mia|miei|mie)\b", ("Il mio", "La mia", "I miei", "Le mie", "Mio ", "Mia ")),
        (r"\bmi chiamo\b", ("Mi chiamo",)),
        (r"\bho\b", ("Ho ", "Io ho ")),
        (r"\babito\b", ("Abito", "Io abito")),
        (r"\b(meu|minha|meus|minhas)\b", ("Meu", "Minha", "O meu", "A minha", "Os meus", "As minhas")),
        (r"\btenho\b", ("Tenho", "Eu tenho")),
        (r"\bmoro\b", ("Moro", "Eu moro")),
        (r"\bmijn\b", ("Mijn",)),
        (r"我", ("我",)),
        (r"私", ("私", "我")),
        (r"僕", ("僕", "我")),
    )
)
# How people begin who tell something of themselves.
_TELLS = re.compile(
    r"\s*(?:(?:my|i|i'm|i've|i'll|we|our|mein\w*|ich|wir|unser\w*|mon|ma|mes|je|nous|notre|nos"
    r"|mi|mis|me|yo|tengo|soy|vivo|il mio|la mia|io|ho|sono|abito|meu|minha|eu|tenho|sou|moro)\b"
    r"|j'|我|私|僕)",
    re.IGNORECASE,
)
_SUM = re.compile(r"\d\s*[-+*/x×÷^%=]")
_LONGEST_QUESTION = 200
# A greeting is the beginning of the answer before, said again.
_GREETINGS = (
    "Hello", "Hi ", "Hi!", "Hi,", "Hallo", "Bonjour", "Salut", "Hola", "¡Hola", "Ciao", "Olá", "Oi!",
    "你好", "您好", "こんにちは",
)  # fmt: skip
_ASKS = re.compile(r"[?？]|か。?\s*\Z")


def not_to_begin_with(text: str) -> tuple[str, ...]:
    """Return how the answer to the user's `text` must not begin; nothing where that is no question.

    An echo of what users tell is let be: kept from it, the model refuses or changes the language.
    """
    if len(text) > _LONGEST_QUESTION or not _ASKS.search(text):
        return ()
    text = text.translate(_CURLY)
    found = [beginning for words, beginnings in _WORDS if words.search(text) for beginning in beginnings]
    return (*found, *_GREETINGS) if found else ()


# What asks for other words of the same: in another language.
_TRANSLATE = re.compile(
    r"\b(translat\w+|übersetz\w*|übertrag\w*|tradui\w*|traduc\w*|traduz\w*|vertaal\w*)\b|翻译|翻譯|訳",
    re.IGNORECASE,
)
_LONGEST_TRANSLATE = 80
_MOST_SAID = 12
_SHORT = 4
# How a model begins that asks for a text which it has.
_ASKS_FOR_TEXT = (
    "Sure", "Please", "Of course", "Certainly", "Could you", "Can you", "I'd ", "I can", "I'm",
    "Bitte gib", "Bitte geb", "Natürlich", "Gerne", "Sicher", "Siehe",
    "Bien sûr", "Veuillez", "Pouvez", "Claro", "Por favor", "Por supuesto", "Certo", "Per favore",
    "Certamente",
    "当然", "请", "もちろん",
)  # fmt: skip


def not_to_begin_as(messages: Sequence[Message], text: str) -> tuple[str, ...]:
    """Return how the answer to the user's `text`, behind the `messages`, must not begin where that asks for a
    translation: as what is to be translated does, or what it was translated into before, as if it were to be
    said again.

    `And in French?` asks for one where the message before does.
    """
    said = [(message.role, message.text) for message in messages if message.role != "tool" and message.text]
    if len(text) > _LONGEST_TRANSLATE:
        return ()
    if _TRANSLATE.search(text):
        is_answered = bool(said) and said[-1][0] == "assistant"
        return (*_beginning(said[-1][1], words=1), *_ASKS_FOR_TEXT) if is_answered else ()
    if not names_language(text):
        return ()
    answers = []
    for role, words in reversed(said[-_MOST_SAID:]):
        if role == "assistant":
            answers.append(words)
        elif _is_translated(answers):
            break
        elif len(words) <= _LONGEST_TRANSLATE and _TRANSLATE.search(words):
            answers.append("")
        elif len(words) > _LONGEST_TRANSLATE or not names_language(words):
            return ()
    if not _is_translated(answers):
        return ()
    # "La lune" becomes "la luna": the first word alone may well be the same.
    found = [beginning for answer in answers for beginning in _beginning(answer, words=2)]
    return tuple(dict.fromkeys([*found, *map(_in_other_case, found)]))


def _is_translated(answers: list[str]) -> bool:
    """Return whether the first wish for a translation was reached, which "" stands for."""
    return "" in answers


def _in_other_case(beginning: str) -> str:
    """Return how else a beginning of two words is written, by a model that must not write it."""
    first, space, second = beginning.partition(" ")
    return f"{first}{space}{second[:1].swapcase()}{second[1:]}"


def _beginning(text: str, words: int) -> list[str]:
    match = re.match(rf"(?:\w+\W?){{1,{words}}}", text)
    if match is None:
        return []
    # Chinese and Japanese have no spaces between words.
    if match[0] >= "\u3040":
        return [match[0][:3]]
    # What stands behind a short one tells it from longer words: "The " from "Then".
    return [match[0] if len(match[0]) <= _SHORT else match[0].rstrip(" ,.;:!-–")]


def tells(text: str) -> bool:
    """Return whether the user tells something of themselves, and asks for nothing: there is nothing to work
    out then, whatever numbers are in it.
    """
    text = text.translate(_CURLY)
    return bool(_TELLS.match(text)) and not _ASKS.search(text) and not _SUM.search(text)
