"""Formulas of a workbook: one that many cells share is written once, as it stands in the first."""

import re

_TOKEN = re.compile(
    r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'!?|(?<![\w.$])(\$?)([A-Za-z]{1,3})(\$?)(\d{1,7})(?![\w(.])"
)
_LONGEST = 8_192


def moved(formula: str, rows: int, columns: int) -> str:
    """Return the formula as it stands so many rows below and columns to the right of where it is written."""

    def shifted(match: re.Match[str]) -> str:
        if match[2] is None:
            return match[0]
        column = match[2] if match[1] else _letters(_number(match[2]) + columns)
        row = match[4] if match[3] else str(int(match[4]) + rows)
        return f"{match[1]}{column}{match[3]}{row}"

    return _TOKEN.sub(shifted, formula[:_LONGEST])


def _number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _letters(number: int) -> str:
    letters = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters or "#REF!"
