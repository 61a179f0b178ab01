"""Numbers of a spreadsheet as people see them: percentages, money, dates, times.

Dates are written as ISO writes them, whatever the format: what a model reads must not be ambiguous.
"""

import datetime
import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import NamedTuple

from nanobot.reading.formats.digit_patterns import Piece, filled
from nanobot.reading.formats.notations import as_fraction, with_exponent

_BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm", 19: "h:mm:ss", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0", 38: "#,##0", 39: "#,##0.00", 40: "#,##0.00",
    41: "#,##0", 42: "#,##0", 43: "#,##0.00", 44: "#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0",
    48: "##0.0E+0", 49: "@",
    **dict.fromkeys((*range(27, 32), 36, *range(50, 59)), "yyyy-mm-dd"),
    **dict.fromkeys(range(32, 36), "h:mm:ss"),
}  # fmt: skip
"""What the numbers of formats mean that no file spells out."""
_TOKENS = re.compile(r'"([^"]*)"|\\(.)|\[([^\]]*)\]|_.|\*.|([^"\\\[_*]+)|.', re.DOTALL)
_CURRENCY = re.compile(r"\$([^-]*)")
_NUMBER = re.compile(r"[#0?][#0?,]*(?:\.[#0?]*)?(?:E[+-]0+)?(?:\s*[#0?]*/[#0?\d]+)?,*")
_CONDITION = re.compile(
    r"\s*(<=|>=|<>|<|>|=)\s*(-?\d{1,300}(?:\.\d{1,300})?(?:E[+-]?\d{1,3})?)\s*", re.IGNORECASE
)
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
_GENERAL = frozenset({"", "general", "@", "standard"})
_EPOCH = datetime.datetime(1899, 12, 30)
_EPOCH_1904 = datetime.datetime(1904, 1, 1)
_MAX_DAYS = 2_958_466
_LARGEST_PLAIN = 1e15
_MOST_DECIMALS = 30
_LONGEST_FORMAT = 300
_CONTEXT = Context(prec=400)


class _Section(NamedTuple):
    """What a part of a format does. `moment`: nothing, or which of date, time and elapsed time it shows.

    `places`: digits after the number, or after the seconds. `pattern`: the pieces of a number that has text
    between its digits. `condition`: of which numbers it is.
    """

    before: str = ""
    number: str = ""
    after: str = ""
    moment: str = ""
    percents: int = 0
    places: int = 0
    has_seconds: bool = False
    pattern: tuple[Piece, ...] = ()
    condition: tuple[str, float] | None = None

    def suits(self, value: float) -> bool:
        return self.condition is not None and _COMPARED[self.condition[0]](value, self.condition[1])


def built_in_format(number: int) -> str:
    """Return the format that a number of the file's styles stands for."""
    return _BUILT_IN.get(number, "General")


def shown_number(value: float, form: str, *, is_1904: bool = False) -> str:
    """Return a number as the format shows it."""
    sections = _sections(form[:_LONGEST_FORMAT])
    if not sections or not math.isfinite(value):
        return plain_number(value)
    section, is_signed = _chosen(sections, value)
    if not section.moment and not section.number:
        # What a format hides is shown as it is stored: nothing is lost in silence.
        return section.before if section.before else plain_number(value)
    is_negative = value < 0 and not is_signed
    value = abs(value) if is_signed else value
    if section.moment:
        return _moment(value, section, is_1904=is_1904)
    if section.number == "General":
        shown = plain_number(abs(value))
    elif section.pattern:
        shown = filled(section.pattern, abs(value) * 100**section.percents)
    else:
        shown = _number(abs(value) * 100**section.percents, section.number)
    # A place of `?` is empty where the number has no digit for it: `"-"??` shows nought as a dash.
    if (
        section.before.strip()
        and "?" in section.number
        and not shown.strip("0,.")
        and "0" not in section.number
    ):
        shown = ""
    sign = "-" if is_negative and any(digit in shown for digit in "123456789") else ""
    return f"{sign}{section.before}{shown}{section.after}".strip()


