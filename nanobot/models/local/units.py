"""Questions for how many of one unit go into another, which a small model answers from memory, and wrongly.

How many minutes are in a day?     24 * 60
Wie viele Sekunden haben 3 Stunden?     3 * 60 * 60
"""

import re

_LONGEST = 100
# By the smaller unit: its words, and how many of them are one of the next.
_SCALES = (
    (
        (r"seconds?|sekunden?|secondes?|segundos?|second[oi]|秒钟?", 60),
        (r"minutes?|minuten?|minutos?|minut[oi]|分钟?", 60),
        (r"hours?|stunden?|heures?|horas?|or[ae]|小时|時間", 24),
        (r"days?|tage?n?|jours?|journées?|días?|giorn[oi]|dias?|天|日", 7),
        (r"weeks?|wochen?|semaines?|semanas?|settiman[ae]|周|星期|週間?", 1),
    ),
    (
        (r"seconds?|sekunden?|secondes?|segundos?|second[oi]|秒钟?", 60),
        (r"minutes?|minuten?|minutos?|minut[oi]|分钟?", 60),
        (r"hours?|stunden?|heures?|horas?|or[ae]|小时|時間", 24),
        (r"days?|tage?n?|jours?|días?|giorn[oi]|dias?|天|日", 365),
        (r"years?|jahre?n?|ans?|années?|años?|ann[oi]|anos?|年", 1),
    ),
    (
        (r"months?|monate?n?|mois|mes(?:es)?|mes[ei]|mês|个?月|ヶ月", 12),
        (r"years?|jahre?n?|ans?|années?|años?|ann[oi]|anos?|年", 1),
    ),
    (
        (r"millimet(?:er|re|ers|res|ro|ros|ri)n?|milímetros?|millimètres?|毫米", 10),
        (r"centimet(?:er|re|ers|res|ro|ros|ri)n?|zentimetern?|centímetros?|centimètres?|厘米", 100),
        (r"met(?:er|re|ers|res|ro|ros|ri)n?|mètres?|metern?|米", 1000),
        (r"kilomet(?:er|re|ers|res|ro|ros|ri)n?|kilómetros?|kilômetros?|kilomètres?|公里|千米", 1),
    ),
    (
        (r"milligram(?:m|me|mes|s|mi|mo)?|miligramos?|miligramas?|毫克", 1000),
        (r"gram(?:m|me|mes|s|mi|mo|mos|as?)?|克", 1000),
        (r"kilogram(?:m|me|mes|s|mi|mo|mos)?|kilos?|quilogramas?|quilos?|公斤|千克", 1000),
        (r"tonn?(?:es?|en|s|ellat[ae])|toneladas?|吨", 1),
    ),
    # A German Pfund is no pound.
    ((r"gramm", 500), (r"pfund", 2), (r"kilogramm|kilos?", 1)),
)
_HOW_MANY = r"(?:how many|wie ?viele?|combien (?:de|d['’])|cuánt[oa]s|quant[ei]|quant[oa]s)"
_BETWEEN = (
    r"(?: (?:are|is|there|does|do|in|has|have|make up|hat|haben|sind|es|gibt|in|auf|y a-t-il|il y a|dans|en"
    r"|compte"
    r"|contient|hay|tiene|ci sono|ha|hanno|há|tem|existem|em|complet\w+|full|whole|one|ganzen?))*"
)
_OF_WHICH = r"(?P<count>\d{1,6}|an?|one|eine[mnr]?|ein|une?|una?|um|uma|the|le|la|l['’]|el|il)"


def sum_of_units(text: str) -> str:
    """Return the expression that answers a question for how many of one unit are in so many of another; empty
    where the message asks for something else, or where there is nothing to multiply.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return ""
    return next(filter(None, (_in_scale(text, scale) for scale in _SCALES)), "")


def _in_scale(text: str, scale: tuple[tuple[str, int], ...]) -> str:
    asked = [_asked(text, small[0], [unit for unit, _ in scale[at + 1 :]]) for at, small in enumerate(scale)]
    for at, found in enumerate(asked):
        if found is not None:
            count, steps = found
            factors = [
                *([count] if count > 1 else []),
                *(each for _, each in reversed(scale[at : at + steps])),
            ]
            return " * ".join(map(str, factors)) if len(factors) > 1 else ""
    return ""


def _asked(text: str, small: str, larger: list[str]) -> tuple[int, int] | None:
    """Return how many of which of the `larger` units are asked for in `small` ones."""
    for at, unit in enumerate(larger, 1):
        match = re.fullmatch(
            rf"\W*(?:(?:and|und|et|y|e) )?{_HOW_MANY} ?(?:{small}){_BETWEEN} {_OF_WHICH} ?(?:full "
            rf"|whole )?(?:{unit})"
            rf"(?: (?:have|has|has|sont|sind|haben|hat))?\W*"
            rf"|(?P<zh>\d{{1,6}}|一)?个?(?:{unit})(?:里|中)?(?:有|は|には|に)(?:多少|几|何)个?(?:{small})(?:ですか|ありますか)?\W*",
            text,
            re.IGNORECASE,
        )
        if match is not None:
            count = match["count"] or match["zh"] or "1"
            return (int(count) if count.isdecimal() else 1), at
    return None
