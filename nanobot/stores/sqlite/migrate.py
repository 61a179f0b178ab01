"""Numbered migrations: `migrations/NNNN_name.sql`, each run once, in order, in a transaction of its own.

Some come after work on the rows that is too much for one transaction (`_BEFORE`). A new database gets all of
them in one. All happens while the database is opened, before anyone is served.
"""

from collections.abc import Callable
from pathlib import Path

from nanobot.core.errors import StoreCorrupt, StoreTooNew
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.moving import move_rows
from nanobot.stores.sqlite.placing import place_rows

APPLICATION_ID = 0x6E616E6F
_SQL = Path(__file__).parent / "migrations"
_BEFORE: dict[int, Callable[[Connection], None]] = {7: move_rows, 9: place_rows}
"""What must have been done before a migration; it is resumed where a process was killed over it."""


def migrations() -> list[tuple[int, str]]:
    """Return `(number, sql)` of every migration, in order."""
    return [
        (int(file.name[:4]), file.read_text(encoding="utf-8"))
        for file in sorted(_SQL.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]


def migrate(db: Connection, path: Path) -> None:
    """Bring the database to this version's shape; one of a newer version, or of another program, is left as
    it is.

    Raises:
        StoreTooNew: a newer nanobot wrote it.
        StoreCorrupt: it belongs to another program.
    """
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a database of another program: name another directory with --data")
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise StoreTooNew(
            f"{path} has format {version}, this nanobot knows up to {newest}: upgrade nanobot, or name"
            " another directory with --data"
        )
    if not tables:
        # There are no rows to move, and one transaction is on the disk much sooner than one for each.
        _run(db, "\n".join(sql for _, sql in known), newest)
        return
    for number, sql in known:
        if number > version:
            if number in _BEFORE:
                _BEFORE[number](db)
            _run(db, sql, number)


def _run(db: Connection, sql: str, version: int) -> None:
    """Run statements, and note the version that they lead to, in one transaction."""
    db.executescript(
        f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version ="
        f" {version};\nCOMMIT;"
    )
