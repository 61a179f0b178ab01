"""The port to an SQL database: what the policy needs of a connection, and the words that differ."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from nanobot.core.scopes import ScopeRules
from nanobot.stores.sql.prepared import PreparedMessages
from nanobot.stores.sql.recent_messages import RecentMessages
from nanobot.stores.sql.slices import Slices
from nanobot.stores.sql.tokens import Phrase

T = TypeVar("T")
Value = str | int | float | bytes | None


V = TypeVar("V", bound=Value)


def among(values: Sequence[V]) -> tuple[str, tuple[V, ...]]:
    """Return what stands behind IN for one or more values, and what is bound there: some repeat, so that
    lists of all lengths make few statements, as each one that is known takes memory.
    """
    count = 1 << (len(values) - 1).bit_length()
    return f"({', '.join('?' * count)})", (*values, *(values[-1],) * (count - len(values)))


class Rows(Protocol):
    """What a statement returned: tuples, fetched as they are asked for.

    `rowcount` is how many rows the statement changed.
    """

    @property
    def rowcount(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Dialect(Protocol):
    """The words in which SQL databases differ; each method returns a piece of a statement."""

    def matches(self, column: str) -> str:
        """Return the condition that the column matches a bound value made by `pattern`."""
        ...

    def pattern(self, pattern: str) -> str:
        """Return the value to bind for a pattern of session keys, in which `*` stands for any characters."""
        ...

    def joined(self, column: str) -> str:
        """Return the expression for the values of a column, joined by commas, as bytes."""
        ...

    def new_number(self, table: str) -> str:
        """Return the expression for the number of a row to be inserted: one that no row of the table had
        before.
        """
        ...

    def json_field(self, column: str, name: str) -> str:
        """Return the expression for a boolean field of the JSON object in a column of bytes; NULL where the
        object does not have it.
        """
        ...


class Db(Protocol):
    """A connection to the database, used by one thread at a time.

    Statements have `?` for each value that is bound. Every function of this package that takes a `Db` runs
    inside a transaction that its caller opened.
    """

    @property
    def dialect(self) -> Dialect: ...

    @property
    def scopes(self) -> ScopeRules:
        """The rules by which session keys speak of somebody."""
        ...

    @property
    def running(self) -> dict[str, int]:
        """How many turns each owner runs, for `queue.count_running`; emptied where a transaction is rolled
        back.
        """
        ...

    @property
    def recent(self) -> RecentMessages:
        """Messages of the sessions that were used last; emptied where a transaction is rolled back."""
        ...

    @property
    def slices(self) -> Slices:
        """Long texts on their way into the search index or out of it; emptied where a transaction is rolled
        back.
        """
        ...

    prepared: PreparedMessages
    """What is known of the messages that are being written."""

    def execute(self, sql: str, values: Sequence[Value] = ..., /) -> Rows:
        """Run a statement and return its rows."""
        ...

    def insert(self, sql: str, values: Sequence[Value] = ..., /) -> int:
        """Insert one row and return the number that the database gave it."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context whose statements are committed together, or not at all where it raises."""
        ...


Job = Callable[[Db], T]


class Database(Protocol):
    """Runs jobs on a database for callers on the event loop."""

    async def write(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        """Return what `job` returned, once it is committed.

        `then` gets the result first, on the event loop, even where the caller has gone by then.

        Raises:
            NanobotError: what the job raised; it has left nothing.
            StoreError: it could not be committed.
        """
        ...

    @property
    def is_shared(self) -> bool:
        """Whether several payers ask."""
        ...

    async def room(self) -> None:
        """Wait while jobs of who asks (`core.payer.PAYER`) are kept back, as others ask, too: what is not
        begun meanwhile is in nobody's way.
        """
        ...

    async def write_piece(self, job: Job[T], then: Callable[[T], None] | None = None, /) -> T:
        """Do as `write` for a piece of something long, or for what is large: jobs that wait go first, and
        none waits for more than one piece. Pieces are done in the order in which they were asked for.
        """
        ...

    async def read(self, query: Job[T], /) -> T:
        """Return what `query` returned of what is committed.

        Raises:
            NanobotError: what the query raised.
            StoreError: the database could not be read.
        """
        ...

    async def scan(self, query: Job[T], /) -> T:
        """Do as `read` for a query that may take long: other queries do not wait behind it."""
        ...

    async def read_large(self, query: Job[T], /) -> T:
        """Do as `read` for a query of a turn whose answer is large, such as pictures: those of other turns do
        not wait behind it, nor it behind one that takes long.
        """
        ...

    async def check(self) -> None:
        """Commit something that changes nothing, and look at what is on the disk.

        Raises:
            StoreError: the disk takes no commit, or the database is gone from it, or damaged.
        """
        ...

    async def close(self) -> None:
        """Finish the jobs that were submitted, then close the database."""
        ...


class SearchIndex(Protocol):
    """A full-text index of what was said, in the words of one database."""

    def query(self, text: str) -> str | None:
        """Return the index's query for what a user typed; None where there is no word in it."""
        ...

    def index_some(self, db: Db) -> bool:
        """Take some of what is committed into the index; return whether there may be more."""
        ...

    def index_session(self, db: Db, session: int) -> bool:
        """Take some of the session's new messages into the index; return whether it is at a long one, which
        comes in in pieces.
        """
        ...

    def rebuild_some(self, db: Db) -> bool:
        """Add some of what an index that is being rebuilt lacks; return whether there may be more to do."""
        ...

    def is_whole(self, db: Db) -> bool:
        """Return whether all that was said before this start can be in the index: it is not being rebuilt."""
        ...

    def clean_some(self, db: Db) -> bool:
        """Go on writing over what was taken out of the index; return whether there may be more to do."""
        ...

    def forget(self, db: Db, session: int, first_seq: int, last_seq: int) -> int:
        """Take some of a session's messages out of the index; their rows are still there. Return the number
        of the last one up to which none is in it: less than `last_seq` where there is more to do.
        """
        ...

    def sessions(self) -> str:
        """Return a statement with one bound value, a query, for the numbers of the sessions that have a
        match.
        """
        ...

    def matches(self, db: Db, session: int, query: str) -> Iterator[int]:
        """Yield the numbers of the session's messages that match, newest first."""
        ...

    def any_of(self, phrases: Sequence[Phrase]) -> str:
        """Return the query for messages that have one of the phrases."""
        ...

    def count(self, db: Db, query: str, first_id: int, last_id: int, most: int) -> int:
        """Return how many of the messages with ids in that range match, counted up to `most`."""
        ...

    def newest(self, db: Db, query: str, first_id: int, last_id: int, most: int) -> Sequence[int]:
        """Return the ids of those that match, newest first, at most so many."""
        ...

    def oldest_of_each(
        self, db: Db, queries: Sequence[str], first_id: int, last_id: int, most: int
    ) -> Sequence[Sequence[int]]:
        """Return for each query the ids of those that match, oldest first, at most so many: cheap also where
        very many match.
        """
        ...
