"""RTF as Markdown: text, tables, notes and links, in any code page. Imported in the worker only."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from nanobot.reading.formats.markdown import row_line, rule
from nanobot.reading.messages import Unreadable
from nanobot.reading.source import Source
from nanobot.reading.text_buffer import TextBuffer

_TOKEN = re.compile(
    r"\\(?:([a-zA-Z]{1,32})(-?\d{1,10})? ?|'([0-9a-fA-F]{2})|([^a-zA-Z]))|([{}])|[\r\n]+|([^\\{}\r\n]+)",
    re.DOTALL,
)
_SKIPPED = frozenset(
    {
        "aftncn", "aftnsep", "aftnsepc", "atndate", "atnicn", "atnid", "atnparent", "atnref", "atntime",
        "atrfend", "atrfstart", "author", "background", "bkmkend", "bkmkstart", "blipuid", "buptim",
        "category", "colorschememapping", "colortbl", "comment", "company", "creatim", "datafield",
        "datastore", "doccomm", "docvar", "ebcend", "ebcstart", "factoidname", "falt", "fchars",
        "ffdeftext", "ffentrymcr", "ffexitmcr", "ffformat", "ffhelptext", "ffl", "ffname", "ffstattext",
        "file", "filetbl", "fldtype", "fname", "fontemb", "fontfile", "ftncn", "ftnsep", "ftnsepc", "g",
        "generator", "gridtbl", "hlinkbase", "htmltag", "info", "keycode", "keywords", "latentstyles",
        "lchars", "levelnumbers", "leveltext", "lfolevel", "list", "listlevel", "listname",
        "listoverride", "listoverridetable", "listpicture", "liststylename", "listtable",
        "lsdlockedexcept", "manager", "mhtmltag", "mmathPr", "nesttableprops", "nextfile",
        "nonesttables", "objalias", "objclass", "objdata", "objname", "objsect", "objtime", "oldcprops",
        "oldpprops", "oldsprops", "oldtprops", "oleclsid", "operator", "panose", "password",
        "passwordhash", "pgp", "pgptbl", "picprop", "pn", "pnseclvl", "pntxta", "pntxtb", "printim",
        "private", "propname", "protend", "protstart", "protusertbl", "pxe", "revtbl", "revtim",
        "rsidtbl", "rxe", "shprslt", "sn", "sp", "staticval", "stylesheet", "subject", "svb", "tc",
        "template", "themedata", "title", "txe", "ud", "upr", "userprops", "wgrffmtfilter",
        "windowcaption", "writereservation", "writereservhash", "xe", "xform", "xmlattrname",
        "xmlattrvalue", "xmlclose", "xmlname", "xmlnstbl", "xmlopen",
    }
)  # fmt: skip
_READ_THOUGH_STARRED = frozenset(
    {"fldinst", "shpinst", "shptxt", "annotation", "atnauthor", "shppict", "pntext"}
)
_CODE_PAGES = {
    0: "cp1252", 77: "mac_roman", 78: "cp932", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030",
    136: "big5", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
"""The code pages of the character sets of fonts."""
_SIGNS = {
    "tab": "\t", "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "•",
    "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "line": "\n", "softline": "\n",
    "chatn": "", "zwj": "\u200d", "zwnj": "\u200c",
}  # fmt: skip
_BREAKS = frozenset({"par", "sect", "page", "softpage", "column"})
_ESCAPES = {"~": "\xa0", "_": "-", "{": "{", "}": "}", "\\": "\\", "\n": "\n", "\r": "\n", "\t": "\t"}
_NOTES = {"footnote": "note", "annotation": "comment", "header": "header", "footer": "footer"}
_HEADERS = {f"{name}{side}": name for name in ("header", "footer") for side in ("", "l", "r", "f")}
_LINK = re.compile(r'HYPERLINK\s+(?:\\l\s+)?"([^"]{1,2000})"', re.IGNORECASE)
_STRUCK = "~~"
_MAX_DEPTH = 1_000
_MAX_FONTS = 4_000


def read(source: Source, buffer: TextBuffer) -> None:
    """Write the text.

    Raises:
        Unreadable: it is no RTF.
    """
    if not source.content.lstrip().startswith(b"{\\rtf"):
        raise Unreadable("it is broken, or not what it says it is")
    for line in _RtfDocument(source.content.decode("latin-1")).lines():
        buffer.write_line(line)
    buffer.end()


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds within braces. `target`: where text goes; nothing: to the document."""

    target: str = ""
    font: int = -1
    skip: int = 1
    is_hidden: bool = False
    is_deleted: bool = False
    is_struck: bool = False
    script: str = ""
    is_table: bool = False


