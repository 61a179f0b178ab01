"""What summaries keep, and whether anybody waits for them: facts told at the start of long conversations are
looked for in what the model is shown at the end, after three summaries and more.

Three writers: one that keeps most lines, one that keeps nothing of use, and none (as with the small local
model): the checks, the second try and the user's own words have to make up for them.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from typing import Final

from bench.figures import percentile
from bench.memory.talks import Reading, Took, serving

CONVERSATIONS: Final = 20
_TURNS: Final = 100
_SUMMARY_S: Final = 0.02
_ANSWER: Final = "Good to know. The weather in the mountains is fine, and it will stay so for some days. " * 4
_NOT_TOLD: Final = ("You:", "Your last summary left out")
_TOPIC: Final = "Tell me a little about"
_PLACES: Final = ("mountains", "valleys", "lakes", "coast", "islands", "plains", "woods", "moors")
_CHATTER: Final = (
    "Tell me a little about the weather in the {place}, and then some more of what follows. " * 4
)
_WINDOW: Final = 8_192
_WAITS_TURNS: Final = 120
_NAMES: Final = ("Zora Quill", "Tomas Berg", "Ines Okafor", "Yuki Tanabe", "Pavel Dorn", "Lena Voss")
_CITIES: Final = ("Rome", "Porto", "Graz", "Oslo", "Lyon", "Turku")


def facts(chance: random.Random) -> list[tuple[str, str]]:
    """Return what somebody tells of themselves: sentences, each with what of it must be known at the end."""
    name, city = chance.choice(_NAMES), chance.choice(_CITIES)
    locker, day = f"{chance.choice('ABKX')}K-{chance.randint(100, 999)}", chance.randint(10, 28)
    path = f"/home/ann/plans/{chance.randint(1_000, 9_999)}.md"
    number = f"+49 30 {chance.randint(100_000, 999_999)}"
    return [
        (f"My sister is called {name}.", name),
        (f"Since March we live in {city}.", city),
        (f"My locker has the code {locker}.", locker),
        (f"The flight is on 2027-04-{day}.", f"2027-04-{day}"),
        (f"The plan is in {path}, I decided.", path),
        (f"You can reach me at {number}.", number.rpartition(" ")[2]),
        (f"No, I was wrong: we are {day} people, not {day + 3}.", f"{day} people"),
        (f'I still want to know who wrote "The {city} Letters".', f"The {city} Letters"),
    ]


def lossy(chance: random.Random) -> Callable[[str], str]:
    """Return a writer that keeps seven lines of ten that the user said or that were summarised before."""

    def summarise(text: str) -> str:
        said = [line for line in text.splitlines() if not line.startswith(_NOT_TOLD) and _TOPIC not in line]
        return "\n".join(line for line in dict.fromkeys(said) if chance.random() < 0.7)

    return summarise


def useless(chance: random.Random) -> Callable[[str], str]:
    """Return a writer that says what was talked about, and nothing of it."""
    return lambda text: "They talked about the weather in the mountains and the valleys."


async def kept(writer: Callable[[random.Random], Callable[[str], str]] | None) -> tuple[int, int, int]:
    """Return how many facts the model is shown at the end, how many there are, and the fewest summaries that
    a conversation had.
    """
    shown = told = 0
    fewest = 1_000
    for number in range(CONVERSATIONS):
        chance = random.Random(number)
        reading = Reading(_ANSWER, (writer or useless)(chance))
        wanted = facts(chance)
        async with serving(reading, agent={"window_tokens": _WINDOW}) as talk:
            if writer is None:
                vars(talk.app.compactor)["_is_small"] = lambda model: True
            for sentence, _ in wanted:
                await talk.ask("bench", sentence)
            summaries, before = 0, 0
            for turn in range(_TURNS):
                await talk.ask("bench", _CHATTER.format(place=_PLACES[turn % len(_PLACES)]))
                await talk.app.compactor.settled()
                history = await talk.app.store.history("bench", 1)
                if history.summary is not None and history.summary.messages != before:
                    summaries, before = summaries + 1, history.summary.messages
            await talk.ask("bench", "What do you know about me?")
        fewest = min(fewest, summaries)
        shown += sum(fact in reading.last for _, fact in wanted)
        told += len(wanted)
    return shown, told, fewest


async def waits() -> dict[str, list[Took]]:
    """Return the turns during which a summary was written, the first ones after one, and all others."""
    of: dict[str, list[Took]] = {"during": [], "after": [], "other": []}
    for number in range(CONVERSATIONS):
        reading = Reading(_ANSWER, useless(random.Random(number)), _SUMMARY_S)
        async with serving(reading, agent={"window_tokens": _WINDOW}) as talk:
            for turn in range(_WAITS_TURNS):
                took = await talk.ask("bench", _CHATTER.format(place=_PLACES[turn % len(_PLACES)]))
                of["during" if took.during else "after" if took.after else "other"].append(took)
                # The next turn comes while the summary is written, those after it once that is done.
                if took.during:
                    await talk.app.compactor.settled()
    return of


def tables() -> str:
    """Measure; return the tables."""
    lines = ["| who writes the summaries | facts in view at the end | summaries, at least |", "|---|--:|--:|"]
    for who, writer in (
        ("a model that keeps seven lines of ten", lossy),
        ("a model that keeps nothing of use", useless),
        ("no model: the user's own sentences", None),
    ):
        shown, told, fewest = asyncio.run(kept(writer))
        lines.append(f"| {who} | {shown} of {told} ({100 * shown / told:.1f} %) | {fewest} |")
    lines += ["", "| turns | number | median, ms | p99, ms |", "|---|--:|--:|--:|"]
    for name, took in asyncio.run(waits()).items():
        lines.append(_latency(name, [each.wall_ms for each in took]))
    return "\n".join(lines)


_TITLES: Final = {
    "during": "while a summary is written",
    "after": "the first one with a new summary",
    "other": "all others",
}


def _latency(name: str, wall_ms: Sequence[float]) -> str:
    middle, slow = percentile(wall_ms, 50), percentile(wall_ms, 99)
    return f"| {_TITLES[name]} | {len(wall_ms)} | {middle:.2f} | {slow:.2f} |"


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
