"""Whether a fact that a model found is what the user said: every name and number of it, and most words."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff]"
)
_STEM = 5
"""Words that begin alike are forms of one word, in most languages."""
_LEAST_COMMON = 0.6
_SHORTEST_QUOTE = 3
_QUESTION = re.compile(r"[?？؟]\s*[\"'”’»」)]*\s*$")
_SECRET = re.compile(
    r"\b(?:pass(?:word|phrase|wort|code)|contraseña|mot de passe|api[ _-]?key|secret key|access token"
    r"|private key|cvv|pin code|пароль)\b|密码|パスワード|暗証番号|비밀번호|كلمة (?:السر|المرور)"
    r"|\d(?:[ -]?\d){11,}",
    re.IGNORECASE,
)
_FRAME_WORDS = """
a an the of in on at to for with and or but as by from about is are was were be been has have had does do
his her their its he she they it user person who that this will would can not no never
live lives lived living work works worked working like likes liked love loves want wants prefer prefers
plan plans planning call called named name need needs own owns use uses speak speaks know knows move moves
der die das den dem des ein eine einen einem einer im am zum zur und oder mit für von vom bei nach ist sind
war hat haben hatte sein seine ihr ihre er sie es nutzer nicht kein keine wohnt lebt arbeitet mag möchte plant
heißt nennt braucht nutzt spricht zieht
le la les un une du de et ou avec pour est sont il elle son sa ses vit habite travaille aime veut préfère
utilisateur el los las una y o con para tiene vive trabaja gusta quiere prefiere llama usuario su sus
lo gli e che ha abita lavora piace vuole chiama utente
"""
_FRAME = frozenset(_FRAME_WORDS.split())
"""Words with which something is said of somebody, and that nobody says of themselves."""
_EMPTY_WORDS = """
a an the of in on at to for with and or is are was has have his her their user der die das ein eine und im am
zu mit ist hat le la les un une et est de el y es en il e
"""
_EMPTY = frozenset(word[:_STEM] for word in _EMPTY_WORDS.split())
"""Words that say nothing of what a fact is about."""


def why_not(fact: str, quote: str, said: tuple[str, ...]) -> str:
    """Return why the fact is not what the user said; empty: it is.

    `quote`: the user's words that the fact is said to stand in. `said`: all of them.
    """
    words = " ".join(said)
    if len(_plain(quote)) < _SHORTEST_QUOTE or _plain(quote) not in _plain(words):
        return "the user did not say what is quoted"
    if _QUESTION.search(quote):
        return "it was a question"
    if _SECRET.search(fact) or _SECRET.search(quote):
        return "it is a secret"
    known = _stems(words)
    hard, soft = _tokens(fact)
    if lacking := [token for token in hard if _stem(token) not in known]:
        return f"the user said nothing of {lacking[0]!r}"
    if not hard and not soft:
        return "it says nothing"
    if soft and sum(_stem(token) in known for token in soft) < _LEAST_COMMON * len(soft):
        return "most of its words are not the user's"
    return ""


def have_words_in_common(one: str, other: str) -> bool:
    """Return whether the texts share a word that says something: so do those of which one takes the place of
    the other.
    """
    mine, theirs = ({_stem(token) for token in _all_tokens(text)} - _EMPTY for text in (one, other))
    return bool(mine & theirs)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _tokens(text: str) -> tuple[list[str], list[str]]:
    """Return the names and numbers of a fact, and its other words, without those that only frame it."""
    hard: list[str] = []
    soft: list[str] = []
    for number, found in enumerate(_WORD.finditer(unicodedata.normalize("NFKC", text))):
        word = found[0]
        if _UNSPACED.search(word):
            soft.extend(_pairs(word))
        elif any(map(str.isdigit, word)) or (number and word[:1].isupper()):
            hard.append(word.casefold())
        elif word.casefold() not in _FRAME:
            soft.append(word.casefold())
    return hard, soft


def _all_tokens(text: str) -> list[str]:
    found: list[str] = []
    for word in _WORD.findall(_plain(text)):
        found.extend(_pairs(word) if _UNSPACED.search(word) else [word])
    return found


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(max(1, len(run) - 1))]


def _stems(text: str) -> set[str]:
    return {_stem(token) for token in _all_tokens(text)}


def _stem(word: str) -> str:
    return word[:_STEM]
