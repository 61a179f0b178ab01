"""From samples to rows: medians over rounds, ratios within a round, waits less the direct call's."""

import statistics
from collections.abc import Sequence

import msgspec

from bench.load import Sample


class Row(msgspec.Struct, frozen=True):
    """One line of the report. `key` is what goals and readers of the JSON name it by; a column that has no
    meaning here is None. `ratio` is to the floor, `ratio_full` to floor-full.

    `direct` is the same figure of a client that asks the upstream itself: how far it strays tells how
    disturbed the machine was.
    """

    key: str
    label: str
    unit: str
    floor: float | None
    nanobot: float
    ratio: float | None
    direct: float | None = None
    floor_full: float | None = None
    ratio_full: float | None = None


class Figures:
    """What came out of the rounds, by system."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {
            "direct": [],
            "floor": [],
            "floor-full": [],
            "nanobot": [],
        }

    def add(self, system: str, value: float) -> None:
        self._values[system].append(value)

    def row(self, key: str, label: str, unit: str) -> Row:
        return Row(
            key,
            label,
            unit,
            self._median("floor"),
            statistics.median(self._values["nanobot"]),
            self._ratio("floor"),
            self._median("direct"),
            self._median("floor-full"),
            self._ratio("floor-full"),
        )

    def _median(self, system: str) -> float | None:
        values = self._values[system]
        return statistics.median(values) if values else None

    def _ratio(self, system: str) -> float | None:
        """Return the median of nanobot's ratios to that system within a round."""
        values = self._values[system]
        if not values:
            return None
        return statistics.median(
            mine / least for mine, least in zip(self._values["nanobot"], values, strict=True)
        )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


class Waits:
    """How long clients waited, for answers or for their first text, and how much of it the system between
    added.

    Added is the percentile of what was seen through the system less the *median* of the direct call: no luck
    is taken off.
    """

    def __init__(self) -> None:
        self._whole = {percent: Figures() for percent in (50, 99)}
        self._added = {percent: Figures() for percent in (50, 99)}

    def add_round(self, samples: dict[str, Sample], *, stream: bool) -> None:
        waits = {
            name: sample.first_token_ms if stream else sample.latency_ms for name, sample in samples.items()
        }
        direct = percentile(waits["direct"], 50)
        for percent in (50, 99):
            for name, values in waits.items():
                self._whole[percent].add(name, percentile(values, percent))
                if name != "direct":
                    self._added[percent].add(name, percentile(values, percent) - direct)

    def rows(self, key: str, label: str, clients: str, count: int) -> list[Row]:
        whole = [
            figures.row(f"{key}.whole.p{percent}@{count}", f"{label} p{percent}, {clients}", "ms")
            for percent, figures in self._whole.items()
        ]
        added = [
            figures.row(f"{key}.p{percent}@{count}", f"added {label} p{percent}, {clients}", "ms")
            for percent, figures in self._added.items()
        ]
        return whole + added
