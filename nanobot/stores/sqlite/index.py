"""`stores.sql.db.SearchIndex` on SQLite's FTS5: messages come in while nothing else is to be done, and go
with their session.

The index has no copy of the texts. What a word is, `stores.sql.tokens` says; when that changes, the index is
built anew, the newest sessions first, while what is said meanwhile comes in as ever.
"""

from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.message import File, Message, Text
from nanobot.stores.sql import slices, tokens, topics
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.recall import QUESTION_ENDS
from nanobot.stores.sql.transcript import SEQ_BITS, message_ids, seq_of

_decode = msgspec.json.Decoder(Message).decode
_decode_ids = msgspec.json.Decoder(list[list[int]]).decode
_MOST_MESSAGES_A_STEP = 128
_MOST_CHARACTERS_A_STEP = 96 * 1024
_MOST_FORGOTTEN_A_STEP = 256
_MOST_CHARACTERS_FORGOTTEN = 256 * 1024
_MOST_REBUILT_A_STEP = 64
_MOST_CHARACTERS_REBUILT = 64 * 1024
_PAGE_BYTES = 500
"""A search for a word that many messages have begins at its session's page. FTS5's own pages of 4,050 bytes
hold a thousand messages, and it reads them one by one.
"""
_MERGED_PAGES_A_STEP = 512
_SESSIONS_A_LOOK = 10_000
_BYTES_READ_A_CHARACTER = 8
_OLDEST_OF_EACH = (
    # One statement with one row: between two of either, others may have the interpreter. In this order,
    # unlike the other, FTS5 begins at the first page and reads no further than it must.
    "SELECT json_group_array(json((SELECT json_group_array(rowid) FROM (SELECT rowid FROM search"
    " WHERE search MATCH query.value AND rowid BETWEEN ?2 AND ?3 LIMIT ?4)))) FROM json_each(?1) query"
)
_INSERT = "INSERT INTO search (rowid, text) VALUES (?, ?)"
_DELETE = "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)"


def renew(db: Db) -> None:
    """Empty the index where it has other tokens than this version looks for; `rebuild_some` fills it."""
    known = db.execute("SELECT version FROM search_version").fetchone()
    if known == (version(),):
        return
    with db.transaction():
        db.execute("DROP TABLE IF EXISTS search")
        # The tokens are joined by spaces; to this tokenizer, all characters beyond ASCII are parts of words.
        db.execute(
            "CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, tokenize = 'ascii',"
            f" prefix = '{' '.join(map(str, tokens.STEM_LENGTHS))}')"
        )
        db.execute("INSERT INTO search (search, rank) VALUES ('pgsz', ?)", (_PAGE_BYTES,))
        db.execute("DELETE FROM unsearched")
        db.execute("DELETE FROM half_indexed")
        db.execute("INSERT INTO unsearched SELECT id, indexed_seq FROM session WHERE indexed_seq > 0")
        db.execute("DELETE FROM search_version")
        db.execute("INSERT INTO search_version VALUES (?)", (version(),))


def is_whole(db: Db) -> bool:
    return db.execute("SELECT 1 FROM unsearched LIMIT 1").fetchone() is None


def searchable(message: Message) -> str:
    """Return what of a message is searched: what users and the model wrote, and what files say.

    What went into the index must come out of it as it went in: whoever changes this, or `_indexed`, changes
    `tokens.VERSION`.
    """
    if message.role == "tool":
        return ""
    texts = [part.text for part in message.parts if isinstance(part, Text)]
    texts.extend(f"{part.name} {part.text}" for part in message.parts if isinstance(part, File))
    return "\n".join(texts)


def version() -> str:
    """Return what changes whenever a message may have other tokens than before."""
    return f"{tokens.VERSION}/{topics.version()}"


def _indexed(message: Message, text: str) -> str:
    """Return the tokens of a message that is not long: those of its words, and of the topics of what a user
    has told.
    """
    words = tokens.indexed(text)
    if message.role != "user" or (said := message.text).rstrip().endswith(QUESTION_ENDS):
        return words
    about = topics.indexed(said)
    return f"{words} {about}" if about else words


def query(text: str) -> str | None:
    pieces: list[str] = []
    for number, stretch in enumerate(text.split('"')):
        is_quoted = bool(number % 2)
        for word in [stretch] if is_quoted else stretch.split():
            phrase = tokens.phrase(word, is_open=not is_quoted)
            if phrase is not None:
                pieces.append(expression(phrase))
    return " ".join(pieces) or None


def expression(phrase: tokens.Phrase) -> str:
    """Return the phrase in the language of the index."""
    return f'"{" ".join(phrase.tokens)}"{"*" if phrase.is_open else ""}'


def sessions() -> str:
    return f"SELECT DISTINCT rowid >> {SEQ_BITS} FROM search WHERE search MATCH ?"


