"""Values derived from the rows, cached in memory: temporary tables of the connection that writes.

Triggers keep them up to date in the transaction that changes the rows, which rolls them back where it fails.
An index of the database would answer the same, and cost every turn pages that go to the disk.
"""

from nanobot.stores.sqlite.connection import Connection

_TABLES = (
    # Sessions with messages that are not in the text search yet, and up to which session those that an
    # earlier process left have been looked for.
    "CREATE TABLE temp.unindexed (session INTEGER PRIMARY KEY) STRICT",
    "CREATE TABLE temp.looked_through (session INTEGER NOT NULL) STRICT",
    "INSERT INTO looked_through VALUES (0)",
    "CREATE TEMP TRIGGER session_grows AFTER UPDATE OF last_seq ON main.session"
    " WHEN new.last_seq > new.indexed_seq AND old.last_seq <= old.indexed_seq BEGIN"
    " INSERT OR IGNORE INTO unindexed VALUES (new.id); END",
    # What has gone so far of deleted sessions, of those of which somebody waits for the sum.
    "CREATE TABLE temp.purged (session INTEGER PRIMARY KEY, messages INTEGER NOT NULL DEFAULT 0,"
    " turns INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0) STRICT",
    "CREATE TEMP TRIGGER session_goes AFTER DELETE ON main.session BEGIN"
    " DELETE FROM unindexed WHERE session = old.id; END",
)


def derive(db: Connection) -> None:
    """Make the tables, once for a connection."""
    db.execute("PRAGMA temp_store = MEMORY")
    for statement in _TABLES:
        db.execute(statement)
