"""What the figures are held against, on a machine of two cores."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from bench.figures import Row


class Goal(msgspec.Struct, frozen=True):
    """A limit on one figure of a row: nanobot's own, or its ratio to the yardstick `against`.

    `at_least`: more is better.
    """

    label: str
    key: str
    limit: float
    unit: str
    against: Literal["floor", "floor-full"] | None = None
    at_least: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """A goal, what was measured, and whether it is met.

    `share` is the figure as a share of what the goal allows: at most 1 where it is met. `floor` is that of
    floor-full in the same run, where the goal is not a ratio: a goal that it misses too was missed by the
    machine.
    """

    goal: Goal
    value: float
    share: float
    met: bool
    floor: float | None = None


GOALS: Final = (
    Goal("CPU a turn, 1 client", "cpu@1", 1.6, "× floor-full", against="floor-full"),
    *(Goal(f"CPU a turn, {n} clients", f"cpu@{n}", 1.4, "× floor", against="floor") for n in (16, 64, 256)),
    Goal("pwrite64 a turn, 1 client", "writes@1", 30, ""),
    Goal("CPU a turn, 200 tokens 10 ms apart, not streamed", "paced@64", 3_500, "µs"),
    Goal(
        "turns a second, a model of 200 ms", "slow_rate@256", 0.85, "× floor", against="floor", at_least=True
    ),
    Goal("turns a second, 64 clients", "rate@64", 500, "/s", at_least=True),
    Goal("added latency p99, 1 client", "latency.p99@1", 5, "ms"),
    Goal("added time to first token p99, 1 stream", "first_token.p99@1", 5, "ms"),
    Goal("added time to first token p99, 64 streams", "first_token.p99@64", 5, "ms"),
    *(
        Goal(
            f"CPU a chunk, {n} stream{'s' * (n > 1)}", f"chunk@{n}", 1.5, "× floor-full", against="floor-full"
        )
        for n in (1, 64)
    ),
    Goal("CPU at turn 10,000 over turn 1,000", "depth.ratio@10000", 1.1, "×"),
    Goal("start to /health", "start.health", 300, "ms"),
    Goal("idle memory", "memory@0", 60, "MB"),
    Goal("more memory after 10,000 sessions", "memory.growth@10000", 5, "MB"),
)


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Return a verdict on each goal whose row was measured."""
    found = {row.key: row for row in rows}
    verdicts = []
    for goal in GOALS:
        if (row := found.get(goal.key)) is None:
            continue
        ratios = {"floor": row.ratio, "floor-full": row.ratio_full}
        ratio = None if goal.against is None else ratios[goal.against]
        value = row.nanobot if ratio is None else ratio
        share = goal.limit / value if goal.at_least else max(value, 0.0) / goal.limit
        verdicts.append(Verdict(goal, value, share, share <= 1, None if goal.against else row.floor_full))
    return verdicts
