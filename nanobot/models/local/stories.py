"""Wishes for a joke or a story, and how the answer to one begins.

A small model that is asked for a joke refuses it in some languages, and in others says that it is glad to
tell one, and no more. So the answer begins as a joke or a story does, in the language of the wish. Asked for
another one, it says that there is none, or the same again: that one begins otherwise.
"""

import re
from collections.abc import Sequence

import msgspec


class _Kind(msgspec.Struct, frozen=True):
    """What users ask for in a language, and the words with which it begins."""

    asks: re.Pattern[str]
    openings: tuple[str, ...]


def _kind(asks: str, *openings: str) -> _Kind:
    return _Kind(re.compile(asks, re.IGNORECASE), openings)


# Between the verb and the thing: "me a short, funny", "mir bitte noch einen".
_SOME = r"(?:[ -][^\W\d]+,?){0,5} "
# No words with which a joke could be explained, or be asked for ("Ein Witz ist …", "Cosa vuoi …").
_KINDS = (
    _kind(rf"\btell{_SOME}jokes?\b", "Why ", "What ", "How ", "A "),
    _kind(rf"\btell{_SOME}(?:story|tale)\b", "Once upon a time", "One day", "There was once"),
    # "Write a user story", "write a summary of the story" are other wishes.
    _kind(
        r"\bwrite(?: (?:me|us))? an?(?:,? (?:very|short|long|little|funny|sad|scary|happy|nice|new|bedtime"
        r"|fairy|love|children's))* (?:story|tale)\b",
        "Once upon a time",
        "One day",
        "There was once",
    ),
    _kind(rf"\berzähl\w*{_SOME}\w*witz\b", "Warum ", "Treffen sich zwei ", "Kommt ein "),
    _kind(rf"\berzähl\w*{_SOME}(?:\w*geschichte|märchen)\b", "Es war einmal ", "Eines Tages "),
    _kind(rf"\braconte\w*{_SOME}(?:blague|plaisanterie)\b", "Pourquoi ", "Quel est le comble "),
    _kind(rf"\braconte\w*{_SOME}(?:histoire|conte)\b", "Il était une fois ", "Un jour"),
    _kind(rf"\b(?:cu[eé]nta|di)\w*{_SOME}chiste\b", "¿Por qué ", "¿Qué le dijo ", "¿Cuál es el colmo "),
    _kind(rf"\bcu[eé]nta\w*{_SOME}(?:cuento|historia)\b", "Había una vez ", "Érase una vez ", "Un día"),
    _kind(rf"\braccont\w+{_SOME}(?:barzelletta|battuta)\b", "Perché ", "Qual è il colmo "),
    _kind(rf"\braccont\w+{_SOME}(?:storia|fiaba|favola)\b", "C'era una volta ", "Un giorno"),
    _kind(rf"\bcont[ea]\w*{_SOME}piada\b", "Por que ", "O que o "),
    _kind(rf"\bcont[ea]\w*{_SOME}(?:história|conto)\b", "Era uma vez ", "Um dia"),
    _kind("[讲说](?:一?个)?[^。，]{0,8}(?:笑话|笑話)", "有一天", "为什么", "小明"),
    _kind("[讲说](?:一?个)?[^。，]{0,8}故事", "从前", "很久以前", "有一天"),
)
_LONGEST, _LONGEST_AGAIN = 120, 50
_AGAIN = re.compile(
    r"\b(?:another (?:one|joke|story|tale)|one more|noch ein\w*|(?:une?|d['’])\s?autres?(?! langue)"
    r"|encore une?|otr[oa]s?(?! (?:idioma|lengua|vez|palabra))|un[oa]? más|un['’ ]?\s?altr[oa](?! lingua)"
    r"|altre|ancora un[ao]?|outr[oa]s?(?! (?:língua|idioma|vez|palavra))|mais uma?)\b"
    r"|^(?:another|more|mehr|weiter\w*)\W*\Z|再(?:来|來|讲|講|说|說)|另外?一个|换一个|还要|還要",
    re.IGNORECASE,
)
# A story that tells how something is done is left to the model: it refuses what it does not explain.
_EXPLAINS = re.compile(
    r"\b(?:how|steps?|explain\w*|wie|schritt\w*|erklär\w*|comment|étapes?|expli\w*|cómo|pasos?|come|pass[oi]"
    r"|spieg\w*|como)\b|怎么|怎麼|如何|步骤",
    re.IGNORECASE,
)
_TELLS_ITSELF = re.compile(r"[:：\n]|\b(?:my|mein\w*|mon|ma|mio|mia|meu|minha)\b|我的", re.IGNORECASE)


def openings_of_story(text: str) -> tuple[str, ...]:
    """Return how the answer to the user's `text` begins, where it is a wish for a joke or a story; empty
    where it is none, speaks of one that the user knows, or is to explain something.
    """
    if len(text) > _LONGEST or _TELLS_ITSELF.search(text) or _EXPLAINS.search(text):
        return ()
    return next((kind.openings for kind in _KINDS if kind.asks.search(text)), ())


def openings_of_another(said: Sequence[str], before: str) -> tuple[str, ...]:
    """Return how the answer begins where the last message of what the user `said` asks for another joke or
    story: otherwise than the one `before`; empty where it does not.
    """
    for at in range(len(said) - 1, -1, -1):
        text = said[at]
        if at == len(said) - 1 or not (openings := openings_of_story(text)):
            if len(text) > _LONGEST_AGAIN or not _AGAIN.search(text):
                return ()
            continue
        fresh = tuple(opening for opening in openings if not before.startswith(opening.strip()))
        return fresh or openings
    return ()