@dataclass(slots=True)
class _Table:
    """Rows of a table that is open. `cells`: those of the row that is not ended; `inner`: those of the row of
    a table in a cell.
    """

    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)


class _RtfDocument:
    """Turns control words and text into lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._group = _Group()
        self._outer: list[_Group] = []
        self._code_page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._pending = bytearray()
        self._pieces: list[str] = []
        self._targets: dict[str, list[str]] = {}
        self._table = _Table()
        self._to_skip = 0
        self._is_starred = False
        self._surrogate = 0
        self._link = ""
        self._author = ""

    def lines(self) -> Iterator[str]:
        """Yield the lines of the document."""
        at, end = 0, len(self._text)
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                at += 1
                continue
            at = match.end()
            word, number, code, sign, brace, plain = match.groups()
            if word == "bin" and number:
                at += max(0, int(number))
                continue
            if code is None and not (plain is None and word is None and sign is None and brace is None):
                self._flush()
            if brace == "{":
                self._open()
            elif brace == "}":
                yield from self._close()
            elif word is not None:
                yield from self._control(word, int(number) if number else None)
            elif code is not None:
                self._take_byte(int(code, 16))
            elif sign is not None:
                self._take_sign(sign)
            elif plain is not None:
                self._take_text(plain)
        self._flush()
        yield from self._line()
        yield from self._end_table()

    def _open(self) -> None:
        if len(self._outer) < _MAX_DEPTH:
            self._outer.append(self._group)
        self._is_starred = False

    def _close(self) -> Iterator[str]:
        if not self._outer:
            return
        inner, self._group = self._group, self._outer.pop()
        self._to_skip = 0
        if inner.target == self._group.target:
            return
        text = "".join(self._targets.pop(inner.target, ())).strip()
        if inner.target == "fldinst":
            link = _LINK.search(text)
            self._link = link[1] if link else ""
        elif inner.target == "fldrslt":
            address, self._link = self._link, ""
            is_shown = not address or text.rstrip("/") in address
            self._add(text if is_shown or not text else f"[{text}]({address})")
        elif inner.target == "atnauthor":
            self._author = text
        elif inner.target in _NOTES and text:
            name = _NOTES[inner.target]
            if inner.target == "annotation" and self._author:
                name, self._author = f"comment by {self._author}", ""
            note = f"[{name}: {' '.join(text.split())}]"
            if inner.target in ("header", "footer"):
                yield from self._line()
                yield note
            else:
                self._add(f" {note}")
        elif inner.target == "pict":
            self._add("[picture]")

    def _control(self, word: str, number: int | None) -> Iterator[str]:
        is_starred, self._is_starred = self._is_starred, False
        is_on = number != 0
        if word in _HEADERS or word in ("footnote", "annotation", "atnauthor", "fldinst", "fldrslt", "pict"):
            self._enter(_HEADERS.get(word, word))
        elif word in ("fonttbl",):
            self._enter("fonttbl")
        elif (
            word in _SKIPPED
            or (is_starred and word not in _READ_THOUGH_STARRED)
            or word in ("nonshppict", "objdata")
        ):
            self._enter("skipped")
        elif word == "ansicpg" and number is not None:
            self._code_page = _known(f"cp{number}")
        elif word in ("mac", "pc", "pca"):
            self._code_page = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[word]
        elif word == "f" and number is not None:
            self._group = replace(self._group, font=number)
        elif word == "fcharset" and number is not None and self._group.target == "fonttbl":
            if len(self._fonts) < _MAX_FONTS and number in _CODE_PAGES and number > 2:
                self._fonts[self._group.font] = _CODE_PAGES[number]
        elif word == "uc" and number is not None:
            self._group = replace(self._group, skip=max(0, min(number, 16)))
        elif word == "u" and number is not None:
            self._take_unicode(number)
        elif word == "v":
            self._group = replace(self._group, is_hidden=is_on)
        elif word == "deleted":
            self._group = replace(self._group, is_deleted=is_on)
        elif word in ("strike", "striked"):
            self._group = replace(self._group, is_struck=is_on)
        elif word in ("super", "sub", "nosupersub"):
            sign = {"super": "^", "sub": "_"}.get(word, "") if is_on else ""
            self._group = replace(self._group, script=sign)
            self._add(sign)
        elif word == "plain":
            self._group = replace(self._group, is_hidden=False, is_deleted=False, is_struck=False, script="")
        elif word in _SIGNS:
            self._add(_SIGNS[word])
        else:
            yield from self._layout(word)

    def _layout(self, word: str) -> Iterator[str]:
        if word == "intbl":
            self._group = replace(self._group, is_table=True)
        elif word == "pard":
            self._group = replace(self._group, is_table=False)
        elif word == "nestcell" and not self._group.target:
            before, line_end, text = self._taken().rpartition("\n")
            self._table.inner.append(text.strip())
            self._pieces.append(before + line_end)
        elif word == "nestrow":
            # Its properties are no text, but it ends among them.
            self._end_inner_row()
        elif word == "cell" and not self._group.target:
            self._end_inner_row()
            self._table.cells.append(self._taken().strip())
        elif word == "row" and not self._group.target:
            if any(self._table.cells):
                self._table.rows.append(self._table.cells)
            self._table.cells = []
        elif word in _BREAKS:
            if self._group.target or self._group.is_table or self._table.cells:
                self._add("\n")
            else:
                yield from self._line(is_end=True)

    def _end_inner_row(self) -> None:
        """Make the row of a table in a cell a line of that cell."""
        row, self._table.inner = self._table.inner, []
        if any(row):
            self._pieces.append(" / ".join(filter(None, row)) + "\n")

    def _taken(self) -> str:
        """Return the text since the last time."""
        text = "".join(self._pieces).replace(2 * _STRUCK, "")
        self._pieces.clear()
        return text

    def _enter(self, target: str) -> None:
        if self._group.target != "skipped":
            self._group = replace(self._group, target=target)

    def _take_byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._pending.append(value)

    def _take_sign(self, sign: str) -> None:
        if sign == "*":
            self._is_starred = True
        elif self._to_skip:
            self._to_skip -= 1
        else:
            self._add(_ESCAPES.get(sign, ""))

    def _take_text(self, text: str) -> None:
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        text = text[skipped:]
        # Bytes that should have been escaped are of the code page.
        self._add(text if text.isascii() else self._decoded(text.encode("latin-1")))

    def _take_unicode(self, number: int) -> None:
        code = number % 0x10000 if -0x10000 < number < 0x10000 else number
        self._to_skip = self._group.skip
        if 0xD800 <= code < 0xDC00:
            self._surrogate = code
            return
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + (self._surrogate - 0xD800) * 0x400 + code - 0xDC00 if self._surrogate else 0xFFFD
        self._surrogate = 0
        self._add(chr(code) if 0 <= code <= 0x10FFFF else "\ufffd")

    def _flush(self) -> None:
        if self._pending:
            pending = bytes(self._pending)
            self._pending.clear()
            self._add(self._decoded(pending))

    def _decoded(self, content: bytes) -> str:
        return content.decode(self._fonts.get(self._group.font, self._code_page), "replace")

    def _add(self, text: str) -> None:
        group = self._group
        if not text or group.is_deleted or group.target in ("skipped", "fonttbl"):
            return
        if group.is_hidden and text.strip():
            text = f"[hidden: {text.strip()}]"
        if group.is_struck and text.strip():
            text = f"{_STRUCK}{text}{_STRUCK}"
        if group.target:
            self._targets.setdefault(group.target, []).append(text)
        else:
            self._pieces.append(text)

    def _line(self, *, is_end: bool = False) -> Iterator[str]:
        """Yield the text since the last line, behind the table before it."""
        text = self._taken().replace("\xa0", " ")
        if not text.strip() and not is_end:
            return
        yield from self._end_table()
        yield from (line.rstrip() for line in text.split("\n"))

    def _end_table(self) -> Iterator[str]:
        table, self._table = self._table, _Table()
        if table.cells and any(table.cells):
            table.rows.append(table.cells)
        if not table.rows:
            return
        columns = max(map(len, table.rows))
        yield ""
        for number, row in enumerate(table.rows):
            yield row_line([*row, *[""] * (columns - len(row))])
            if not number:
                yield rule(columns)
        yield ""


def _known(encoding: str) -> str:
    try:
        return codecs.lookup({"cp65001": "utf-8", "cp10000": "mac_roman"}.get(encoding, encoding)).name
    except LookupError:
        return "cp1252"
