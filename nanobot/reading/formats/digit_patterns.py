"""Formats that have text between the digits of a number, such as `000-00-0000` and `#\\ ##0.00`."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

_PLACES = frozenset("0#?")
_CONTEXT = Context(prec=400)


class Piece(NamedTuple):
    """A piece of a format. `is_literal`: it is shown as it is."""

    is_literal: bool
    text: str


def filled(pieces: Sequence[Piece], value: float) -> str:
    """Return a number that is not negative with its digits in the places of the format, the last ones first.

    Digits for which there is no place stand in the first one.
    """
    signs = [(piece.is_literal, sign) for piece in pieces for sign in piece.text]
    whole, decimals = _parted(signs)
    count = sum(_is_place(*sign) for sign in decimals)
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-count), ROUND_HALF_UP, _CONTEXT)
    digits, _, fraction = f"{rounded:f}".partition(".")
    return _whole(whole, digits.lstrip("0")) + _decimals(decimals, fraction)


def _is_place(is_literal: bool, sign: str) -> bool:
    return not is_literal and sign in _PLACES


def _parted(signs: list[tuple[bool, str]]) -> tuple[list[tuple[bool, str]], list[tuple[bool, str]]]:
    """Return what stands before the decimal point, and what from it on."""
    is_begun = False
    for at, sign in enumerate(signs):
        is_begun = is_begun or _is_place(*sign)
        if is_begun and sign == (False, "."):
            return signs[:at], signs[at:]
    return signs, []


def _whole(signs: list[tuple[bool, str]], digits: str) -> str:
    places = sum(_is_place(*sign) for sign in signs)
    shown: list[str] = []
    left = digits
    for sign in reversed(signs):
        if _is_place(*sign):
            places -= 1
            if not places:
                shown.append(left or ("0" if sign[1] == "0" else ""))
            else:
                shown.append(left[-1:] or ("0" if sign[1] == "0" else ""))
                left = left[:-1]
        elif sign != (False, ","):
            shown.append(sign[1])
    return "".join(reversed(shown))


def _decimals(signs: list[tuple[bool, str]], fraction: str) -> str:
    shown: list[str] = []
    left = iter(fraction)
    needed = fraction.rstrip("0")
    for sign in signs:
        if not _is_place(*sign):
            shown.append(sign[1])
            continue
        digit = next(left, "")
        needed = needed[1:] if needed else needed
        shown.append(digit if sign[1] == "0" or digit != "0" or needed else "")
    text = "".join(shown)
    return "" if text == "." else text
