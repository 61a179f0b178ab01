"""Matching: where in a session's transcript the messages that a client sent along lead to.

A row that a client can hold has in `digest` the packed place of the list that ends with it (`core.visible`),
so that a list is found by one indexed look-up, and all its beginnings by another.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec

from nanobot.core.errors import UnknownToolCall
from nanobot.core.message import Message, Part, Text, ToolCall, ToolResult
from nanobot.core.turn import HistoryNote
from nanobot.core.visible import START, Place, call_key, calls_in, place_after, place_of, unpacked
from nanobot.stores.sql import transcript
from nanobot.stores.sql.branches import left_no_trace, unseen
from nanobot.stores.sql.db import Db, among
from nanobot.stores.sql.listed import is_as_listed
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import Beginnings, SentList
from nanobot.stores.sql.transcript import TranscriptHead

_NOTHING: tuple[Message, ...] = ()
_MOST_ROWS = 4096
"""How many of a session's newest rows are looked at for a list that neither begins nor ends where the
transcript does.
"""
_MOST_LOOKS = 200_000
"""How often it is looked whether a message of a list stands behind one of those rows."""
_MOST_BOUND = 500
_ONE_TURN = 2
"""The depth of a transcript of one question and its answer."""
_MOST_DESCRIBED = 16
_MOST_TOGETHER = 32
"""How many results of one step are looked for in front of its calls."""


class HistoryMatch(msgspec.Struct, frozen=True):
    """Where the client's list leads to: rewind to the row `base` if any, take in `rest`, the end of the list,
    and treat as new the results `unanswered`, which the list has and the transcript lacks. `unless_done`,
    `ends_at`: as in `Plan`.
    """

    note: HistoryNote
    base: int | None = None
    rest: tuple[Message, ...] = ()
    unanswered: tuple[Message, ...] = ()
    unless_done: int | None = None
    ends_at: int | None = None


def match(
    db: Db,
    head: TranscriptHead,
    sent: SentList,
    new: tuple[Message, ...],
    *,
    is_whole: bool,
    may_repeat: bool = False,
    recent: RecentPlaces | None = None,
) -> HistoryMatch:
    """Return what the messages that a client sent before the `new` ones mean for the transcript.

    `is_whole`: nothing stands before them. `may_repeat`: a message that is the only question of the session
    so far is asked again, not for another answer. `recent`: saves work where the client sent the list before.
    """
    if not len(sent):
        return _match_none(db, head, new, is_whole=is_whole, may_repeat=may_repeat)
    if head.last_seq == 0:
        return HistoryMatch("imported", 0, sent.ordered)
    # The most frequent by far, before anything else is looked at.
    end = sent.end if recent is None else sent.end_by(recent, head.session)
    tip = unpacked(head.place)
    if end == tip:
        return HistoryMatch("matched")
    window = sent.window
    if window is not sent.messages:
        end = sent.window_end
    if end == tip or (not is_whole and _ends_at(db, head.session, tip, end)):
        return HistoryMatch("matched")
    ends = [(end, _NOTHING)]
    for found, results in _other_ends(db, head, window):
        if found == tip or (not is_whole and _ends_at(db, head.session, tip, found)):
            return HistoryMatch("matched", unanswered=results)
        ends.append((found, results))
    for found, results in ends:
        if (base := _newest(db, head.session, found)) is not None:
            return HistoryMatch("rewound", base, unanswered=results)
    if is_as_listed(db, head, window, is_whole=is_whole):
        return HistoryMatch("matched")
    base, count = _longest(db, head.session, sent.beginnings)
    if not count and not is_whole:
        base, count = _longest_anywhere(db, head, sent.beginnings)
    if count == len(window):
        return HistoryMatch("rewound", base)
    note: HistoryNote = "imported" if head.tip == 0 and not count else "replaced"
    return HistoryMatch(note, base, sent.ordered[sent.first + count :] if count else sent.ordered)


def goes_on_at_tip(
    db: Db, head: TranscriptHead, sent: SentList, new: tuple[Message, ...], *, is_whole: bool
) -> bool:
    """Return whether the answer that is to go on is the transcript's last one, as it stands there."""
    if not new or not transcript.is_beginning(new[-1]):
        return False
    tip, end = unpacked(head.place), place_of((*sent.window, *new))
    return end == tip or (not is_whole and _ends_at(db, head.session, tip, end))


