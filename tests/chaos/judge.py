"""The judge: reads the database as it lies on the disk, by SQL of its own and through the store, and says
what is wrong with it.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.context.history import repair
from nanobot.core.clock import SystemClock
from nanobot.core.errors import SessionNotFound
from nanobot.core.message import Message
from nanobot.core.sessions import Row
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.sqlite.store import open_store
from tests.chaos.launch import NOTED
from tests.chaos.tokens import Token, key_name, tokens_in
from tests.chaos.writers import Wish, misanswered

_decode = msgspec.json.Decoder(Message).decode
_MOST_ROWS = 10_000_000


class Verdict(msgspec.Struct):
    """What was counted, what was `lost`, `doubled` and `malformed`, and every other violation in `other`."""

    turns: int = 0
    tokens: int = 0
    done: int = 0
    withdrawn: int = 0
    messages: int = 0
    tool_runs: int = 0
    unknown_outcomes: int = 0
    mended: int = 0
    outcomes: dict[str, int] = {}
    refusals: dict[str, int] = {}
    lost: list[str] = []
    doubled: list[str] = []
    malformed: list[str] = []
    other: list[str] = []

    @property
    def violations(self) -> list[str]:
        named = (
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("malformed", self.malformed),
            ("", self.other),
        )
        return [f"{name}: {what}" if name else what for name, found in named for what in found]


class _TurnRow(msgspec.Struct, frozen=True):
    """A row of `turn`; `made` is whether the turn added a message of its own."""

    id: str
    status: str
    lost: int
    first_seq: int | None
    made: bool


class _Found(msgspec.Struct, frozen=True):
    """A message as it lies in the table."""

    session: str
    seq: int
    turn: int | None
    is_input: bool
    message: Message
    created_at: float


class Evidence:
    """What lies on the disk after a run: every message, every turn, the live transcript of each key, the
    record of the tools.
    """

    def __init__(self, data: Path, records: Path) -> None:
        self._db = sqlite3.connect(f"{(data / DATABASE).absolute().as_uri()}?mode=ro", uri=True)
        self.integrity = [row[0] for row in self._db.execute("PRAGMA integrity_check")]
        self.left_over = {
            table: self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("dispatch", "steer")
        }
        rows = self._db.execute(
            "SELECT s.key, m.id & 4294967295, m.turn, m.is_input, m.body, m.created_at FROM message m"
            " JOIN session s ON s.id = m.session ORDER BY 1, 2"
        )
        self.messages = [
            _Found(key, seq, turn, bool(is_input), _decode(body), at)
            for key, seq, turn, is_input, body, at in rows
        ]
        made = {turn for (turn,) in self._db.execute("SELECT DISTINCT turn FROM message WHERE is_input = 0")}
        self.turns = {
            n: _TurnRow(id_, status, lost, first_seq, n in made)
            for n, id_, status, lost, first_seq in self._db.execute(
                "SELECT n, id, status, lost, first_seq FROM turn"
            )
        }
        self.started = Counter(call_id for (call_id,) in self._db.execute("SELECT call_id FROM started_call"))
        self.runs = _runs(records / "tool-runs")
        self.live = {
            key: self._live(*place) for key, *place in self._db.execute("SELECT key, id, tip FROM session")
        }
        self._db.close()
        self.seen_by_store = asyncio.run(_through_the_store(data, list(self.live)))

    def _live(self, session: int, tip: int) -> list[int]:
        """Return the numbers of the live transcript's messages, by walking back from the tip one by one."""
        branches = dict(
            self._db.execute("SELECT first_seq, parent_seq FROM branch WHERE session = ?", (session,))
        )
        numbers: list[int] = []
        while tip > 0:
            numbers.append(tip)
            tip = branches.get(tip, tip - 1)
        return numbers[::-1]


def _runs(file: Path) -> dict[str, list[tuple[float, str]]]:
    runs: dict[str, list[tuple[float, str]]] = defaultdict(list)
    if file.exists():
        for line in file.read_text().splitlines():
            at, name, call_id, _ = line.split(" ")
            runs[call_id].append((float(at), name))
    return runs


async def _through_the_store(data: Path, keys: Sequence[str]) -> dict[str, tuple[Row, ...]]:
    store = await open_store(data, SystemClock())
    try:
        return {key: await store.messages(key, limit=_MOST_ROWS) for key in keys}
    except SessionNotFound as error:
        raise AssertionError(f"a session of the table is unknown to the store: {error.message}") from error
    finally:
        await store.close()


