"""Which language a user writes in, as far as small words tell, so that the answer begins in it.

A small model has been shown most in English, and falls into it: asked `Quanto fa 144 diviso 12?`, it says
`That makes 12.`
"""

import re
from datetime import date

from nanobot.models.local.days import DayAsked

# None of them is a word of English.
_SMALL_WORDS = {
    "de": "der die das und ist ein eine einen ich du nicht mit für von dem wie wer wo wann warum wieviel viel"
    " mir dir was dich mein meine dein deine welcher welche welches heute morgen bitte noch davon schreib"
    " macht sind",
    "fr": "le les une des et est je tu vous du que qui quoi quel quelle pour dans pas ce il elle sur avec"
    " font combien comment quand où mon ma mes ton ta moins fois moi suis fait faire écris raconte donne",
    "es": "el los las una y es que qué en por con para tu mi mis yo te cuánto cuánta cuántos cuántas cómo"
    " cuándo dónde cuál se como más menos hace soy tengo escribe cuenta dime dame",
    "it": "il lo gli una e è che di per con sono mi ti come quanto quando dove qual quale fa fai si mio mia"
    " diviso più meno oggi scrivi racconta ho della nel sul doppio",
    "pt": "o os um uma é que de em não com meu minha eu você se como quanto quando onde qual faz metade disso"
    " mais menos vezes escreve escreva conta da do na no",
}
_WORDS = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_SMALL_WORDS_OF_ENGLISH = (
    "the a an is are was of and to in that it you i i'm for on with as this be my your do does did not have"
    " can what how me who when where why which please tell write give make about from at or if"
)
_ENGLISH = frozenset(_SMALL_WORDS_OF_ENGLISH.split())
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")
# What is wanted in English, or in other words of a text that may be.
_WANTS_ENGLISH = re.compile(
    r"\b(?:engl\w+|inglés|inglese?|inglês|anglais\w*|translat\w*|übersetz\w*|tradui\w*|traduc\w*|traduz\w*)"
    r"|英|翻译|翻譯|訳|[\"“„«»「`{}<>]",
    re.IGNORECASE,
)
_LANGUAGES = re.compile(
    r"\b(?:engl\w+|inglés\w*|ingles\w*|inglês|anglais\w*|german|deutsch\w*|allem\w+|alem[áã]\w*|alemao"
    r"|tedesc\w+|french"
    r"|franz\w+|français\w*|francais\w*|francés\w*|francese|francês|spanish|spanisch\w*|español\w*"
    r"|espagnol\w*|espanhol"
    r"|spagnolo|italian\w*|italien\w*|portugu\w+|portugai\w*|portogh\w+|dutch|niederl\w+|chin[eo]\w+"
    r"|japan\w+|japon\w+"
    r"|giappon\w+|russ\w+|rus[os]\w*|korean\w*|polish|polnisch\w*|swedish|schwedisch\w*|turkish|türkisch\w*"
    r"|latin\w*"
    r"|arab\w*)\b|[英德法日俄韩葡中][语文語]|西班牙[语文]|意大利[语文]|(?:ドイツ|フランス|スペイン|イタリア|中国|韓国)語",
    re.IGNORECASE,
)
_LONGEST = 300
BEGINNINGS = (
    "That", "The", "This", "It ", "It'", "There", "You", "I ", "I'", "Here", "Sure", "Okay", "Got ", "My",
    "Yes", "Sorry", "Why", "What", "When",
)  # fmt: skip
"""How English answers begin, and none in the other languages."""


