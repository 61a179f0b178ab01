"""Markdown, as all readers of formats write it."""

from collections.abc import Iterable, Iterator, Sequence

_DEEPEST_HEADING = 6


def heading(level: int, text: str) -> str:
    """Return the line of a heading; `level` counts from 1."""
    return f"{'#' * max(1, min(level, _DEEPEST_HEADING))} {' '.join(text.split())}"


def cell(text: str) -> str:
    """Return the text as it can stand in a cell of a table."""
    return "<br>".join(text.replace("|", "\\|").strip().splitlines())


def table(rows: Iterable[Sequence[str]], columns: int) -> Iterator[str]:
    """Yield the lines of a table. Its first row is the header; `columns` is the size of the longest row."""
    is_first = True
    for row in rows:
        yield row_line([*row, *[""] * (columns - len(row))])
        if is_first:
            yield rule(columns)
            is_first = False


def table_block(rows: Sequence[Sequence[str]], *, is_nested: bool) -> Iterator[str]:
    """Yield the table as a block of its own, nothing where it is empty; `is_nested`: it stands in a cell,
    where there are no tables, and each row is a line.
    """
    if is_nested:
        yield "\n".join(filter(None, (" / ".join(filter(None, row)) for row in rows)))
    elif any(any(row) for row in rows):
        # What follows right behind a table would be another row of it.
        yield "\n".join(table(rows, max(map(len, rows)))) + "\n"


def row_line(cells: Iterable[str]) -> str:
    """Return the line of one row."""
    return f"| {' | '.join(map(cell, cells))} |"


def rule(columns: int) -> str:
    """Return the line that stands below a header."""
    return "|" + "---|" * columns


def linked(text: str, address: str) -> str:
    """Return the text as a link, unless it is its address already. White space around it stays outside."""
    core = text.strip()
    bare = address.removeprefix("mailto:").rstrip("/")
    said = core.rstrip("/")
    if not address or not core or said in (address.rstrip("/"), bare):
        return text
    before, _, after = text.partition(core)
    if said == bare.partition("://")[2]:
        return f"{before}{address}{after}"
    return f"{before}[{core}]({address}){after}"