def matches(db: Db, session: int, query: str) -> Iterator[int]:
    found = db.execute(
        "SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC",
        (query, *message_ids(session, 0)),
    )
    return (seq_of(id_) for (id_,) in found)


def any_of(phrases: Sequence[tokens.Phrase]) -> str:
    return " OR ".join(map(expression, phrases))


def count(db: Db, query: str, first_id: int, last_id: int, most: int) -> int:
    (number,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)",
        (query, first_id, last_id, most),
    ).fetchone()
    return int(number)


def newest(db: Db, query: str, first_id: int, last_id: int, most: int) -> Sequence[int]:
    rows = db.execute(
        "SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?",
        (query, first_id, last_id, most),
    )
    return [id_ for (id_,) in rows]


def oldest_of_each(
    db: Db, queries: Sequence[str], first_id: int, last_id: int, most: int
) -> Sequence[Sequence[int]]:
    (found,) = db.execute(
        _OLDEST_OF_EACH, (msgspec.json.encode(queries).decode(), first_id, last_id, most)
    ).fetchone()
    return _decode_ids(found)


def index_some(db: Db) -> bool:
    """Take some of what is committed into the index; return whether there is more."""
    is_looking = _look_through(db)
    waiting = db.execute(
        # Not where a list is being taken in: some of its messages are still to come.
        "SELECT id, indexed_seq, last_seq FROM unindexed CROSS JOIN session ON id = session"
        " WHERE id NOT IN (SELECT session FROM unseen WHERE state = 'coming') LIMIT 16"
    ).fetchall()
    step = _Step(_MOST_MESSAGES_A_STEP, _MOST_CHARACTERS_A_STEP)
    for session, indexed_seq, last_seq in waiting:
        _index_session(db, session, indexed_seq, last_seq, step)
        if step.is_full:
            break
    step.write(db, _INSERT)
    return bool(waiting) or is_looking


def index_session(
    db: Db,
    session: int,
    *,
    most_messages: int = _MOST_MESSAGES_A_STEP,
    most_characters: int = _MOST_CHARACTERS_A_STEP,
) -> bool:
    found = db.execute(
        "SELECT indexed_seq, last_seq FROM session WHERE id = ? AND last_seq > indexed_seq"
        " AND id NOT IN (SELECT session FROM unseen WHERE state = 'coming')",
        (session,),
    ).fetchone()
    if found is None:
        return False
    step = _Step(most_messages, most_characters)
    indexed_seq, last_seq = found
    is_at_long_one = _index_session(db, session, indexed_seq, last_seq, step)
    step.write(db, _INSERT)
    return is_at_long_one


