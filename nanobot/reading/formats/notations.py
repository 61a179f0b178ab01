"""Numbers that a spreadsheet shows as fractions (`# ?/?`) or with a power of ten (`0.00E+00`)."""

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

_FRACTION = re.compile(r"(?:([#0?,]+)\s+)?([#0?]+)\s*/\s*([#0?]+|\d+)")
_CONTEXT = Context(prec=400)
_MOST_DIGITS = 7
"""More of a denominator are not looked for."""


def as_fraction(value: float, form: str) -> str | None:
    """Return a number that is not negative as the format's fraction, None where it has none.

    `form`: such as `# ??/??`, or `# ?/8` with a denominator of its own.
    """
    parts = _FRACTION.fullmatch(form.strip())
    if parts is None:
        return None
    exact = Fraction(Decimal(repr(value)))
    with_whole, _, below = parts.groups()
    whole = int(exact) if with_whole else 0
    rest = exact - whole
    if re.search(r"[1-9]", below):
        denominator = int(below)
        numerator = int(rest * denominator + Fraction(1, 2))
    else:
        nearest = rest.limit_denominator(10 ** min(len(below), _MOST_DIGITS) - 1)
        numerator, denominator = nearest.numerator, nearest.denominator
    if not with_whole:
        return f"{numerator}/{denominator}"
    if numerator == denominator:
        whole, numerator = whole + 1, 0
    if not numerator:
        return str(whole)
    return f"{whole} {numerator}/{denominator}" if whole else f"{numerator}/{denominator}"


def with_exponent(value: float, width: int, places: int, exponent: str) -> str:
    """Return a number that is not negative with a power of ten.

    `width`: places before the point; where there are several, the power is a multiple of them. `exponent`:
    how it is written, such as `+00`.
    """
    number = Decimal(repr(value))
    step = max(1, width)
    power = number.adjusted() if number else 0
    power -= power % step
    mantissa = _rounded(number.scaleb(-power, _CONTEXT), places)
    if mantissa.adjusted() >= step:
        power += step
        mantissa = _rounded(number.scaleb(-power, _CONTEXT), places)
    sign = "-" if power < 0 else exponent[0].replace("-", "")
    return f"{mantissa:f}E{sign}{abs(power):0{len(exponent) - 1}}"


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT)
