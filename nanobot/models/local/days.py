"""Which day a question is about: today, or so many days before or after it.

A small model knows no calendar: three days after the 30th of November it says the 33rd, and takes weekdays at
random. So it is told what day that is, together with what day it is now.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta

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
    rf"\bin {_N} (?:days?|(?P<week>weeks?))\b",
    rf"\b{_N} (?:days?|(?P<week>weeks?)) from (?:now|today)\b",
    rf"\bin {_N} (?:tage?n?|(?P<week>wochen?))\b",
    rf"\bdans {_N} (?:jours?|(?P<week>semaines?))\b",
    rf"\b(?:dentro de|en) {_N} (?:días?|(?P<week>semanas?))\b",
    rf"\b(?:tra|fra) {_N} (?:giorn[oi]|(?P<week>settiman[ae]))\b",
    rf"\b(?:daqui a|em|dentro de) {_N} (?:dias?|(?P<week>semanas?))\b",
    rf"{_N}\s?(?:天|(?P<week>周|星期|礼拜))(?:之|以)?[后後]",
    rf"{_N}\s?(?:日|(?P<week>週間))後",
)
_BEFORE = (
    rf"\b{_N} (?:days?|(?P<week>weeks?)) ago\b",
    rf"\bvor {_N} (?:tage?n?|(?P<week>wochen?))\b",
    rf"\bil y a {_N} (?:jours?|(?P<week>semaines?))\b",
    rf"\bhace {_N} (?:días?|(?P<week>semanas?))\b",
    rf"\b{_N} (?:giorn[oi]|(?P<week>settiman[ae])) fa\b",
    rf"\bhá {_N} (?:dias?|(?P<week>semanas?))\b",
    rf"\b{_N} (?:dias?|(?P<week>semanas?)) atrás\b",
    rf"{_N}\s?(?:天|(?P<week>周|星期|礼拜))(?:之|以)?前",
    rf"{_N}\s?(?:日|(?P<week>週間))前",
)
# A longer name stands before the one that is a part of it.
_NAMED = (
    (-2, r"\bday before yesterday\b|\bvorgestern\b|\bavant-hier\b|\banteayer\b|\bantes de ayer\b"),
    (-2, r"\bl['’]altro ieri\b|\bavantieri\b|\banteontem\b|前天|一昨日|おととい"),
    (2, r"\bday after tomorrow\b|\bübermorgen\b|\baprès-demain\b|\bpasado mañana\b|\bdopodomani\b"),
    (3, r"大后天"),
    (2, r"\bdepois de amanhã\b|后天|後天|明後日|あさって"),
    (-1, r"\byesterday\b|\bgestern\b|\bhier\b|\bayer\b|\bieri\b|\bontem\b|昨天|昨日|きのう"),
    (1, r"\btomorrow\b|\bmorgen\b|\bdemain\b|\bmañana\b|\bdomani\b|\bamanhã\b|明天|明日|あした"),
)
_COUNTED = tuple(
    (sign, re.compile(pattern, re.IGNORECASE))
    for sign, patterns in ((1, _AFTER), (-1, _BEFORE))
    for pattern in patterns
)
_BY_NAME = tuple((days, re.compile(pattern, re.IGNORECASE)) for days, pattern in _NAMED)
_ASKS_FOR_DATE = re.compile(
    r"\b(?:what|which) (?:\w+ )?(?:day|weekday|date)\b|\bwhat(?:'s| is) the date\b"
    r"|\bwelche[rsn]? (?:\w+ )?(?:wochentag|tag|datum)\b|\bwas für ein (?:wochen)?tag\b|\bwievielte\w*\b"
    r"|\bquel(?:le)? (?:jour|date)\b|\bqué (?:día|fecha)\b|\bcuál (?:es|será|era|fue) la fecha\b"
    r"|\b(?:che|quale?) (?:giorno|data)\b|\b(?:que|qual) (?:é a |será a |era a |foi a )?(?:dia|data)\b"
    r"|几号|幾號|几月|星期几|礼拜几|周几|什么日期|日期是|哪一?天|何日|何曜日|何月",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\W*(?:(?:and|und|et|y|e|what about|how about)\b|那|では|じゃあ)?.{1,40}[?？]\s*\Z", re.IGNORECASE
)


def day_asked(said: Sequence[str]) -> int | None:
    """Return of which day the last message of what the user `said` asks the date, as days from today; None:
    it asks for something else, or for today.

    `And in three days?` asks for a date behind a question for one.
    """
    text = said[-1] if said else ""
    if len(text) > _LONGEST or (days := _days_from_today(text)) is None:
        return None
    if _ASKS_FOR_DATE.search(text):
        return days
    goes_on = len(said) > 1 and _GOES_ON.fullmatch(text) and _ASKS_FOR_DATE.search(said[-2][:_LONGEST])
    return days if goes_on else None


def told_of(days: int, today: date) -> str:
    """Return in words which day comes so many `days` after `today`; empty where the calendar has none."""
    try:
        day = today + timedelta(days=days)
    except OverflowError:
        return ""
    match days:
        case 1:
            when = "tomorrow is"
        case -1:
            when = "yesterday was"
        case _ if days > 0:
            when = f"in {days} days it is"
        case _:
            when = f"{-days} days ago it was"
    return f"{when} {day:%A}, {day}"


def _days_from_today(text: str) -> int | None:
    for sign, pattern in _COUNTED:
        if match := pattern.search(text):
            number = match["n"].lower()
            count = int(number) if number.isdecimal() else _NUMBERS[number]
            days = count * (7 if match["week"] else 1)
            return sign * days if days <= _MOST_DAYS else None
    return next((days for days, pattern in _BY_NAME if pattern.search(text)), None)