class _Step(msgspec.Struct):
    """How much a step may still take in or out, and what it writes."""

    messages: int
    characters: int
    written: list[tuple[int, str]] = []
    entries: int = slices.MOST_ENTRIES
    words: set[str] = msgspec.field(default_factory=set)
    is_full: bool = False

    def take(self, id_: int, indexed: str, body: bytes) -> None:
        if indexed:
            self.written.append((id_, indexed))
            new = set(indexed.split(" ")) - self.words
            self.entries -= slices.entries(new)
            self.words |= new
        self.messages -= 1
        # Of a picture nothing is searched, and yet its message is read.
        self.characters -= max(len(indexed), len(body) // _BYTES_READ_A_CHARACTER)
        self.is_full = self.messages <= 0 or self.characters < 0 or self.entries < 0

    def begin_slice(self) -> bool:
        """Fill the step with a slice of a long message; return False where it has something already."""
        is_fresh = not self.written and not self.is_full
        self.is_full = True
        return is_fresh

    def write(self, db: Db, statement: str) -> None:
        # In order: an entry before the one that was written last makes a segment of its own.
        for id_, text in sorted(self.written):
            db.execute(statement, (id_, text))


def _index_session(db: Db, session: int, indexed_seq: int, last_seq: int, step: _Step) -> bool:
    """Take some of the session's new messages into the index; return whether it is at a long one now."""
    seq, is_whole = indexed_seq, True
    for id_, body in db.execute(
        "SELECT id, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (*message_ids(session, indexed_seq + 1, last_seq), step.messages),
    ):
        if not (is_whole := _take_in(db, id_, body, step)):
            break
        seq = seq_of(id_)
        if step.is_full:
            break
    if is_whole and seq == indexed_seq:
        # Of these numbers there are no messages.
        seq = last_seq
    if seq > indexed_seq:
        db.execute("UPDATE session SET indexed_seq = ? WHERE id = ?", (seq, session))
    db.execute(
        "DELETE FROM unindexed WHERE session = ?"
        " AND session IN (SELECT id FROM session WHERE indexed_seq >= last_seq)",
        (session,),
    )
    return not is_whole


def _take_in(db: Db, id_: int, body: bytes, step: _Step) -> bool:
    """Take a message into the index, or the next slice of a long one; return whether all of it is there."""
    text = _long_text(id_, body, step)
    if text is None:
        return True
    if not step.begin_slice():
        return False
    _, after = _half(db, id_) or (0, 0)
    number = after or 0
    piece = db.slices.slice(id_, lambda: text, number)
    if piece == "":
        db.execute("DELETE FROM half_indexed WHERE message = ?", (id_,))
    elif piece is not None:
        step.written.append((id_, piece))
        _keep_half(db, id_, 0, number + 1)
    return piece == ""


def _long_text(id_: int, body: bytes, step: _Step) -> str | None:
    """Return the text of a long message; let the step take any other whole, and return None."""
    message = _decode(body)
    text = searchable(message)
    if slices.is_long(text):
        return text
    step.take(id_, _indexed(message, text), body)
    return None


def _half(db: Db, id_: int) -> tuple[int, int | None] | None:
    """Return from which slice of a message on the index has them, and up to before which one; None where it
    has all of them or none.
    """
    found: tuple[int, int | None] | None = db.execute(
        "SELECT first, after FROM half_indexed WHERE message = ?", (id_,)
    ).fetchone()
    return found


def _keep_half(db: Db, id_: int, first: int, after: int | None) -> None:
    db.execute(
        "INSERT OR REPLACE INTO half_indexed (message, first, after) VALUES (?, ?, ?)", (id_, first, after)
    )


def rebuild_some(db: Db) -> bool:
    """Take some of what was said before the index was emptied into it again; return whether there is more."""
    waiting = db.execute("SELECT session, last_seq FROM unsearched ORDER BY session DESC LIMIT 16").fetchall()
    step = _Step(_MOST_REBUILT_A_STEP, _MOST_CHARACTERS_REBUILT)
    for session, last_seq in waiting:
        left_seq = _rebuild_session(db, session, last_seq, step)
        if left_seq:
            db.execute("UPDATE unsearched SET last_seq = ? WHERE session = ?", (left_seq, session))
        else:
            db.execute("DELETE FROM unsearched WHERE session = ?", (session,))
        if step.is_full:
            break
    step.write(db, _INSERT)
    return bool(waiting)


def _rebuild_session(db: Db, session: int, last_seq: int, step: _Step) -> int:
    """Take some of the session's messages into the index, the newest first; return the number of the newest
    one that is still to come, 0 where there is none.
    """
    for id_, body in db.execute(
        "SELECT id, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?",
        (*message_ids(session, 1, last_seq), step.messages),
    ):
        if not _take_in(db, id_, body, step):
            return seq_of(id_)
        if step.is_full:
            return seq_of(id_) - 1
    return 0


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


def forget(db: Db, session: int, first_seq: int, last_seq: int) -> int:
    """Take some of the session's messages out of the index, whose rows must still be there; return the number
    of the last one up to which none is in it: less than `last_seq` where there is more to do.

    What the file holds of it goes with `clean_some`.
    """
    indexed_seq, missing_seq = db.execute(
        "SELECT indexed_seq, (SELECT last_seq FROM unsearched WHERE session = id) FROM session WHERE id = ?",
        (session,),
    ).fetchone()
    there = range((missing_seq or 0) + 1, indexed_seq + 1)
    step = _Step(_MOST_FORGOTTEN_A_STEP, _MOST_CHARACTERS_FORGOTTEN)
    db.execute("INSERT OR REPLACE INTO chore (name) VALUES ('merge'), ('truncate')")
    gone_seq = last_seq
    for id_, body in db.execute(
        "SELECT id, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id",
        message_ids(session, first_seq, last_seq),
    ):
        seq = seq_of(id_)
        is_gone = _take_out(db, id_, body, step, is_there=seq in there)
        if not is_gone or step.is_full:
            gone_seq = seq if is_gone else seq - 1
            break
    step.write(db, _DELETE)
    return gone_seq


def _take_out(db: Db, id_: int, body: bytes, step: _Step, *, is_there: bool) -> bool:
    """Take a message out of the index, or the next slice of a long one; return whether nothing of it is left.
    What went in must be told as it was.
    """
    half = _half(db, id_)
    if half is None and not is_there:
        return True
    text = _long_text(id_, body, step)
    if text is None:
        return True
    if not step.begin_slice():
        return False
    first, after = half or (0, None)
    piece = "" if first == after else db.slices.slice(id_, lambda: text, first)
    if piece == "":
        db.execute("DELETE FROM half_indexed WHERE message = ?", (id_,))
        db.slices.forget(id_)
    elif piece is not None:
        step.written.append((id_, piece))
        _keep_half(db, id_, first + 1, after)
    return piece == ""


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