def judge(evidence: Evidence, wishes: Sequence[Wish], max_attempts: int) -> Verdict:
    """Return the verdict on what `wishes` left behind."""
    verdict = Verdict(
        turns=len(evidence.turns),
        tokens=len(wishes),
        messages=len(evidence.messages),
        outcomes=dict(Counter(turn.status for turn in evidence.turns.values())),
    )
    verdict.refusals = dict(Counter(str(wish.code) for wish in wishes if wish.told == "refused"))
    _judge_house(evidence, max_attempts, verdict)
    _judge_wishes(evidence, wishes, verdict)
    for key, rows in evidence.seen_by_store.items():
        _judge_order(key, rows, verdict)
        _judge_form(evidence, key, rows, verdict)
    _judge_calls(evidence, verdict)
    return verdict


def _judge_house(evidence: Evidence, max_attempts: int, verdict: Verdict) -> None:
    if evidence.integrity != ["ok"]:
        verdict.other.append(f"the database is damaged: {evidence.integrity[:3]}")
    for table, rows in evidence.left_over.items():
        if rows:
            verdict.other.append(f"{rows} rows are left in {table}")
    for turn in evidence.turns.values():
        if turn.status not in ("done", "failed", "cancelled", "joined"):
            verdict.other.append(f"turn {turn.id} has not ended: {turn.status}")
        if turn.lost > max_attempts:
            verdict.other.append(f"turn {turn.id} was attempted again after {turn.lost} lost attempts")
    for key, rows in evidence.seen_by_store.items():
        if [row.seq for row in rows] != evidence.live[key]:
            verdict.other.append(f"the store and the table do not agree on the live transcript of {key}")


def _judge_wishes(evidence: Evidence, wishes: Sequence[Wish], verdict: Verdict) -> None:
    """Each token that its writer was told of stands once, in its own key; one that failed and left nothing
    was withdrawn.
    """
    standing: Counter[tuple[str, str]] = Counter()
    for key, rows in evidence.seen_by_store.items():
        standing.update(
            (key, token) for row in rows if row.message.role == "user" for token in _names(row.message)
        )
    taken: dict[str, set[tuple[str, int | None]]] = defaultdict(set)
    for found in evidence.messages:
        for token in _names(found.message):
            taken[token].add((found.session, found.turn))
    by_id = {turn.id: turn for turn in evidence.turns.values()}
    for wish in wishes:
        key = key_name(_token(wish).key)
        times = standing[key, wish.token]
        if any(session != key for session, _ in taken[wish.token]):
            verdict.other.append(
                f"leaked: {wish.token} stands in another key: {sorted(map(str, taken[wish.token]))}"
            )
        # A turn that begins again leaves behind rows that belong to no turn.
        turns = {turn for session, turn in taken[wish.token] if session == key and turn is not None}
        if len(turns) > 1 and wish.when_busy != "steer":
            verdict.doubled.append(
                f"{wish.token} was taken up by {len(turns)} turns: {[evidence.turns[n].id for n in turns]}"
            )
        if times > 1:
            verdict.doubled.append(f"{wish.token} stands {times} times in {key}")
        if wish.told == "nothing":
            verdict.other.append(
                f"never told: the writer of {wish.token} heard nothing of it in {wish.tries} tries"
            )
        elif wish.told == "done":
            verdict.done += 1
            if times == 0:
                verdict.lost.append(
                    f"{wish.token} was answered ({wish.answer!r}) and does not stand in {key}"
                )
            turn = by_id.get(wish.turn_id or "")
            if turn is None or turn.status not in ("done", "joined"):
                verdict.other.append(
                    f"{wish.token} was answered, and its turn {wish.turn_id} is"
                    f" {turn.status if turn else 'unknown'}"
                )
            if misanswered(wish):
                verdict.other.append(f"misanswered: {wish.token} was answered {wish.answer!r}")
        else:
            _judge_refused(wish, by_id.get(wish.turn_id or ""), times, verdict)


