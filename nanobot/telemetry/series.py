"""Counters and histograms, and their text for Prometheus (format 0.0.4).

Only the event loop's thread counts and reads, so nothing is locked. Callers that count often keep the series
that `of` returns: counting then costs one addition.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

Labels = tuple[str, ...]


class Count:
    """One series of a counter."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total: float = 0


class Counter:
    """A number that only grows, one for each set of labels."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._counts: dict[Labels, Count] = {} if labels else {(): Count()}

    def of(self, *labels: str) -> Count:
        """Return the series with these labels. It is exported from now on, even at 0."""
        count = self._counts.get(labels)
        if count is None:
            count = self._counts[labels] = Count()
        return count

    def add(self, amount: float = 1, *labels: str) -> None:
        self.of(*labels).total += amount

    def text(self) -> Iterator[str]:
        yield from _head(self.name, self.meaning, "counter")
        for labels, count in self._counts.items():
            yield _sample(self.name, dict(zip(self.labels, labels, strict=True)), count.total)


class HistogramBuckets:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Histogram:
    """How often a value fell between two bounds, one for each set of labels.

    `bounds` ascend; each belongs to the bucket below it.
    """

    def __init__(self, name: str, meaning: str, bounds: tuple[float, ...], labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._bounds = bounds
        self._series: dict[Labels, HistogramBuckets] = {} if labels else {(): HistogramBuckets(bounds)}

    def of(self, *labels: str) -> HistogramBuckets:
        """Return the series with these labels. It is exported from now on, even at 0."""
        buckets = self._series.get(labels)
        if buckets is None:
            buckets = self._series[labels] = HistogramBuckets(self._bounds)
        return buckets

    def text(self) -> Iterator[str]:
        yield from _head(self.name, self.meaning, "histogram")
        for labels, buckets in self._series.items():
            named = dict(zip(self.labels, labels, strict=True))
            sum_so_far = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), buckets.counts, strict=True):
                sum_so_far += count
                yield _sample(f"{self.name}_bucket", {**named, "le": bound}, sum_so_far)
            yield _sample(f"{self.name}_sum", named, buckets.total)
            yield _sample(f"{self.name}_count", named, sum_so_far)


def gauge(name: str, meaning: str, value: float, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the text of a number that goes up and down, at its current value."""
    yield from _head(name, meaning, "gauge")
    yield _sample(name, labels or {}, value)


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of values that go up and down, one for each value of the label."""
    yield from _head(name, meaning, "gauge")
    for named, value in values.items():
        yield _sample(name, {label: named}, value)


def _head(name: str, meaning: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)
