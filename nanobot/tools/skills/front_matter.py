"""The front matter of a `SKILL.md`: where it ends, and its fields where they are plain."""

import re

from nanobot.core.late_pattern import LatePattern

MOST_BYTES = 8_192
_BYTE_ORDER_MARK = "\ufeff"
_FENCE = LatePattern(r"---[ \t]*\r?\n")
_CLOSING = LatePattern(r"^---[ \t]*\r?$", re.MULTILINE)
# Without what means something in YAML, or may: a colon, a quote at the beginning, spaces at the end.
_PLAIN = LatePattern(r"([a-z][a-z-]*): ([A-Za-z](?:[A-Za-z0-9 .,;()/'-]*[A-Za-z0-9.)])?)")
_FIELD = LatePattern(r"([a-z][a-z-]*):[ \t]+([^\s\"'\[{|>&*!#%@`].*)")
"""A field of the top, whose value is no quoted text, list, table or block."""


class BadFrontMatter(Exception):
    """There is none, or it cannot be read. Its text says why."""


def split(text: str) -> tuple[str, str]:
    """Return the front matter and the body of a `SKILL.md`.

    Raises:
        BadFrontMatter: it does not begin with front matter.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    opening = _FENCE.match(text)
    if opening is None:
        raise BadFrontMatter("it does not begin with front matter: a line ---, name and description, and ---")
    closing = _CLOSING.search(text, opening.end())
    if closing is None:
        raise BadFrontMatter("its front matter has no end: put a line --- below it")
    return text[opening.end() : closing.start()], text[closing.end() :].strip()


def quoted(text: str) -> str | None:
    """Return a front matter with each text of a field in quotes that has a colon in it and stands in none;
    None where there is no such text. Lines that are indented below one belong to it.
    """
    lines: list[str] = []
    open_text: list[str] | None = None
    has_changed = False
    for line in [*text.splitlines(), ""]:
        if open_text is not None and line[:1] in (" ", "\t"):
            open_text.append(line.strip())
            continue
        if open_text is not None:
            name, value = open_text[0], " ".join(open_text[1:])
            is_odd = ": " in value or value.endswith(":")
            lines.append(f"{name}: {_in_quotes(value) if is_odd else value}")
            has_changed = has_changed or is_odd
            open_text = None
        field = _FIELD.fullmatch(line)
        if field is not None:
            open_text = [field[1], field[2].strip()]
        else:
            lines.append(line)
    return "\n".join(lines) if has_changed else None


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def plain_fields(text: str) -> dict[str, str] | None:
    """Return the fields of a front matter that is nothing but plain texts, a line each, as those of most
    skills are; None where only a reader of YAML can tell.
    """
    if len(text) > MOST_BYTES:
        return None
    fields: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        plain = _PLAIN.fullmatch(line)
        if plain is None or plain[1] in fields:
            return None
        fields[plain[1]] = plain[2]
    return fields
