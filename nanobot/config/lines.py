"""On which line of a TOML file each setting stands. `tomllib` does not say."""

import re
from collections.abc import Iterator
from typing import Any


def setting_lines(text: str) -> dict[str, int]:
    """Return the line, counted from 1, on which each table and each value of `text` begins, by its dotted
    name: `server`, `server.port`, `keys[0].hash`. Of a value that is a table or a list, its parts too.

    `text` is valid TOML.
    """
    lines: dict[str, int] = {}
    tables_of_list: dict[str, int] = {}
    table = ""
    for number, statement, parsed in _statements(text):
        if not statement.lstrip().startswith("["):
            _note(lines, table, parsed, number)
            continue
        table = ""
        value: Any = parsed
        while isinstance(value, dict) and value:
            ((name, value),) = value.items()
            table = _joined(table, name)
            if isinstance(value, list):
                index = tables_of_list[table] = tables_of_list.get(table, -1) + 1
                value = value[0]
                lines.setdefault(table, number)
                table = f"{table}[{index}]"
            elif value and table in tables_of_list:
                # A table below the last one of a list.
                table = f"{table}[{tables_of_list[table]}]"
            lines.setdefault(table, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield each header of a table and each assignment: its first line, its text, and what it means alone.

    A value of several lines is no valid TOML before its last one.
    """
    # Only a server with a file of settings, and something to say of it.
    import tomllib

    pending, begins_at = "", 1
    # Not `splitlines`, which also splits where TOML does not, as at U+2028.
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        if not pending:
            begins_at = number
        pending += line
        try:
            parsed = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield begins_at, pending, parsed
        pending = ""


def _note(lines: dict[str, int], path: str, value: object, number: int) -> None:
    if path:
        lines.setdefault(path, number)
    if isinstance(value, dict):
        for name, each in value.items():
            _note(lines, _joined(path, name), each, number)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _note(lines, f"{path}[{index}]", each, number)


def _joined(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name
