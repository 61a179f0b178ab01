"""Lists in pages, as OpenAI asks for them: `limit`, `order`, `after`."""

from collections.abc import Sequence
from typing import Literal

from nanobot.api.wire.items import ItemRef, WireItem
from nanobot.api.wire.lists import Page
from nanobot.core.errors import ItemNotFound, TurnNotFound
from nanobot.core.sessions import Row
from nanobot.core.store import Store
from nanobot.http.operations import Parameter
from nanobot.http.query import Query

DEFAULT_LIMIT = 20
MOST = 100
PAGE_BYTES = 4 << 20
"""What the messages of a page may take where they are kept; one of them may be larger."""
PAGING = (
    Parameter(
        "limit",
        "query",
        "how many at most",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT},
    ),
    Parameter("order", "query", "oldest or newest first", {"enum": ["asc", "desc"], "default": "desc"}),
    Parameter("after", "query", "the id of the last item of the page before"),
)


def limit_of(query: Query) -> int:
    return query.whole("limit", default=DEFAULT_LIMIT, low=1, high=MOST)


def order_of(query: Query) -> Literal["asc", "desc"]:
    return "asc" if query.one_of("order", ("asc", "desc"), default="desc") == "asc" else "desc"


def no_item(id_: str, param: str | None = None) -> ItemNotFound:
    return ItemNotFound(f"no item {id_[:80]!r} here", param=param)


async def find_message(store: Store, session_key: str, ref: ItemRef) -> Row | None:
    """Return the message of the live transcript that `ref` names; None where there is none.

    Raises:
        SessionNotFound
    """
    seq = ref.number
    if ref.turn_id is not None:
        try:
            turn = await store.turn(ref.turn_id)
        except TurnNotFound:
            turn = None
        has_begun = turn is not None and turn.session_key == session_key and turn.first_seq is not None
        seq = ref.number + (turn.first_seq or 0) if turn is not None and has_begun else 0
    # The messages of a turn follow one another; where the turn is on another branch, others stand there.
    rows = await store.messages(session_key, limit=1, after_seq=max(seq - 1, 0))
    return next((row for row in rows if row.turn_id == ref.turn_id and row.number == ref.number), None)


def page_of(items: Sequence[WireItem], query: Query) -> Page[WireItem]:
    """Return the page of `items` (all of them, oldest first) that is asked for.

    Raises:
        InvalidRequest
        ItemNotFound: there is no item `after`.
    """
    limit, after = limit_of(query), query.text("after")
    ordered = list(items) if order_of(query) == "asc" else list(reversed(items))
    if after is not None:
        at = next((index for index, item in enumerate(ordered) if item.id == after), None)
        if at is None:
            raise no_item(after, "after")
        ordered = ordered[at + 1 :]
    return page(ordered[:limit], has_more=len(ordered) > limit)


def page(shown: Sequence[WireItem], *, has_more: bool) -> Page[WireItem]:
    """Return `shown` as a page."""
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return Page(data=tuple(shown), first_id=first, last_id=last, has_more=has_more)