_OF_RESULT = {
    "en": ("That makes ", "The result is "),
    "de": ("Das ergibt ", "Das sind ", "Das macht ", "Das Ergebnis ist "),
    "fr": ("Cela fait ", "Ça fait ", "Le résultat est "),
    "es": ("Son ", "Da ", "El resultado es "),
    "it": ("Fa ", "Sono ", "Il risultato è "),
    "pt": ("São ", "Dá ", "O resultado é "),
    "zh": ("等于", "结果是", "一共是"),
    "ja": ("答えは", "合計は", "結果は"),
}
_TODAY = {
    "de": "Heute ist {}, der ",
    "fr": "Nous sommes le {} ",
    "es": "Hoy es {}, ",
    "it": "Oggi è {} ",
    "pt": "Hoje é {}, ",
    "zh": "今天是{}，",
    "ja": "今日は{}、",
}
_OF_TIME = {
    "de": "Es ist {} Uhr.",
    "fr": "Il est {}.",
    "es": "Son las {}.",
    "it": "Sono le {}.",
    "pt": "São {}.",
    "zh": "现在是{}。",
    "ja": "今は{}です。",
}
_TIME = re.compile(r"\b(\d{2}:\d{2}):\d{2}\b")
# What stands between the words for a day and its weekday, for one that comes and for one that is over, and
# between the weekday and the number of the day.
_OF_DAY = {
    "de": (" ist ", " war ", ", der "),
    "fr": (", ce sera le ", ", c'était le ", " "),
    "es": (" será ", " fue ", ", "),
    "it": (" sarà ", " era ", " "),
    "pt": (" será ", " foi ", ", "),
    "zh": ("是", "是", "，"),
    "ja": ("は", "は", "、"),
}
_WEEKDAYS = {
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "pt": "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
    "zh": "星期一 星期二 星期三 星期四 星期五 星期六 星期日",
    "ja": "月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日",
}


def not_in_english(said: list[str]) -> tuple[str, ...]:
    """Return how the answer to the last message of what the user `said` must not begin, where it is to be in
    another language: nothing where that is not certain.
    """
    return BEGINNINGS if _other_language(said) else ()


def openings_of_result(said: list[str], *, is_only_sum: bool = False) -> tuple[str, ...]:
    """Return how the answer begins that tells what a calculation came to, before the number; empty where the
    language is not certain, or where a question in English asks for more than the sum.
    """
    language = _other_language(said)
    if language is None and is_only_sum:
        return _OF_RESULT["en"]
    return _OF_RESULT.get(language, ()) if language is not None else ()


def opening_of_day(day: DayAsked, found: date) -> str:
    """Return how the answer begins that tells that the day is `found`, up to the number of the day; empty in
    English. A small model takes the weekday of an example.
    """
    if day.language not in _OF_DAY:
        return ""
    after, before, number = _OF_DAY[day.language]
    words = day.words[0].upper() + day.words[1:] + (after if day.days > 0 else before)
    return words + _WEEKDAYS[day.language].split()[found.weekday()] + number


def opening_of_today(said: list[str], today: date) -> str:
    """Return how the answer begins that tells which day it is, up to its number; empty in English."""
    language = _other_language(said)
    if language not in _TODAY:
        return ""
    return _TODAY[language].format(_WEEKDAYS[language].split()[today.weekday()])


def answer_of_time(said: list[str], now: str) -> str:
    """Return the answer that tells what time it is, `now` being a result of `current_time`; empty in English.
    Kept from English, a small model runs its words together; left to go on, it tells the date as well.
    """
    language = _other_language(said)
    time = _TIME.search(now)
    return _OF_TIME[language].format(time[1]) if language in _OF_TIME and time is not None else ""


def names_language(text: str) -> bool:
    """Return whether the `text` names a language, as in `And in French?`."""
    return bool(_LANGUAGES.search(text))


def _other_language(said: list[str]) -> str | None:
    """Return in which language but English the answer is to be, "several" where that is open; None: in
    English, or it is not certain. A message that does not tell is in the language of those before it.
    """
    if not said or len(said[-1]) > _LONGEST or _WANTS_ENGLISH.search(said[-1]):
        return None
    for text in reversed(said[-3:]):
        language = language_of(text[:_LONGEST])
        if language is not None:
            return None if language == "en" else language
    return None


def language_of(text: str) -> str | None:
    """Return the language of a text, "several" where it is in one of some that are not English; None: its
    words do not tell, or it is in one that is not known here.
    """
    if _KANA.search(text):
        return "ja"
    if _HAN.search(text):
        return "zh"
    words = [word.replace("’", "'") for word in _WORD.findall(text.lower())]
    english = sum(word in _ENGLISH for word in words)
    scores = {language: sum(word in known for word in words) for language, known in _WORDS.items()}
    most = max(scores.values())
    if english == most:
        return None
    if english > most:
        return "en"
    best = [language for language, score in scores.items() if score == most]
    return best[0] if len(best) == 1 else "several"