def shared(db: Db, *, key: str, sent: SentList, is_whole: bool) -> int:
    """Return how many of the client's messages need not be taken in; see `core.turn.Turns.shared`."""
    head = transcript.find_head(db, key)
    if head is None or not len(sent):
        return 0
    return len(sent) - len(match(db, head, sent, (), is_whole=is_whole).rest)


def _match_none(
    db: Db, head: TranscriptHead, new: tuple[Message, ...], *, is_whole: bool, may_repeat: bool
) -> HistoryMatch:
    continues = bool(new) and transcript.is_beginning(new[-1])
    if continues and not is_whole and (base := _base_of_answer(db, head, new)) is not None:
        return HistoryMatch("rewound", base)
    asked = len(new) - continues
    if head.tip == 0 or (not is_whole and (may_repeat or asked != 1 or new[0].role != "user")):
        return HistoryMatch("new")
    if is_whole or _is_only_question(db, head, new[0]):
        return HistoryMatch("rewound", 0)
    return HistoryMatch("new")


def _base_of_answer(db: Db, head: TranscriptHead, new: tuple[Message, ...]) -> int | None:
    """Return the row behind which the session has the messages of `new`, whose last one is an answer that is
    to go on: at the transcript's end, earlier, or on a branch. 0 where nothing stands before them.
    """
    session, last = head.session, place_of(new)
    before = _before(db, session, unpacked(head.place), last)
    # The same words alone may be the beginning of any answer.
    if before is None and len(new) > 1:
        is_there = _newest(db, session, last) is not None
        before = START if is_there else _before_anywhere(db, session, last)
    if before is None:
        return None
    return 0 if before == START else _newest(db, session, before)


def _is_only_question(db: Db, head: TranscriptHead, asked: Message) -> bool:
    """Return whether the transcript is that one question of a user, and its answer where there is one."""
    # First, as what was asked may be a picture: one step, and that of its answer.
    if unpacked(head.place).depth > _ONE_TURN or (place := place_after(START, asked)) == START:
        return False
    inputs = [
        bytes(digest)
        for first, last in transcript.stretches(db, head.session, head.tip)
        for digest, body in db.execute(
            "SELECT digest, body FROM message WHERE id BETWEEN ? AND ? AND digest IS NOT NULL",
            transcript.message_ids(head.session, first, last),
        )
        if transcript.decode(body).role == "user"
    ]
    return inputs == [place.packed()]


def _other_ends(
    db: Db, head: TranscriptHead, window: tuple[Message, ...]
) -> Iterator[tuple[Place, tuple[Message, ...]]]:
    """Yield where lists lead to that mean the same: with ever more results of the last step taken out, which
    come with the place, and with the words that stand beside the calls at the end.

    Of calls that were made together, and are listed one by one, all but the last result stand before a call.
    """
    if not window[-1].tool_calls:
        return
    shown = calls_in(window)
    first = len(window)
    while first and (window[first - 1].tool_calls or window[first - 1].role == "tool"):
        first -= 1
    # Only what stands behind it changes, and a list may be long.
    before, calls = place_of(window[:first]), calls_in(window[:first])
    kept = list(window[first:])
    results: list[Message] = []
    for index in range(len(kept) - 1, -1, -1):
        message = kept[index]
        if message.role != "tool":
            continue
        if not all(result.call_id in shown for result in message.tool_results):
            break
        results.insert(0, kept.pop(index))
        yield place_of(kept, before, calls), tuple(results)
        if len(results) == _MOST_TOGETHER:
            break
    if (worded := _with_words(db, head, window)) is not None:
        yield place_of(worded), _NOTHING


