"""Messages that go on with a sum: `Add 9 to that.`, `Und mal 3?`, behind one that was worked out.

A small model takes the numbers of an example for the result before, or works the sum out in its head.
"""

import re

from nanobot.core.message import Message
from nanobot.models.local.notation import CALCULATE

_LONGEST = 60
_N = r"(-?\d{1,15}(?:[.,]\d{1,15})?)"
_THAT = (
    r"(?: ?-?(?:it|that|this|the result|es|das|dies|das ergebnis|dazu|davon|le|la|lo|ça|cela|esto|eso"
    r"|el resultado"
    r"|il risultato|isso|o resultado))?"
)
_BEFORE = (
    r"\W*(?:(?:and|now|then|please|und|jetzt|dann|nun|bitte|et|maintenant|puis|y|ahora|luego|e|ora|adesso"
    r"|poi|agora"
    r"|depois|re|再|然后|じゃあ)[,、]? ?){0,2}"
)
_AFTER = (
    r"(?: ?(?:to|from|with|by)? ?(?:it|that|this|the result)| dazu| hinzu| ab| davon| please| bitte| now"
    r"| again"
    r"| a eso| da questo)?\W*"
)
# By the sign: how one says it before and behind the number.
_SIGNS = (
    (
        "+",
        rf"(?:add|plus|addiere?|rechne plus|nimm plus|ajoute[sz]?|suma(?:le)?|súmale|añade|más|aggiungi|più"
        rf"|soma|some"
        rf"|adicione|mais|加上?|足す) ?{_N}{_AFTER}|{_N}を?(?:足して|足す|加えて)\W*",
    ),
    (
        "-",
        rf"(?:subtract|minus|take(?: away)?|less|ziehe?|subtrahiere?|moins|retire[sz]?|enlève[sz]?"
        rf"|soustrais|menos"
        rf"|resta(?:le)?|réstale|meno|sottrai|subtraia|tira|减去?|減去?) ?{_N}(?: away)?{_AFTER}"
        rf"|{_N}を?(?:引いて|引く)\W*",
    ),
    (
        "*",
        rf"(?:times|multiply{_THAT} by|multiplied by|mal|multipliziere?{_THAT} mit|fois|multipli(?:e"
        rf"|ez){_THAT} par"
        rf"|multiplícalo por|multiplica{_THAT} por|moltiplica(?:lo)?{_THAT} per|moltiplicato per|vezes"
        rf"|multiplique"
        rf"{_THAT} por|乘以?) ?{_N}\W*|{_N}を?(?:かけて|掛けて|かける)\W*",
    ),
    (
        "/",
        rf"(?:divided? by|divide{_THAT} by|geteilt durch|dividiert durch|teile?{_THAT} durch"
        rf"|dividiere?{_THAT} durch"
        rf"|durch|divis[ée] par|divise[sz]?{_THAT} par|divídelo (?:por|entre)|divide{_THAT} (?:por|entre)"
        rf"|diviso"
        rf"(?: per)?|dividi(?:lo)?{_THAT} per|dividido por|divida{_THAT} por|除以) ?{_N}\W*|{_N}で?(?:割って"
        rf"|割る)\W*",
    ),
)
_FIXED = (
    (
        "2 * ",
        rf"(?:double{_THAT}|twice that|verdopp(?:el|le){_THAT}|das doppelte|double-le|le double|dóblalo"
        rf"|el doble|raddoppia"
        r"(?:lo)?|il doppio|o dobro|dobre|翻倍|乘二)\W*",
    ),
    (
        "0.5 * ",
        rf"(?:halve{_THAT}|half(?: of)?{_THAT}|halbiere?{_THAT}|die hälfte(?: davon)?|la moitié|la mitad"
        rf"|la metà"
        r"|a metade|一半|半分)\W*",
    ),
)
_PATTERNS = tuple((sign, re.compile(_BEFORE + rf"(?:{said})", re.IGNORECASE)) for sign, said in _SIGNS)
_FIXED_PATTERNS = tuple(
    (with_, re.compile(_BEFORE + rf"(?:{said})", re.IGNORECASE)) for with_, said in _FIXED
)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")


def continued_sum(messages: tuple[Message, ...]) -> str:
    """Return the expression that the user's last message asks for, where it goes on with what the turn before
    has worked out; empty where it asks for something else.
    """
    asked = [at for at, message in enumerate(messages) if message.role == "user"]
    if len(asked) < 2 or asked[-1] != len(messages) - 1:
        return ""
    text = messages[-1].text.strip()
    before = _result(messages[asked[-2] : asked[-1]])
    if not before or len(text) > _LONGEST:
        return ""
    for with_, pattern in _FIXED_PATTERNS:
        if pattern.fullmatch(text):
            return f"{with_}{before}"
    for sign, pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            number = next(each for each in match.groups() if each is not None)
            return f"{before} {sign} {number.replace(',', '.')}"
    return ""


def _result(turn: tuple[Message, ...]) -> str:
    """Return the number that the turn has worked out last; empty where it has not."""
    calls = {call.id: call.name for message in turn for call in message.tool_calls}
    results = [
        result.content.strip()
        for message in turn
        for result in message.tool_results
        if calls.get(result.call_id) == CALCULATE and not result.is_error
    ]
    found = results[-1] if results else ""
    if not _NUMBER.fullmatch(found):
        return ""
    return f"({found})" if found.startswith("-") else found
