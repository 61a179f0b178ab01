"""Which day a question is about: today, or so many days before or after it.

A small model knows no calendar: three days after the 30th of November it says the 33rd, and takes weekdays at
random. So it is told what day that is, together with what day it is now.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST = 120
_MOST_DAYS = 36_500
_NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            "a an one ein eine einem einer un une uno una um uma 一 一个",
            "two zwei deux dos due dois duas 两 二 两个",
            "three drei trois tres tre três 三 三个",
            "four vier quatre cuatro quattro quatro 四 四个",
            "five fünf cinq cinco cinque 五 五个",
            "six sechs seis sei 六 六个",
            "seven sieben sept siete sette sete 七",
            "eight acht huit ocho otto oito 八",
            "nine neun neuf nueve nove 九",
            "ten zehn dix diez dieci dez 十",
            "eleven elf onze once undici 十一",
            "twelve zwölf douze doce dodici doze 十二",
        ),
        1,
    )
    for word in words.split()
}
_N = rf"(?P<n>\d{{1,4}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_AFTER = (
    ("en", rf"\bin {_N} (?:days?|(?P<week>weeks?))\b"),
    ("en", rf"\b{_N} (?:days?|(?P<week>weeks?)) from (?:now|today)\b"),
    ("de", rf"\bin {_N} (?:tage?n?|(?P<week>wochen?))\b"),
    ("fr", rf"\bdans {_N} (?:jours?|(?P<week>semaines?))\b"),
    ("es", rf"\b(?:dentro de|en) {_N} (?:días?|(?P<week>semanas?))\b"),
    ("it", rf"\b(?:tra|fra) {_N} (?:giorn[oi]|(?P<week>settiman[ae]))\b"),
    ("pt", rf"\b(?:daqui a|em|dentro de) {_N} (?:dias?|(?P<week>semanas?))\b"),
    ("zh", rf"{_N}\s?(?:天|(?P<week>周|星期|礼拜))(?:之|以)?[后後]"),
    ("ja", rf"{_N}\s?(?:日|(?P<week>週間))後"),
)
_BEFORE = (
    ("en", rf"\b{_N} (?:days?|(?P<week>weeks?)) ago\b"),
    ("de", rf"\bvor {_N} (?:tage?n?|(?P<week>wochen?))\b"),
    ("fr", rf"\bil y a {_N} (?:jours?|(?P<week>semaines?))\b"),
    ("es", rf"\bhace {_N} (?:días?|(?P<week>semanas?))\b"),
    ("it", rf"\b{_N} (?:giorn[oi]|(?P<week>settiman[ae])) fa\b"),
    ("pt", rf"\bhá {_N} (?:dias?|(?P<week>semanas?))\b"),
    ("pt", rf"\b{_N} (?:dias?|(?P<week>semanas?)) atrás\b"),
    ("zh", rf"{_N}\s?(?:天|(?P<week>周|星期|礼拜))(?:之|以)?前"),
    ("ja", rf"{_N}\s?(?:日|(?P<week>週間))前"),
)
# A longer name stands before the one that is a part of it.
_NAMED = (
    ("en", -2, r"\b(?:the )?day before yesterday\b"),
    ("en", 2, r"\b(?:the )?day after tomorrow\b"),
    ("en", -1, r"\byesterday\b"),
    ("en", 1, r"\btomorrow\b"),
    ("de", -2, r"\bvorgestern\b"),
    ("de", 2, r"\bübermorgen\b"),
    ("de", -1, r"\bgestern\b"),
    # Not "guten Morgen", which is the morning.
    ("de", 1, r"(?<!\bguten )(?<!\bam )(?<!\bjeden )\bmorgen\b"),
    ("fr", -2, r"\bavant-hier\b"),
    ("fr", 2, r"\baprès-demain\b"),
    ("fr", -1, r"\bhier\b"),
    ("fr", 1, r"\bdemain\b"),
    ("es", -2, r"\b(?:anteayer|antes de ayer)\b"),
    ("es", 2, r"\bpasado mañana\b"),
    ("es", -1, r"\bayer\b"),
    ("es", 1, r"(?<!\bla )(?<!\besta )\bmañana\b"),
    ("it", -2, r"\b(?:l['’]altro ieri|avantieri|ieri l['’]altro)\b"),
    ("it", 2, r"\bdopodomani\b"),
    ("it", -1, r"\bieri\b"),
    ("it", 1, r"\bdomani\b"),
    ("pt", -2, r"\banteontem\b"),
    ("pt", 2, r"\bdepois de amanhã\b"),
    ("pt", -1, r"\bontem\b"),
    ("pt", 1, r"\bamanhã\b"),
    ("zh", -2, r"前天"),
    ("zh", 3, r"大[后後]天"),
    ("zh", 2, r"[后後]天"),
    ("zh", -1, r"昨天"),
    ("zh", 1, r"明天"),
    ("ja", -2, r"一昨日|おととい"),
    ("ja", 2, r"明後日|あさって"),
    ("ja", -1, r"昨日|きのう"),
    ("ja", 1, r"明日|あした"),
)
_COUNTED = tuple(
    (language, sign, re.compile(pattern, re.IGNORECASE))
    for sign, patterns in ((1, _AFTER), (-1, _BEFORE))
    for language, pattern in patterns
)
_BY_NAME = tuple((language, days, re.compile(pattern, re.IGNORECASE)) for language, days, pattern in _NAMED)
_TODAY = re.compile(
    r"\b(?:today|heute|aujourd['’]hui|hoy|oggi|hoje)\b|今天|今日|きょう",
    re.IGNORECASE,
)
_ASKS_FOR_DATE = re.compile(
    r"\b(?:what|which) (?:\w+ )?(?:day|weekday|date)\b|\bwhat(?:'s| is) the date\b"
    r"|\bwelche[rsn]? (?:\w+ )?(?:wochentag|tag|datum)\b|\bwas für ein (?:wochen)?tag\b|\bwievielte\w*\b"
    r"|\bquel(?:le)? (?:jour|date)\b|\bqué (?:día|fecha)\b|\bcuál (?:es|será|era|fue) la fecha\b"
    r"|\b(?:che|quale?) (?:giorno|data)\b|\b(?:que|qual) (?:é a |será a |era a |foi a )?(?:dia|data)\b"
    r"|几号|幾號|几月|星期几|礼拜几|周几|什么日期|日期是|哪一?天|何日|何曜日|何月",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(?:in|at|à|en|a|em) [A-ZÀ-Ý]")
_GOES_ON = re.compile(
    r"\W*(?:(?:and|und|et|y|e|what about|how about)\b|那|では|じゃあ)?.{1,40}[?？]\s*\Z", re.IGNORECASE
)


def names_place(text: str) -> bool:
    """Return whether the `text` may ask for the day in another place."""
    return bool(_PLACE.search(text))


def asks_for_date(text: str) -> bool:
    """Return whether the `text` asks for a date or a weekday."""
    return bool(_ASKS_FOR_DATE.search(text))


class DayAsked(msgspec.Struct, frozen=True):
    """A day that is asked for: how many `days` after today, and the user's `words` for it in a `language`."""

    days: int
    words: str
    language: str


