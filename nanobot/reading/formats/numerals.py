"""Numbers of lists, as documents show them: decimal, letters, Roman, Chinese and others.

The names of the formats are those of OOXML (`w:numFmt`).
"""

from collections.abc import Callable
from functools import partial

_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_MOST_ROMAN = 9_999
_MOST_LETTERS = 30
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщыэюя"
_CHINESE_DIGITS = "〇一二三四五六七八九"
_CHINESE_UNITS = ("", "十", "百", "千")
_MOST_CHINESE = 9_999
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_HEBREW = "אבגדהוזחטי"


def numeral(number: int, form: str) -> str:
    """Return the number in the format `form`; in decimal digits where that is not known, or ends before."""
    if form == "none":
        return ""
    write = _FORMATS.get(form)
    return (write(number) if write else None) or str(number)


def roman(number: int) -> str | None:
    if not 0 < number <= _MOST_ROMAN:
        return None
    text = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text


def letters(number: int, alphabet: str) -> str | None:
    """Return the number as Word does: … y, z, aa, bb."""
    rounds, index = divmod(number - 1, len(alphabet))
    return alphabet[index] * (rounds + 1) if 0 <= rounds < _MOST_LETTERS else None


def _one_of(number: int, signs: str) -> str | None:
    return signs[number - 1] if 0 < number <= len(signs) else None


def _sequence(first: str, number: int, most: int) -> str | None:
    return chr(ord(first) + number - 1) if 0 < number <= most else None


def _upper(write: Callable[[int], str | None]) -> Callable[[int], str | None]:
    return lambda number: (write(number) or "").upper() or None


def _chinese(number: int) -> str | None:
    if not 0 < number <= _MOST_CHINESE:
        return None
    text = ""
    digits = str(number)
    for place, digit in enumerate(digits):
        power = len(digits) - place - 1
        if digit != "0":
            text += _CHINESE_DIGITS[int(digit)] + _CHINESE_UNITS[power]
        elif text and not text.endswith("〇") and digits[place:].strip("0"):
            text += "〇"
    # Ten to nineteen leave out the one before the ten.
    return text[1:] if text.startswith("一十") else text


def _chinese_digits(number: int) -> str | None:
    return "".join(_CHINESE_DIGITS[int(digit)] for digit in str(number)) if number >= 0 else None


def _ordinal(number: int) -> str:
    is_teen = 10 < abs(number) % 100 < 20
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(abs(number) % 10, 'th')}"


def _words(number: int) -> str | None:
    if not 0 <= number < 100:
        return None
    if number < len(_ONES):
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def _cardinal_text(number: int) -> str | None:
    return (_words(number) or "").capitalize() or None


def _ordinal_text(number: int) -> str | None:
    words = _words(number)
    if words is None:
        return None
    before, dash, last = words.rpartition("-")
    regular = last[:-1] + "ieth" if last.endswith("y") else f"{last}th"
    return (before + dash + _ORDINALS.get(last, regular)).capitalize()


def _digits(number: int, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) if digit.isdigit() else digit for digit in str(number))


_FORMATS: dict[str, Callable[[int], str | None]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": partial(letters, alphabet=_LATIN),
    "upperLetter": partial(letters, alphabet=_LATIN.upper()),
    "lowerRoman": roman,
    "upperRoman": _upper(roman),
    "russianLower": partial(letters, alphabet=_RUSSIAN),
    "russianUpper": partial(letters, alphabet=_RUSSIAN.upper()),
    "ordinal": _ordinal,
    "cardinalText": _cardinal_text,
    "ordinalText": _ordinal_text,
    "hex": lambda number: f"{number:X}",
    "numberInDash": lambda number: f"- {number} -",
    "decimalEnclosedCircle": partial(_sequence, "①", most=20),
    "decimalEnclosedCircleChinese": partial(_sequence, "①", most=20),
    "decimalEnclosedParen": partial(_sequence, "⑴", most=20),
    "decimalEnclosedFullstop": partial(_sequence, "⒈", most=20),
    "decimalFullWidth": partial(_digits, zero="０"),
    "decimalFullWidth2": partial(_digits, zero="０"),
    "thaiNumbers": partial(_digits, zero="๐"),
    "hindiNumbers": partial(_digits, zero="०"),
    "arabicIndic": partial(_digits, zero="٠"),
    "chineseCounting": _chinese,
    "chineseCountingThousand": _chinese,
    "taiwaneseCounting": _chinese,
    "taiwaneseCountingThousand": _chinese,
    "japaneseCounting": _chinese,
    "koreanCounting": _chinese,
    "ideographDigital": _chinese_digits,
    "japaneseDigitalTenThousand": _chinese_digits,
    "taiwaneseDigital": _chinese_digits,
    "ideographTraditional": partial(_one_of, signs="甲乙丙丁戊己庚辛壬癸"),
    "ideographZodiac": partial(_one_of, signs="子丑寅卯辰巳午未申酉戌亥"),
    "aiueoFullWidth": partial(_one_of, signs=_AIUEO),
    "aiueo": partial(_one_of, signs=_AIUEO),
    "iroha": partial(_one_of, signs=_IROHA),
    "irohaFullWidth": partial(_one_of, signs=_IROHA),
    "ganada": partial(_one_of, signs="가나다라마바사아자차카타파하"),
    "chosung": partial(_one_of, signs="ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"),
    "hebrew1": partial(_one_of, signs=_HEBREW),
    "hebrew2": partial(_one_of, signs="אבגדהוזחטיכלמנסעפצקרשת"),
    "arabicAlpha": partial(_one_of, signs="أبتثجحخدذرزسشصضطظعغفقكلمنهوي"),
    "arabicAbjad": partial(_one_of, signs="أبجدهوزحطيكلمنسعفصقرشتثخذضظغ"),
    "chicago": lambda number: _one_of((number - 1) % 4 + 1, "*†‡§") if number > 0 else None,
}  # fmt: skip