def plain_number(value: float) -> str:
    """Return a number with the digits that it has, and no more."""
    if math.isfinite(value) and abs(value) < _LARGEST_PLAIN and value == int(value):
        return str(int(value))
    return f"{value:.15g}"


def _chosen(sections: tuple[_Section, ...], value: float) -> tuple[_Section, bool]:
    """Return the section for a number, and whether it says itself how negative ones are marked."""
    first, second = sections[0], sections[1] if len(sections) > 1 else None
    if second is None:
        return first, False
    if first.condition is None and second.condition is None:
        if value < 0:
            return second, True
        return (sections[2] if value == 0 and len(sections) > 2 else first), False
    rest = sections[2] if len(sections) > 2 else second
    if first.suits(value) or (first.condition is None and value > 0):
        chosen = first
    elif second.suits(value) or (second.condition is None and value < 0):
        chosen = second
    else:
        chosen = rest
    return chosen, chosen.before.rstrip().endswith(("-", "("))


@lru_cache(maxsize=512)
def _sections(form: str) -> tuple[_Section, ...]:
    if form.strip().lower() in _GENERAL:
        return ()
    first, *rest = _split(form)[:3]
    # The last part may be for texts only.
    if rest and _is_for_texts(rest[-1]):
        del rest[-1]
    return tuple(_section(part) for part in (first, *rest))


def _is_for_texts(part: str) -> bool:
    return any("@" in (match[4] or "") for match in _TOKENS.finditer(part))


def _split(form: str) -> list[str]:
    parts, last = [""], ""
    is_quoted = is_bracketed = False
    for character in form:
        if character == '"' and last != "\\":
            is_quoted = not is_quoted
        elif character in "[]" and not is_quoted:
            is_bracketed = character == "["
        if character == ";" and not is_quoted and not is_bracketed and last != "\\":
            parts.append("")
        else:
            parts[-1] += character
        last = character
    return parts


def _section(part: str) -> _Section:
    # Letters of the format stay, quoted ones become what is before and after the number.
    pieces: list[Piece] = []
    elapsed = ""
    condition = None
    for match in _TOKENS.finditer(part):
        quoted, escaped, bracketed, plain = match.groups()
        if quoted is not None or escaped is not None:
            pieces.append(Piece(True, quoted if quoted is not None else escaped))
        elif bracketed is not None:
            currency = _CURRENCY.match(bracketed)
            if currency is not None:
                pieces.append(Piece(True, currency[1]))
            elif bracketed.lower() in ("h", "hh", "m", "mm", "s", "ss"):
                elapsed = bracketed.lower()[0]
                pieces.append(Piece(False, bracketed))
            elif (compared := _CONDITION.fullmatch(bracketed)) is not None:
                condition = (compared[1], float(compared[2]))
        elif plain is not None:
            pieces.append(Piece(False, plain))
    letters = "".join(text for is_literal, text in pieces if not is_literal).lower()
    moment = f"elapsed {elapsed}" if elapsed else ""
    if not moment and "general" not in letters:
        moment = _moment_of(letters)
    if moment:
        places = re.search(r"s\.(0{1,9})", letters)
        return _Section(
            moment=moment,
            places=len(places[1]) if places else 0,
            has_seconds="s" in letters,
            condition=condition,
        )
    return _number_section(pieces, letters)._replace(condition=condition)


def _number_section(pieces: list[Piece], letters: str) -> _Section:
    percents = letters.count("%")
    if "general" in letters:
        at = next((at for at, (_, text) in enumerate(pieces) if "general" in text.lower()), 0)
        before = "".join(text for _, text in pieces[:at])
        after = "".join(text for _, text in pieces[at + 1 :])
        return _Section(before, "General", after)
    before, number, after = "", "", ""
    is_parted = False
    for is_literal, text in pieces:
        digits = None if is_literal or number else _NUMBER.search(text)
        if digits is not None:
            before, number, after = before + text[: digits.start()], digits[0], text[digits.end() :]
            is_parted = re.search(r"[#0?]", after) is not None
        elif number:
            after += text
            is_parted = is_parted or (not is_literal and re.search(r"[#0?]", text) is not None)
        else:
            before += text
    if is_parted and "/" not in letters:
        return _Section(number=number, percents=percents, pattern=tuple(pieces))
    before, after = before.replace("@", ""), (re.sub(r"[#0?]", "", after) if is_parted else after)
    return _Section(before, number, after.replace("@", ""), percents=percents)


