"""`stores.sql.db.SearchIndex` on SQLite's FTS5: messages come in while nothing else is to be done, and go
with their session.

The index has no copy of the texts. Words are separated as Unicode has them; scripts that set no spaces are
taken apart into characters, so that any part of a sentence is found.
"""

import re
from collections.abc import Iterator

import msgspec

from nanobot.core.message import File, Message, Text
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import SEQ_BITS, message_ids, seq_of

_decode = msgspec.json.Decoder(Message).decode
_MOST_MESSAGES_A_STEP = 128
_MOST_CHARACTERS_A_STEP = 256 * 1024
_MERGED_PAGES_A_STEP = 64
_SESSIONS_A_LOOK = 10_000
_WORD = re.compile(r"[^\W_]")
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\ua000-\ua4cf\uac00-\ud7a3"
    "\uf900-\ufaff\U00020000-\U0003ffff])"
)


def spaced(text: str) -> str:
    """Return the text with space around each character of a script that sets none between words."""
    return _UNSPACED.sub(r" \1 ", text)


def searchable(message: Message) -> str:
    """Return what of a message is found: what users and the model wrote, and what files say.

    What went into the index must come out of it as it went in: whoever changes this builds the index anew, in
    a migration.
    """
    if message.role == "tool":
        return ""
    texts = [part.text for part in message.parts if isinstance(part, Text)]
    texts.extend(f"{part.name} {part.text}" for part in message.parts if isinstance(part, File))
    return spaced("\n".join(texts))


def query(text: str) -> str | None:
    text = text.replace("\0", " ").encode(errors="replace").decode()
    pieces: list[str] = []
    for number, stretch in enumerate(text.split('"')):
        words = [stretch] if number % 2 else stretch.split()
        pieces.extend(f'"{spaced(word)}"{"" if number % 2 else "*"}' for word in words if _WORD.search(word))
    return " ".join(pieces) or None


def sessions() -> str:
    return f"SELECT DISTINCT rowid >> {SEQ_BITS} FROM search WHERE search MATCH ?"


def matches(db: Db, session: int, query: str) -> Iterator[int]:
    found = db.execute(
        "SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC",
        (query, *message_ids(session, 0)),
    )
    return (seq_of(id_) for (id_,) in found)


def index_some(db: Db) -> bool:
    """Take some of what is committed into the index; return whether there is more."""
    is_looking = _look_through(db)
    waiting = db.execute(
        # Not where a list is being taken in: some of its messages are still to come.
        "SELECT id, indexed_seq, last_seq FROM unindexed CROSS JOIN session ON id = session"
        " WHERE id NOT IN (SELECT session FROM unseen WHERE state = 'coming') LIMIT 16"
    ).fetchall()
    left_messages, left_characters = _MOST_MESSAGES_A_STEP, _MOST_CHARACTERS_A_STEP
    for session, indexed_seq, last_seq in waiting:
        seq = indexed_seq
        for id_, body in db.execute(
            "SELECT id, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            (*message_ids(session, indexed_seq + 1, last_seq), left_messages),
        ).fetchall():
            seq = seq_of(id_)
            text = searchable(_decode(body))
            if text:
                db.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (id_, text))
            left_messages -= 1
            left_characters -= len(text)
            if left_characters < 0:
                break
        db.execute(
            "UPDATE session SET indexed_seq = ? WHERE id = ?",
            (seq if seq > indexed_seq else last_seq, session),
        )
        db.execute(
            "DELETE FROM unindexed WHERE session = ?"
            " AND session IN (SELECT id FROM session WHERE indexed_seq >= last_seq)",
            (session,),
        )
        if left_messages <= 0 or left_characters < 0:
            break
    return bool(waiting) or is_looking


def _look_through(db: Db) -> bool:
    """Look through some of the sessions for what had not come into the index when the last server stopped;
    return whether there are more to look at.
    """
    found = db.execute("SELECT session FROM looked_through").fetchone()
    if found is None:
        return False
    last = found[0] + _SESSIONS_A_LOOK
    db.execute(
        "INSERT OR IGNORE INTO unindexed SELECT id FROM session"
        " WHERE id > ? AND id <= ? AND last_seq > indexed_seq",
        (found[0], last),
    )
    if db.execute("SELECT 1 FROM session WHERE id > ? LIMIT 1", (last,)).fetchone():
        db.execute("UPDATE looked_through SET session = ?", (last,))
        return True
    db.execute("DELETE FROM looked_through")
    return False


def forget(db: Db, session: int, first_seq: int, last_seq: int) -> None:
    """Take some of the session's messages out of the index; their rows must still be there.

    What the file holds of it goes with `clean_some`.
    """
    (indexed_seq,) = db.execute("SELECT indexed_seq FROM session WHERE id = ?", (session,)).fetchone()
    rows = db.execute(
        "SELECT id, body FROM message WHERE id BETWEEN ? AND ?",
        message_ids(session, first_seq, min(indexed_seq, last_seq)),
    )
    for id_, body in rows:
        if text := searchable(_decode(body)):
            db.execute(
                "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)",
                (id_, text),
            )
    db.execute("INSERT OR REPLACE INTO chore (name) VALUES ('merge'), ('truncate')")


def clean_some(db: Db) -> bool:
    """Go on writing the index anew, without what was taken out of it; return whether there is more to do."""
    found = db.execute("SELECT is_started FROM chore WHERE name = 'merge'").fetchone()
    if found is None:
        return False
    before = _changes(db)
    db.execute(
        "INSERT INTO search (search, rank) VALUES ('merge', ?)",
        (_MERGED_PAGES_A_STEP if found[0] else -_MERGED_PAGES_A_STEP,),
    )
    # SQLite says so: a merge that changed less than two rows had nothing left to do.
    if _changes(db) - before < 2:
        db.execute("DELETE FROM chore WHERE name = 'merge'")
        return False
    db.execute("UPDATE chore SET is_started = 1 WHERE name = 'merge'")
    return True


def _changes(db: Db) -> int:
    """Return how many rows the connection has changed in all."""
    (count,) = db.execute("SELECT total_changes()").fetchone()
    return int(count)