def _judge_refused(wish: Wish, turn: _TurnRow | None, times: int, verdict: Verdict) -> None:
    """A turn that failed for good keeps its input where it left anything else behind, and only there."""
    if turn is None:
        verdict.other.append(f"{wish.token} was refused ({wish.code}) without a turn")
    elif turn.status == "done":
        verdict.other.append(f"{wish.token} was refused ({wish.code}), and its turn {turn.id} is done")
    elif turn.status != "joined":
        kept = turn.made if turn.status == "failed" else turn.first_seq is not None
        if times != kept:
            verdict.lost.append(
                f"{wish.token} was refused ({wish.code}); it should stand {int(kept)} times and stands"
                f" {times} times"
            )
    verdict.withdrawn += times == 0


def _judge_order(key: str, rows: Sequence[Row], verdict: Verdict) -> None:
    newest: dict[int, Token] = {}
    for row in rows:
        for token in tokens_in(row.message.text) if row.message.role == "user" else ():
            before = newest.get(token.writer)
            if before is not None and before.number >= token.number:
                verdict.other.append(f"out of order in {key}: {token} after {before}")
            newest[token.writer] = token


def _judge_form(evidence: Evidence, key: str, rows: Sequence[Row], verdict: Verdict) -> None:
    """Each call is answered exactly once right after its message; only a turn that failed or was cancelled
    may leave one open, at its end.
    """
    broken_off = {turn.id for turn in evidence.turns.values() if turn.status in ("failed", "cancelled")}
    waiting: list[str] = []
    before: Row | None = None
    for row in (*rows, None):
        message = row.message if row is not None else None
        results = [result.call_id for result in message.tool_results] if message is not None else []
        if waiting and not results and before is not None:
            if before.turn_id in broken_off and (
                row is None or row.turn_id != before.turn_id or row.message.stop_reason == "incomplete"
            ):
                verdict.mended += 1
            else:
                verdict.malformed.append(f"{key} message {before.seq}: calls without a result: {waiting}")
            waiting = []
        for call_id in results:
            if call_id not in waiting:
                verdict.malformed.append(
                    f"{key} message {row.seq if row else 0}: a result without its call: {call_id}"
                )
            else:
                waiting.remove(call_id)
        if message is not None and message.role == "assistant":
            waiting = [call.id for call in message.tool_calls]
            if not message.text and not waiting:
                verdict.malformed.append(
                    f"{key} message {row.seq if row else 0}: an assistant message without content"
                )
        before = row
    messages = tuple(row.message for row in rows)
    if _speech(repair(messages)) != _speech(messages):
        verdict.malformed.append(f"{key}: the repaired transcript says something else than the stored one")
    if repair(repair(messages)) != repair(messages):
        verdict.malformed.append(f"{key}: repairing a repaired transcript changes it")


def _speech(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Return who said what, in order; what the model said in several messages in a row is one."""
    said: list[tuple[str, str]] = []
    for message in messages:
        if message.role == "user":
            said.append(("user", message.text))
        elif message.role == "assistant" and message.text:
            if said and said[-1][0] == "assistant":
                said[-1] = ("assistant", said[-1][1] + message.text)
            else:
                said.append(("assistant", message.text))
    return said


def _judge_calls(evidence: Evidence, verdict: Verdict) -> None:
    """No finished call ran again, none that may not be repeated ran twice, and what is said of each is what
    it did.
    """
    results: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for found in evidence.messages:
        # A turn that moved took its results along, and left the rows to no turn.
        for result in found.message.tool_results if found.turn is not None else ():
            results[result.call_id].append((result.content, found.created_at))
    for call_id, answers in results.items():
        if len(answers) > 1:
            verdict.doubled.append(f"call {call_id} has {len(answers)} results")
        verdict.unknown_outcomes += answers[0][0] == OUTCOME_UNKNOWN
        if answers[0][0].startswith(NOTED) and call_id not in evidence.runs:
            verdict.lost.append(f"call {call_id} is said to have run, and left no trace")
    for call_id, runs in evidence.runs.items():
        verdict.tool_runs += len(runs)
        if call_id not in evidence.started:
            verdict.other.append(f"call {call_id} ran before its start was stored")
        if runs[0][1] == "note_once" and len(runs) > 1:
            verdict.doubled.append(f"call {call_id} may not be repeated and ran {len(runs)} times")
        for _, finished_at in results.get(call_id, [])[:1]:
            if any(at > finished_at for at, _ in runs):
                verdict.doubled.append(f"call {call_id} ran again after its result was stored")


def _names(message: Message) -> list[str]:
    return [str(token) for token in tokens_in(message.text)] if message.role == "user" else []


def _token(wish: Wish) -> Token:
    (token,) = tokens_in(wish.token)
    return token