def _with_words(db: Db, head: TranscriptHead, window: tuple[Message, ...]) -> tuple[Message, ...] | None:
    """Return the list with the words beside the calls at its end, which not every client keeps."""
    last = window[-1]
    if last.text or head.tip == 0:
        return None
    tip = transcript.row(db, head.session, head.tip).message
    if not tip.client_calls or not tip.text:
        return None
    return (*window[:-1], msgspec.structs.replace(last, parts=(Text(tip.text), *last.parts)))


# Looking up ---------------------------------------------------------------------------------------


def _newest(db: Db, session: int, place: Place) -> int | None:
    """Return the newest row at which clients with that list stand."""
    found = db.execute(
        "SELECT m.id FROM message m LEFT JOIN turn t ON t.n = m.turn WHERE m.session = ? AND m.digest = ?"
        f" AND {left_no_trace(db)} IS NOT TRUE AND NOT {unseen('m.id')} ORDER BY m.id DESC LIMIT 1",
        (session, place.packed()),
    ).fetchone()
    return None if found is None else transcript.seq_of(found[0])


def _ends_at(db: Db, session: int, tip: Place, window: Place) -> bool:
    """Return whether the messages of the window are the last ones before `tip`."""
    return _before(db, session, tip, window) is not None


def _before(db: Db, session: int, tip: Place, window: Place) -> Place | None:
    """Return where the transcript stood before the messages of the window, where they are its last ones."""
    if window == tip:
        return START
    depth = tip.depth - window.depth
    if depth < 0:
        return None
    low, high = Place(depth).packed(), Place(depth + 1).packed()
    rows = db.execute(
        "SELECT DISTINCT digest FROM message WHERE session = ? AND digest >= ? AND digest < ?",
        (session, low, high),
    )
    places_there = (unpacked(bytes(digest)) for (digest,) in rows)
    return next((place for place in places_there if place.then(window) == tip), None)


def _longest(db: Db, session: int, beginnings: Beginnings) -> tuple[int, int]:
    """Return the row at which the longest beginning of the list ends, and how many messages that is."""
    wanted = beginnings.packed
    known: set[bytes] = set()
    for first in range(0, len(wanted), _MOST_BOUND):
        marks, some = among(wanted[first : first + _MOST_BOUND])
        known.update(
            bytes(digest)
            for (digest,) in db.execute(
                f"SELECT digest FROM message WHERE session = ? AND digest IN {marks}", (session, *some)
            )
        )
    if not known:
        return 0, 0
    for count in range(len(wanted), 0, -1):
        digest = wanted[count - 1]
        if digest in known and (base := _newest(db, session, unpacked(digest))) is not None:
            return base, count
    return 0, 0


def _before_anywhere(db: Db, session: int, window: Place) -> Place | None:
    """Do as `_before` for a window that may end at any of the newest rows."""
    there = _deepest_places(db, session)
    known = set(there)
    ends = ((place, place.then(window)) for place in there)
    return next(
        (place for place, end in ends if end in known and _newest(db, session, end) is not None), None
    )


def _deepest_places(db: Db, session: int) -> list[Place]:
    """Return where the newest rows stand, those that most stands before first."""
    found = db.execute(
        "SELECT digest FROM message WHERE session = ? AND digest IS NOT NULL ORDER BY digest DESC LIMIT ?",
        (session, _MOST_ROWS),
    )
    return [unpacked(bytes(digest)) for (digest,) in found]


def _longest_anywhere(db: Db, head: TranscriptHead, beginnings: Beginnings) -> tuple[int, int]:
    """Do as `_longest` for a list whose beginning may hang on any of the newest rows. Where it hangs on
    several, those of the transcript come first: what the user has deleted is on the branches.
    """
    session = head.session
    rows = _deepest_places(db, session)
    known = {(row.depth, row.chain) for row in rows}
    ends: list[Place] = []
    longest, looks = 0, 0
    for before in rows:
        if beginnings.first_behind(before) not in known:
            continue
        looks += len(beginnings)
        if looks > _MOST_LOOKS:
            break
        count, end = beginnings.longest_behind(before, known)
        if count > longest:
            ends, longest = [end], count
        elif count == longest and count:
            ends.append(end)
    if not longest:
        return 0, 0
    if len(ends) > 1:
        ends = _on_transcript(db, head, ends) or ends
    base = _newest(db, session, max(ends, key=attrgetter("depth")))
    return (0, 0) if base is None else (base, longest)


