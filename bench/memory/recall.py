"""Recall: how often what was told is among the first five messages that a later question finds; how long a
search takes among 100,000 messages; and what the index takes of the disk.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.memory import vectors
from bench.memory.conversations import Conversation, conversation
from bench.memory.languages import LANGUAGES
from bench.memory.pairs import with_pairs
from nanobot.core.message import Message, Text
from nanobot.core.recall import Reach
from nanobot.core.sessions import ImportedMessage
from nanobot.core.store import Store
from nanobot.stores.sql.reached_lines import ranges
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock, MemoryData, open_memory_store

TUNED_SEEDS = range(1, 6)
"""What the search was tuned on."""
HELD_BACK_SEEDS = range(101, 106)
"""Nothing was tuned on these; they are what is reported."""
TURNS = (50, 500, 5_000)
PAIRED_SEEDS = range(7, 8)
PAIRED_TURNS = (50, 500, 2_000)
NAMES = {"en": "English", "de": "German", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ar": "Arabic"}
_FIRST = 5
_LARGE_MESSAGES = 100_000
_LARGE_SESSION = 5_000


class Row(NamedTuple):
    """A row of the table: how many of the questions found their answer."""

    name: str
    asked: float | None
    paraphrased: float | None
    asked_by_meaning: float | None
    paraphrased_by_meaning: float | None


class Cost(NamedTuple):
    """What searches take among many messages."""

    messages: int
    sessions: int
    p50_ms: float
    p99_ms: float
    index_bytes: float
    text_bytes: float


async def load(store: Store, key: str, messages: list[str]) -> None:
    """Make a session of the messages."""
    await store.import_session(
        key,
        [
            ImportedMessage(
                Message(("user", "assistant")[number % 2], (Text(text),)), 1_800_000_000.0 + 60 * number
            )
            for number, text in enumerate(messages)
        ],
        title=None,
        metadata={},
    )


async def recalled(store: Store, key: str, talk: Conversation, counted: Counter[str]) -> None:
    """Ask all questions of a conversation; count which were asked and answered, by group."""
    for way, questions in (("asked", talk.asked), ("paraphrased", talk.paraphrased)):
        for question in questions:
            passages = await store.search_messages(question.text, [Reach(key)], limit=_FIRST)
            hit = question.message + 1 in [passage.seq for passage in passages]
            for group in ("all", f"kind {question.kind}"):
                counted[f"{group} {way} of"] += 1
                counted[f"{group} {way}"] += hit


async def measure_recall(seeds: range = HELD_BACK_SEEDS, turns: tuple[int, ...] = TURNS) -> list[Row]:
    """Return recall@5 by language, by length, and all together; also by meaning, where that is installed."""
    model = vectors.made()
    rows = []
    for made, some_seeds, lengths in ((conversation, seeds, turns), (with_pairs, PAIRED_SEEDS, PAIRED_TURNS)):
        by_words = await _counted(made, some_seeds, lengths, None)
        by_meaning = await _counted(made, some_seeds, lengths, model) if model is not None else {}
        names = ["all"]
        if made is conversation:
            names = [*LANGUAGES, *(f"{length:,} turns" for length in lengths), *names]
        for name in names:
            title = NAMES.get(name, name) if made is conversation else "pairs that nothing was tuned on"
            rows.append(_row(title, by_words[name], by_meaning.get(name)))
    return rows


async def _counted(
    made: Callable[[str, int, int], Conversation],
    seeds: Sequence[int],
    turns: tuple[int, ...],
    model: vectors.SameProcess | None,
) -> dict[str, Counter[str]]:
    """Return how many questions were asked and answered of the conversations that `made` makes, by language,
    by length, and all together.
    """
    groups: dict[str, Counter[str]] = {}
    for language in LANGUAGES:
        for length in turns:
            data = MemoryData()
            store = await open_memory_store(
                data, FakeClock(), vectors=model.on(data) if model is not None else None
            )
            for seed in seeds:
                talk = made(language, length, seed)
                key = f"{language}:{seed}"
                await load(store, key, talk.messages)
                await store.index_messages()
                if model is not None:
                    await vectors.embed_all(store, model)
                counted: Counter[str] = Counter()
                await recalled(store, key, talk, counted)
                for group in (language, f"{length:,} turns", "all"):
                    groups.setdefault(group, Counter()).update(counted)
            await store.close()
            data.close()
    return groups


def _row(name: str, by_words: Counter[str], by_meaning: Counter[str] | None) -> Row:
    def share(counted: Counter[str], way: str) -> float | None:
        asked = counted[f"all {way} of"]
        return counted[f"all {way}"] / asked if asked else None

    found = share(by_words, "asked"), share(by_words, "paraphrased")
    if by_meaning is None:
        return Row(name, *found, None, None)
    return Row(name, *found, share(by_meaning, "asked"), share(by_meaning, "paraphrased"))


async def measure_cost(
    session_messages: int = _LARGE_SESSION, model: vectors.SameProcess | None = None
) -> tuple[Cost, vectors.VectorCost | None]:
    """Return what a search takes in a data directory of 100,000 messages, by words and by meaning."""
    by_meaning = None
    with tempfile.TemporaryDirectory() as directory:
        store = await open_store(Path(directory), FakeClock(), synchronous="normal")
        reach: list[tuple[Reach, Conversation]] = []
        size = 0
        for number in range(_LARGE_MESSAGES // session_messages):
            language = list(LANGUAGES)[number % len(LANGUAGES)]
            talk = conversation(language, session_messages // 2, 1_000 + number)
            await load(store, f"{number}", talk.messages)
            size += sum(len(text.encode()) for text in talk.messages)
            reach.append((Reach(f"{number}"), talk))
        await store.index_messages()
        times: list[float] = []
        for each, talk in reach:
            for question in (*talk.asked, *talk.paraphrased, *talk.asked):
                began = time.process_time()
                await store.search_messages(question.text, [each], limit=_FIRST)
                times.append(1_000 * (time.process_time() - began))
        if model is not None:
            await vectors.embed_all(store, model)
            database = Path(directory) / "nanobot.sqlite3"
            asked = [
                (each.session_key, question.text)
                for each, talk in reach
                for question in (*talk.asked, *talk.paraphrased)
            ]
            by_meaning = await vectors.measure(
                database,
                asked,
                lambda key: store.database.read(partial(ranges, reach=[Reach(key)])),
            )
        await store.close()
        with sqlite3.connect(Path(directory) / "nanobot.sqlite3") as db:
            (index_bytes,) = db.execute("SELECT sum(length(block)) FROM search_data").fetchone()
        db.close()
        times.sort()
        cost = Cost(
            _LARGE_MESSAGES,
            len(reach),
            statistics.median(times),
            times[int(0.99 * len(times))],
            index_bytes / _LARGE_MESSAGES,
            size / _LARGE_MESSAGES,
        )
        return cost, by_meaning


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"


def tables() -> str:
    """Measure, and return the tables as Markdown."""
    rows = asyncio.run(measure_recall())
    model = vectors.made()
    costs = [asyncio.run(measure_cost(size, model)) for size in (_LARGE_SESSION, _LARGE_MESSAGES)]
    lines = [
        "| | in the same words | in quite other words | with vectors: in the same words | in others |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {row.name} | {' | '.join(map(_share, row[1:]))} |" for row in rows]
    lines += [
        "",
        "| messages | sessions | a search, ms of CPU: median | p99 | bytes a message: index | text |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {cost.messages:,} | {cost.sessions} | {cost.p50_ms:.1f} | {cost.p99_ms:.1f}"
        f" | {cost.index_bytes:.0f} | {cost.text_bytes:.0f} |"
        for cost, _ in costs
    ]
    lines += [
        "",
        "| messages | sessions | a search by meaning, ms of CPU of its process: median | p99"
        " | bytes a message | its memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {cost.messages:,} | {cost.sessions} | {cost.p50_ms:.0f} | {cost.p99_ms:.0f} | {cost.bytes_:.0f}"
        f" | {cost.memory_mb:.0f} |"
        for _, cost in costs
        if cost is not None
    ]
    return "\n".join(lines)