def _moment_of(letters: str) -> str:
    """Return what of a moment the letters show; nothing where they are a number's."""
    letters = letters.replace("am/pm", "h").replace("a/p", "h")
    if re.search(r"[#?]|0(?!\d*$)|e[+-]", letters) and not re.search(r"[ydhs]", letters):
        return ""
    has_date = bool(re.search(r"[yd]|mmm|g", letters)) or ("m" in letters and not re.search(r"[hs]", letters))
    has_time = bool(re.search(r"[hs]", letters))
    if has_date:
        return "date time" if has_time else "date"
    return "time" if has_time else ""


def _moment(value: float, section: _Section, *, is_1904: bool) -> str:
    moment = section.moment
    if moment.startswith("elapsed"):
        return _elapsed(value, moment[-1], section)
    if not 0 <= value < _MAX_DAYS:
        return plain_number(value)
    if moment == "time" and value < 1:
        return _clock(value, section)
    epoch = _EPOCH_1904 if is_1904 else _EPOCH
    # The calendar of the first spreadsheets had a 29 February 1900.
    days = value + 1 if not is_1904 and value < 60 else value
    try:
        at = epoch + datetime.timedelta(seconds=round(days * 86_400))
    except OverflowError:
        return plain_number(value)
    if moment == "time":
        return _clock(value % 1, section)
    if moment == "date" or (at.hour, at.minute, at.second) == (0, 0, 0):
        return at.date().isoformat()
    return at.isoformat(" ", "seconds" if at.second else "minutes")


def _clock(day: float, section: _Section) -> str:
    seconds, fraction = _seconds(day, section.places)
    seconds %= 86_400
    text = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}"
    # Five minutes of a race, `mm:ss`, must not look like five o'clock.
    return f"{text}:{seconds % 60:02}{fraction}" if seconds % 60 or section.has_seconds else text


def _elapsed(value: float, largest: str, section: _Section) -> str:
    """Return a time that has passed, counted in `largest`: h, m or s."""
    seconds, fraction = _seconds(abs(value), section.places)
    sign = "-" if value < 0 else ""
    if largest == "s":
        return f"{sign}{seconds}{fraction}"
    if largest == "m":
        rest = f":{seconds % 60:02}{fraction}" if section.has_seconds else ""
        return f"{sign}{seconds // 60}{rest}"
    return f"{sign}{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _seconds(days: float, places: int) -> tuple[int, str]:
    """Return the seconds, and what the format shows of a fraction of one."""
    parts = 10**places
    seconds, rest = divmod(round(days * 86_400 * parts), parts)
    return seconds, f".{rest:0{places}}" if places and rest else ""


def _number(value: float, number: str) -> str:
    """Return a number that is not negative as the digits of the format show it."""
    if "/" in number:
        return as_fraction(value, number) or plain_number(value)
    scaled = number.rstrip(",")
    value /= 1_000 ** (len(number) - len(scaled))
    mantissa, _, exponent = scaled.partition("E")
    whole, _, decimals = mantissa.partition(".")
    places = min(sum(character in "0#?" for character in decimals), _MOST_DECIMALS)
    if exponent:
        return with_exponent(value, sum(character in "0#?" for character in whole), places, exponent)
    # Halves are rounded up, as spreadsheets do, and not to the even digit.
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT)
    text = f"{rounded:{',' if ',' in whole else ''}f}"
    optional = len(decimals) - len(decimals.rstrip("#?"))
    if places and optional:
        kept = text[: len(text) - optional] + text[len(text) - optional :].rstrip("0")
        text = kept.rstrip(".")
    width = whole.count("0")
    digits = text.partition(".")[0]
    return text if len(digits) >= width else "0" * (width - len(digits)) + text