def day_asked(said: Sequence[str]) -> DayAsked | None:
    """Return of which day the last message of what the user `said` asks the date; None: it asks for something
    else, or for today.

    `And in three days?` asks for a date behind a question for one.
    """
    text = said[-1] if said else ""
    if len(text) > _LONGEST or (day := _day_named(text)) is None:
        return None
    if _ASKS_FOR_DATE.search(text):
        return day
    goes_on = len(said) > 1 and _GOES_ON.fullmatch(text) and _ASKS_FOR_DATE.search(said[-2][:_LONGEST])
    return day if goes_on else None


def date_of(day: DayAsked, now: str) -> date | None:
    """Return which day that is, `now` being a result of `current_time`; None: the calendar has none."""
    match = _DATE.search(now)
    try:
        return date.fromisoformat(match[0]) + timedelta(days=day.days) if match is not None else None
    except (ValueError, OverflowError):
        return None


TODAY = DayAsked(0, "", "")
"""The day that it is now, for `date_of`."""


def _day_named(text: str) -> DayAsked | None:
    for language, sign, pattern in _COUNTED:
        if match := pattern.search(text):
            number = match["n"].lower()
            count = int(number) if number.isdecimal() else _NUMBERS[number]
            days = count * (7 if match["week"] else 1)
            return DayAsked(sign * days, match[0], language) if days <= _MOST_DAYS else None
    if _TODAY.search(text):
        # Then the model is told what day today is, and tomorrow.
        return None
    for language, days, pattern in _BY_NAME:
        if match := pattern.search(text):
            return DayAsked(days, match[0], language)
    return None
