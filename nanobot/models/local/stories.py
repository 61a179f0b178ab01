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
# Between the verb and the article of what is to be written: "me", "mir bitte".
_FEW = r"(?:[ -][^\W\d]{1,6}){0,3} "
# "Write a user story", "write a summary of the story" are other wishes.
_ENGLISH = (
    r"an?(?:,? (?:very|short|long|little|funny|good|sad|scary|happy|nice|new|silly|bedtime|fairy|love"
    r"|children's))*"
)
_GERMAN = r"(?:(?:ein|noch ein)\w*(?:,? (?:sehr|[^\W\d]+e[nrs]?))*)"
# Adjectives stand on both sides of the noun, words of what a text is about behind "de", "di".
_ROMANCE = r"(?:un[aeo]?|um|uma)(?:,? (?!d[aeiou]?\b|de[lr]|sobre\b|sur\b|su\b)[^\W\d]+){0,2}"
# A history has an article behind its "of": "eine Geschichte der Physik", "une histoire de la France".
_STORY = {
    "de": r"(?:(?:kurz|gutenacht|gute-nacht-|liebes|grusel|tier|kinder|abenteuer|weihnachts)?geschichte"
    r"(?! (?:der|des)\b)|märchen|erzählung)\b",
    "fr": r"(?:histoire(?! (?:du|des)\b| de l)|conte|récit)\b",
    "es": r"(?:historia(?! del?\b(?! (?:amor|terror|miedo|aventura|fantas)))|cuento|relato)\b",
    "it": r"(?:storia(?! d(?:el|ei|egli)\w*\b)|fiaba|favola|racconto)\b",
    "pt": r"(?:história(?! d[ao]s?\b)|conto)\b",
}
_ONCE = {
    "en": ("Once upon a time", "One day", "There was once"),
    "de": ("Es war einmal ", "Eines Tages "),
    "fr": ("Il était une fois ", "Un jour"),
    "es": ("Había una vez ", "Érase una vez ", "Un día"),
    "it": ("C'era una volta ", "Un giorno"),
    "pt": ("Era uma vez ", "Um dia"),
    "zh": ("从前", "很久以前", "有一天"),
}
_JOKE = {
    "en": ("Why ", "What ", "How ", "A "),
    "de": ("Warum ", "Treffen sich zwei ", "Kommt ein "),
    "fr": ("Pourquoi ", "Quel est le comble "),
    "es": ("¿Por qué ", "¿Qué le dijo ", "¿Cuál es el colmo "),
    "it": ("Perché ", "Qual è il colmo "),
    "pt": ("Por que ", "O que o "),
    "zh": ("有一天", "为什么", "小明"),
}
_WRITE = {
    "en": r"\b(?:write|make up|invent|give)",
    "de": r"\b(?:schreib|verfass|erfind)\w*",
    "fr": r"\b(?:écri|invent|rédige)\w*",
    "es": r"\b(?:escr[ií]b|invent|inv[ée]nt|haz)\w*",
    "it": r"\b(?:scriv|invent)\w*",
    "pt": r"\b(?:escrev|invent)\w*",
}
# No words with which a joke could be explained, or be asked for ("Ein Witz ist …", "Cosa vuoi …").
_KINDS = (
    _kind(rf"\btell{_SOME}jokes?\b", *_JOKE["en"]),
    _kind(rf"\btell{_SOME}(?:story|tale)\b", *_ONCE["en"]),
    _kind(
        rf"{_WRITE['en']}(?: (?:me|us))? {_ENGLISH} joke(?: (?:about|on|for|with|please)\b|[.!?,]|\s*\Z)",
        *_JOKE["en"],
    ),
    _kind(rf"{_WRITE['en']}(?: (?:me|us))? {_ENGLISH} (?:story|tale)\b", *_ONCE["en"]),
    _kind(rf"\berzähl\w*{_SOME}\w*witz\b", *_JOKE["de"]),
    _kind(rf"\berzähl\w*{_SOME}(?:\w*geschichte|märchen)\b", *_ONCE["de"]),
    _kind(rf"{_WRITE['de']}{_FEW}{_GERMAN} \w*witz\b", *_JOKE["de"]),
    _kind(rf"{_WRITE['de']}{_FEW}{_GERMAN} {_STORY['de']}", *_ONCE["de"]),
    # "Kannst du mir eine Geschichte schreiben?"
    _kind(rf"\b{_GERMAN} {_STORY['de']}[^.!?]* (?:schreiben|erzählen|erfinden|verfassen)\b", *_ONCE["de"]),
    _kind(rf"\braconte\w*{_SOME}(?:blague|plaisanterie)\b", *_JOKE["fr"]),
    _kind(rf"\braconte\w*{_SOME}(?:histoire|conte)\b", *_ONCE["fr"]),
    _kind(rf"{_WRITE['fr']}{_FEW}{_ROMANCE} (?:blague|plaisanterie)\b", *_JOKE["fr"]),
    _kind(rf"{_WRITE['fr']}{_FEW}{_ROMANCE} {_STORY['fr']}", *_ONCE["fr"]),
    _kind(rf"\b(?:cu[eé]nta|di)\w*{_SOME}chiste\b", *_JOKE["es"]),
    _kind(rf"\bcu[eé]nta\w*{_SOME}(?:cuento|historia)\b", *_ONCE["es"]),
    _kind(rf"{_WRITE['es']}{_FEW}{_ROMANCE} chiste\b", *_JOKE["es"]),
    _kind(rf"{_WRITE['es']}{_FEW}{_ROMANCE} {_STORY['es']}", *_ONCE["es"]),
    _kind(rf"\braccont\w+{_SOME}(?:barzelletta|battuta)\b", *_JOKE["it"]),
    _kind(rf"\braccont\w+{_SOME}(?:storia|fiaba|favola)\b", *_ONCE["it"]),
    _kind(rf"{_WRITE['it']}{_FEW}{_ROMANCE} (?:barzelletta|battuta)\b", *_JOKE["it"]),
    _kind(rf"{_WRITE['it']}{_FEW}{_ROMANCE} {_STORY['it']}", *_ONCE["it"]),
    _kind(rf"\bcont[ea]\w*{_SOME}piada\b", *_JOKE["pt"]),
    _kind(rf"\bcont[ea]\w*{_SOME}(?:história|conto)\b", *_ONCE["pt"]),
    _kind(rf"{_WRITE['pt']}{_FEW}{_ROMANCE} piada\b", *_JOKE["pt"]),
    _kind(rf"{_WRITE['pt']}{_FEW}{_ROMANCE} {_STORY['pt']}", *_ONCE["pt"]),
    _kind("[讲说写](?:一?个)?[^。，]{0,8}(?:笑话|笑話)", *_JOKE["zh"]),
    _kind("[讲说](?:一?个)?[^。，]{0,8}故事", *_ONCE["zh"]),
    # What stands behind it is written of the story: its outline, its end.
    _kind(
        r"[写编](?:一?[个篇段则])?[^。，]{0,12}(?<!用户)(?:故事|童话)\s*(?:[。！!.,，吧]|\Z)", *_ONCE["zh"]
    ),
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


_VERSE = re.compile(
    r"\b(?:poems?|poetry|verses?|haikus?|limericks?|rhymes?|lyrics|gedichte?|verse[ns]?|reime?|poèmes?|poésies?"
    r"|poemas?|poesías?|poesi[ae]|versos?|filastrocca)\b|诗|詩|俳句|歌词|歌詞",
    re.IGNORECASE,
)


def asks_for_verse(text: str) -> bool:
    """Return whether the user's `text` may be a wish for a poem."""
    return len(text) <= _LONGEST and bool(_VERSE.search(text))


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