def _on_transcript(db: Db, head: TranscriptHead, ends: Sequence[Place]) -> list[Place]:
    """Return those of the places that are on the transcript."""
    marks, wanted = among([end.packed() for end in ends[:_MOST_BOUND]])
    there = {
        bytes(digest)
        for stretch in transcript.stretches(db, head.session, head.tip)
        for (digest,) in db.execute(
            f"SELECT digest FROM message WHERE id BETWEEN ? AND ? AND digest IN {marks}",
            (*transcript.message_ids(head.session, *stretch), *wanted),
        )
    }
    return [end for end in ends if end.packed() in there]


# Results ------------------------------------------------------------------------------------------


def answer_calls(
    db: Db,
    head: TranscriptHead,
    base: int | None,
    sent: SentList,
    rest: tuple[Message, ...],
    new: tuple[Message, ...],
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return `rest` and `new` with every result under the id of the call that it answers.

    The transcript's calls have the ids that the server gave; a client may have changed them in its list,
    where the call is known by its name and arguments.

    Raises:
        UnknownToolCall: a new result answers no call that waits for one.
    """
    if not any(message.role == "tool" for message in (*rest, *new)):
        return rest, new
    shown = calls_in(sent.messages)
    waiting = _OpenCalls(shown)
    waiting.add(transcript.open_calls(db, head.session, head.tip if base is None else base).values())
    taken_in: list[Message] = []
    for message in rest:
        if message.role == "user" or (message.role == "assistant" and not message.tool_calls):
            waiting.clear()
        taken_in.append(waiting.answered(message))
        waiting.add(message.tool_calls)
    answered: list[Message] = []
    for message in new:
        for result in message.tool_results:
            if waiting.find(result) is None:
                raise UnknownToolCall(
                    f"tool_call_id {result.call_id!r} answers no call that waits for its result"
                    f" (waiting: {waiting.described()}): "
                    "send the result right after the answer that made the call",
                    param="tool_call_id",
                )
        answered.append(waiting.answered(message))
    return tuple(taken_in), tuple(answered)


class _OpenCalls:
    """The calls that wait for their results. `shown`: those that the client's list shows, by its own ids."""

    def __init__(self, shown: Mapping[str, ToolCall]) -> None:
        self._shown = shown
        self._keys: dict[str, str] = {}
        self._by_key: dict[str, dict[str, ToolCall]] = {}

    def add(self, calls: Iterable[ToolCall]) -> None:
        for call in calls:
            self._remove(call.id)
            key = self._keys[call.id] = call_key(call)
            self._by_key.setdefault(key, {})[call.id] = call

    def clear(self) -> None:
        self._keys.clear()
        self._by_key.clear()

    def described(self) -> str:
        return ", ".join(sorted(self._keys)[:_MOST_DESCRIBED]) or "none"

    def find(self, result: ToolResult) -> ToolCall | None:
        """Return the call that the result answers."""
        meant = self._shown.get(result.call_id)
        own_key = self._keys.get(result.call_id)
        key = own_key if meant is None else call_key(meant)
        alike = self._by_key.get(key, {}) if key is not None else {}
        return alike.get(result.call_id) or (None if meant is None else next(iter(alike.values()), None))

    def answered(self, message: Message) -> Message:
        """Return a message with its results under the ids of the calls that they answer; those wait no
        more.
        """
        if message.role != "tool":
            return message
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult) and (call := self.find(part)) is not None:
                self._remove(call.id)
                part = msgspec.structs.replace(part, call_id=call.id)
            parts.append(part)
        return msgspec.structs.replace(message, parts=tuple(parts))

    def _remove(self, call_id: str) -> None:
        key = self._keys.pop(call_id, None)
        if key is None:
            return
        alike = self._by_key[key]
        del alike[call_id]
        if not alike:
            del self._by_key[key]
