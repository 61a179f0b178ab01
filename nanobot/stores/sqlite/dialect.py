"""SQLite's words: `stores.sql.db.Dialect`."""

from nanobot.core.accounts import glob


def matches(column: str) -> str:
    return f"{column} GLOB ?"


def pattern(pattern: str) -> str:
    return glob(pattern)


def joined(column: str) -> str:
    return f"CAST(group_concat({column}, ',') AS BLOB)"


def new_number(table: str) -> str:
    return f"(SELECT 1 + max({table}, coalesce((SELECT max(rowid) FROM {table}), 0)) FROM gone_number)"


def json_field(column: str, name: str) -> str:
    return f"json_extract(CAST({column} AS TEXT), '$.{name}')"
