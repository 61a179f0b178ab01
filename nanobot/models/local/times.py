"""Whether a message asks what time or what day it is: here, in another place, or perhaps.

A small model that may look at the clock does so where nobody asked for it, and tells at what time water
boils; where somebody asks, it sometimes makes the time up.
"""

import re
from collections.abc import Sequence
from typing import Literal

from nanobot.models.local.languages import language_of, names_language

_LONGEST = 120
_ASKED = "|".join(
    (
        r"what(?:['’]s| is) (?:the )?(?:(?:current|exact|local) )?(?:time|date)(?: is it)?",
        r"what(?:['’]s| is) today['’]s (?:date|day)",
        r"what time is it|what (?:week)?day(?: of the week)? (?:is it|is today|do we have)|what date is it",
        r"(?:what|which) (?:year|month)(?: of the year)? (?:is it|is this|do we have|are we in)"
        r"|what['’]s the current (?:year|month)",
        r"(?:in )?welche[nmrs]? (?:jahr|monat) (?:ist|haben wir|sind wir)(?: es)?"
        r"|(?:en )?quelle année (?:sommes[- ]nous|est[- ]on)"
        r"|(?:en )?quel mois (?:sommes[- ]nous|est[- ]on)|(?:en )?qu[ée] (?:año|mes) (?:es|estamos)"
        r"|(?:in )?che (?:anno|mese) (?:è|siamo)"
        r"|(?:em )?que (?:ano|mês) (?:é|estamos)",
        r"(?:do you know|tell me|can you tell me) (?:the time|what time it is|what day it is|the date)",
        r"wie ?viel uhr (?:ist es|haben wir)|wie spät (?:ist es|haben wir)|wie spät ist",
        r"welche[rsn]? (?:wochentag|tag|datum) (?:ist|haben wir)(?: es)?|den wievielten haben wir"
        r"|der wievielte ist|was ist das (?:heutige )?datum|welche uhrzeit (?:ist es|haben wir)",
        r"quelle heure (?:est[- ]il|il est)|il est quelle heure|quelle est l['’]heure(?: actuelle)?",
        r"(?:on est )?quel jour (?:sommes[- ]nous|est[- ]on|on est|est[- ]ce)|on est quel jour"
        r"|quelle est la date(?: d['’]aujourd['’]hui)?|quelle date (?:sommes[- ]nous|est[- ]on)",
        r"qu[ée] hora es|qu[ée] horas son|me dices la hora",
        r"qu[ée] (?:d[ií]a|fecha)(?: de la semana)? (?:es|estamos)|a qu[ée] (?:d[ií]a |fecha )?estamos"
        r"|cu[áa]l es la fecha(?: de hoy| actual)?|en qu[ée] (?:d[ií]a|fecha) estamos",
        r"che ore sono|che ora è|mi dici l['’]ora",
        r"che giorno(?: della settimana)? è|quale? (?:giorno|data) è|quanti ne abbiamo"
        r"|qual è la data(?: di oggi)?",
        r"que horas são|qual é a hora(?: atual)?|que hora é",
        r"(?:em )?que dia(?: da semana)? (?:é|estamos)|qual (?:é )?a data(?: de hoje| atual)?",
    )
)
_NOW = (
    r"(?:,? (?:it|now|today|right now|currently|at the moment|please|jetzt|heute|gerade|denn|es|bitte"
    r"|maintenant"
    r"|aujourd['’]hui|s['’]il (?:te|vous) plaît|hoy|ahora|por favor|oggi|adesso|ora|per favore|hoje|agora))*"
)
_PLACE = r"(?P<place> (?:in|at|à|au|aux|en|a|em|no|na|nel|nella) [^\W\d][^\d?!.]{1,39}?)?"
_NO_PLACE = re.compile(
    r"\b(?:hours?|minutes?|days?|weeks?|stunden?|minuten?|tagen?|wochen?|heures?|jours?|horas?|minutos?|días?"
    r"|semanas?|or[ae]|minuti|giorn[oi]|dias?|here|hier|aquí|qui|aqui|english|words?)\b",
    re.IGNORECASE,
)
_ASKS_NOW = re.compile(
    rf"(?:^|[.!?,] |\b(?:hi|hello|hey|hallo|and|und|et|y|e"
    rf"|ok(?:ay)?) )\W?(?:{_ASKED}){_NOW}"
    rf"{_PLACE}{_NOW}\s*[?.!]*\Z",
    re.IGNORECASE,
)
_ASKS_NOW_CJK = re.compile(
    r"(?:请问|請問|你好)?[，, ]*(?P<place>[\u4e00-\u9fff]{2,8}?)??(?:现在|現在|今天|今日)?(?:是|的)?"
    r"(?:几点钟?|幾點鐘?|什么时间|什麼時間|几月几号|几号|幾號|星期几|星期幾|周几|礼拜几|什么日期|日期是什么)(?:了|呢|啊)?[？?。]*"
    r"|(?:(?P<where>[^\s。？今]{1,12}?)(?:は|では|の))?(?:今|現在|今日)?(?:の時間)?(?:は|の)?、?"
    r"(?:何時|何日|何曜日|何月何日|日付は?何?)(?:ですか|でしょうか|なの)?[？?。]*"
)
# "And in Oslo?", behind a question for the time.
_ELSEWHERE = re.compile(
    r"\W*(?:(?:and|und|et|y|e|what about|how about|ok(?:ay)?)\b,? ?)?(?:(?:in|at|à|au|en|a|em|for) )?"
    r"(?P<place>[^\W\d_a-zß-ÿ][^\d?!.]{1,39})\s*[?？]\s*|那?(?P<zh>[\u4e00-\u9fff]{2,8})呢[？?]?"
    r"|じゃあ?、?(?P<ja>.{1,10})(?:は|では)[？?]?"
)
_WORDS = re.compile(
    r"\b(?:time\w*|clock|date\w*|day|days|today\w*|tonight|now|years?|months?|weeks?|weekend|weekday|hours?"
    r"|late|early"
    r"|morning|evening|when|until|till|since|ago|tomorrow|yesterday|season|birthday|age|old|current\w*"
    r"|recent\w*"
    r"|latest|uhr\w*|zeit\w*|spät\w*|früh\w*|datum|tage?n?|heut\w*|morgen|gestern|jahr\w*|monat\w*|woche\w*"
    r"|stunde\w*"
    r"|wann|bis|seit|alt|wochentag\w*|jetzt|aktuell\w*|heures?|temps|jours?|aujourd|demain|hier|années?"
    r"|ans?|mois"
    r"|semaines?|quand|âge|maintenant|horas?|tiempo|fecha|días?|hoy|mañana|ayer|años?|mes|meses|semanas?"
    r"|cuándo"
    r"|edad|ahora|or[ae]|tempo|data|giorn[oi]|oggi|domani|ieri|ann[oi]|mesi|mese|settiman[ae]|quando|età"
    r"|adesso|dias?"
    r"|hoje|amanhã|ontem|anos?|mês|idade|agora|january|february|march|april|may|june|july|august|september"
    r"|october"
    r"|november|december|\w*days?|\w+tag|christmas|easter|weihnachten|ostern|noël|pâques|navidad|natale"
    r"|natal)\b"
    r"|日期|日付|[今明昨何几每毎\d]日|日曜|[今去来明前何几\d]年|[上下今来何几\d]个?月|月份|[上下今每毎来]?[周週][一二三四五六日末几間]"
    r"|几号|[几何]时|[今何\d]時|时间|時間|时候|時刻|小时|几点|幾點|今天|明天|昨天|现在|現在|昨夜|今晚|星期|曜",
    re.IGNORECASE,
)


def asks_now(said: Sequence[str]) -> Literal["here", "there"] | None:
    """Return whether the last message of what the user `said` asks for nothing but the time or the date, as
    they are here or in a place that it names; None: it does not.
    """
    text = said[-1].strip() if said else ""
    if not text or len(text) > _LONGEST:
        return None
    if match := _ASKS_NOW.search(text):
        return _where(match["place"])
    if match := _ASKS_NOW_CJK.fullmatch(text):
        return "there" if match["place"] or match["where"] else "here"
    match = _ELSEWHERE.fullmatch(text)
    if match is None or len(said) < 2 or names_language(text) or asks_now(said[:-1]) is None:
        return None
    return "there"


def may_ask_time(said: Sequence[str]) -> bool:
    """Return whether the last message of what the user `said` may need the time or the date: it has words of
    them, or goes on with a question that has, or is in a language that is not known.
    """
    text = said[-1] if said else ""
    if len(text) > _LONGEST or language_of(text) is None or _WORDS.search(text):
        return True
    return len(said) > 1 and bool(_WORDS.search(said[-2][:_LONGEST]))


def _where(place: str | None) -> Literal["here", "there"] | None:
    if not place:
        return "here"
    return None if _NO_PLACE.search(place) else "there"
