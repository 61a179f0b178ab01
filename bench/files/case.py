"""A document of the corpus: its bytes, and what is known to be in it."""

import re
import unicodedata

import msgspec

_WORD = re.compile(r"\w+", re.UNICODE)


class Case(msgspec.Struct, frozen=True):
    """A document and what a person would read in it.

    `kind`: the row of the report that it counts in, such as `DOCX`. `name`: its file name; what is special
    about it comes before the extension. `text`: everything that a person would read, in any order: its words
    are looked for. `rows`: rows of tables, which must stand on one line each, cells in order. `values`:
    answers in forms. `charts`: numbers and labels of charts. `texts`: pieces that must be there word for
    word, such as `[picture: A cat]`. `absent`: pieces that must not, such as deleted text. `mime`: as a
    client may declare it.
    """

    kind: str
    name: str
    content: bytes
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    values: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    mime: str = ""


def words(text: str) -> list[str]:
    """Return the words of a text; each character of scripts without spaces is one."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [
        piece
        for word in _WORD.findall(plain)
        for piece in (word if any(character > "\u2e80" for character in word) else (word,))
    ]
