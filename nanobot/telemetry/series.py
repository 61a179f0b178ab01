"""Counters and histograms, and their text for Prometheus (format 0.0.4).

One thread, the event loop's, counts and reads: there is nothing to lock. A count costs a look-up in a dictionary.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

Labels = tuple[str, ...]


class Counter:
    """A number that only grows, one for each set of labels."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._counts: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, amount: float = 1, *labels: str) -> None:
        self._counts[labels] = self._counts.get(labels, 0) + amount

    def text(self) -> Iterator[str]:
        yield from _head(self.name, self.meaning, "counter")
        for labels, count in self._counts.items():
            yield _sample(self.name, dict(zip(self.labels, labels, strict=True)), count)


class _Buckets:
    __slots__ = ("counts", "total")

    def __init__(self, size: int) -> None:
        self.counts = [0] * size
        self.total = 0.0


class Histogram:
    """How often a value fell between bounds, one for each set of labels. `bounds` ascend; a value on a bound counts below it."""

    def __init__(self, name: str, meaning: str, bounds: tuple[float, ...], labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._bounds = bounds
        self._found: dict[Labels, _Buckets] = {} if labels else {(): _Buckets(len(bounds) + 1)}

    def add(self, value: float, *labels: str) -> None:
        buckets = self._found.get(labels)
        if buckets is None:
            buckets = self._found[labels] = _Buckets(len(self._bounds) + 1)
        buckets.counts[bisect_left(self._bounds, value)] += 1
        buckets.total += value

    def text(self) -> Iterator[str]:
        yield from _head(self.name, self.meaning, "histogram")
        for labels, buckets in self._found.items():
            named = dict(zip(self.labels, labels, strict=True))
            sum_so_far = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), buckets.counts, strict=True):
                sum_so_far += count
                yield _sample(f"{self.name}_bucket", {**named, "le": bound}, sum_so_far)
            yield _sample(f"{self.name}_sum", named, buckets.total)
            yield _sample(f"{self.name}_count", named, sum_so_far)


def gauge(name: str, meaning: str, value: float, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the text of a number that goes up and down, as it is now."""
    yield from _head(name, meaning, "gauge")
    yield _sample(name, labels or {}, value)


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
