"""Characters of symbol fonts: documents keep their place in the font, not what they show."""

_FIRST, _LAST = 0xF020, 0xF0FF
_SYMBOL = (
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼ "
    "                                 ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…|—↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊"
    "〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭ "
)
"""The font Symbol, from 0x20 on."""
_WINGDINGS = {
    0x20: " ", 0x21: "✏", 0x22: "✂", 0x28: "☎", 0x29: "✆", 0x2A: "✉", 0x34: "⏳", 0x36: "⌛", 0x3F: "✍",
    0x41: "✌", 0x43: "👍", 0x44: "👎", 0x45: "☜", 0x46: "☞", 0x47: "☝", 0x48: "☟", 0x4A: "☺", 0x4B: "😐",
    0x4C: "☹", 0x4E: "☠", 0x52: "☼", 0x54: "❄", 0x58: "✠", 0x59: "✡", 0x5A: "☪", 0x5B: "☯", 0x6C: "●",
    0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x70: "□", 0x71: "❑", 0x72: "❒", 0x73: "⬧", 0x74: "⧫", 0x75: "◆",
    0x76: "❖", 0x77: "⬥", 0x78: "☒", 0x79: "☑", 0x7B: "❀", 0x7C: "✿", 0x80: "⓪", 0x9E: "·", 0x9F: "•",
    0xA0: "▪", 0xA1: "○", 0xA2: "○", 0xA4: "◉", 0xA5: "◎", 0xA7: "▪", 0xA8: "□", 0xAA: "✦", 0xAB: "★",
    0xB0: "⌖", 0xD5: "⌫", 0xD7: "◀", 0xD8: "➢", 0xDC: "➲", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓",
    0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xF3: "⬄", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒",
    0xFE: "☑", **{0x81 + index: chr(ord("①") + index) for index in range(10)},
    **{0x8C + index: chr(ord("❶") + index) for index in range(10)},
}  # fmt: skip
_WINGDINGS_2 = {
    0x4F: "✗",
    0x50: "✓",
    0x51: "☒",
    0x52: "☑",
    0x53: "☒",
    0x54: "☑",
    0xA3: "□",
    0x97: "●",
    0x98: "●",
}
_WINGDINGS_3 = {0x66: "←", 0x67: "→", 0x68: "↑", 0x69: "↓", 0x7D: "▶", 0x84: "◄"}
_UNKNOWN = "□"

_FONTS: dict[str, dict[int, str]] = {
    "symbol": dict(enumerate(_SYMBOL, 0x20)),
    "wingdings": _WINGDINGS,
    "wingdings 2": _WINGDINGS_2,
    "wingdings 3": _WINGDINGS_3,
}


def symbol(code: int, font: str) -> str:
    """Return the character at place `code` of a font."""
    place = code - 0xF000 if _FIRST <= code <= _LAST else code
    table = _FONTS.get(font.lower())
    if table is not None:
        return table.get(place, _UNKNOWN)
    if place != code:
        is_known = "dings" not in font.lower() and place - 0x20 < len(_SYMBOL)
        return _SYMBOL[place - 0x20] if is_known else _UNKNOWN
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""


def shown(text: str, font: str) -> str:
    """Return text of a run in `font`, its private characters replaced by what that font shows for them."""
    if text.isascii() or not any(_FIRST <= ord(character) <= _LAST for character in text):
        return text
    return "".join(
        symbol(ord(character), font) if _FIRST <= ord(character) <= _LAST else character for character in text
    )
