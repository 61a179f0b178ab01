"""Whether there is anything to work out in a message.

A small model that may calculate does so where nothing is to be calculated: asked how many legs a spider has,
it adds up numbers of its own, and believes the result.
"""

import re

from nanobot.core.message import Message
from nanobot.models.local.notation import CALCULATE

_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty"
    r"|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|dozen|plus|minus|times|divid\w+|half|halve\w*|doubl\w+"
    r"|tripl\w+|twice"
    r"|percent\w*|sum|total|average|squared?|cubed|root|add|subtract\w*|multipl\w+|remainder"
    r"|calculate\w*|compute"
    r"|seconds|minutes|hours|days|weeks|months|years"
    r"|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w+zehn|\w+zig|hundert|tausend|mal"
    r"|geteilt|hälfte"
    r"|halbier\w*|verdopp\w*|prozent|summe|durchschnitt|wurzel|addier\w*|subtrahier\w*|multiplizier\w*"
    r"|dividier\w*"
    r"|rechne\w*|berechne\w*|sekunden|minuten|stunden|tage|wochen|monate|jahre"
    r"|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|vingt|trente|cent|mille|fois|moitié"
    r"|pour cent|somme"
    r"|moyenne|racine|ajoute\w*|soustra\w+|retire\w*|calcul\w*|secondes|heures|jours|semaines|mois|ans"
    r"|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|veinte|treinta|cien|ciento|mil|por"
    r"|entre|mitad|doble"
    r"|suma\w*|resta\w*|réstale|divíde\w*|raíz|promedio|calcula\w*|segundos|minutos|horas|días|semanas"
    r"|meses|años"
    r"|due|tre|quattro|cinque|sei|sette|otto|nove|dieci|dodici|venti|cento|per|diviso|metà|doppio"
    r"|somma\w*|sottrai\w*"
    r"|moltiplica\w*|quanto fa|secondi|minuti|ore|giorni|settimane|mesi|anni"
    r"|dois|três|quatro|sete|oito|dez|doze|vinte|vezes|dividido|metade|dobro|some|subtraia|multiplique"
    r"|quanto é|dias)\b"
    r"|[一二三四五六七八九十百千万亿两]{2}|[加减減乘除]|一半|倍|分钟|小时|百分|平方"
    r"|[足引掛割][すくけるっ]|半分|パーセント|何分|何時間|何秒|何日|合計",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_NUMBER = r"-?\d{1,15}(?:[.,]\d{1,15})?"
# Without spaces, "9/11" and "2-3" are also names, dates and ranges.
_SIGN = r"(?: ?[+*×x÷^] ?| [-−/:] )"
_ONLY_SUM = re.compile(
    r"\W*(?:what(?:['’]s| is| are)|how much (?:is|are)|calculate|compute|work out|was (?:ist|sind|ergibt)"
    r"|wie ?viel (?:ist|sind|ergibt)|berechne|rechne|combien (?:font|fait|ça fait)|calcule|cuánto (?:es|son)"
    r"|calcula|quanto (?:fa|fanno|fazem|è|é|dá|são)|calcola)?"
    rf"\W*{_NUMBER}(?:{_SIGN}{_NUMBER}){{1,9}} ?(?:=|等于(?:多少|几)|是多少|は(?:いくつ|何)?(?:ですか)?)?\W*",
    re.IGNORECASE,
)
_LONGEST_SUM = 120


def may_be_worked_out(text: str) -> bool:
    """Return whether the message has numbers in it, or words of arithmetic or of measures of time."""
    return bool(_DIGIT.search(text) or _WORDS.search(text))


def is_only_sum(text: str) -> bool:
    """Return whether the message asks for the result of a sum that is written in it, and for nothing else."""
    return len(text) <= _LONGEST_SUM and _ONLY_SUM.fullmatch(text) is not None


def was_worked_out(messages: tuple[Message, ...]) -> bool:
    """Return whether a result was worked out in the turn before the user's last message, which may go on with
    it in any words.
    """
    asked = [at for at, message in enumerate(messages) if message.role == "user"]
    before = messages[asked[-2] : asked[-1]] if len(asked) > 1 else ()
    return any(call.name == CALCULATE for message in before for call in message.tool_calls)
