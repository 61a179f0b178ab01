"""Counters and histograms as Prometheus reads them."""

from nanobot.core.clock import Clock
from nanobot.core.ids import new_id, time_of
from nanobot.telemetry.metrics import Metrics
from nanobot.telemetry.series import Counter, Histogram, gauge
from nanobot.testing import FakeClock


class Zeros:
    def getrandbits(self, k: int, /) -> int:
        return 0


def test_a_counter_without_labels_begins_at_0() -> None:
    counter = Counter("a_total", "What it is.")
    assert list(counter.text()) == ["# HELP a_total What it is.", "# TYPE a_total counter", "a_total 0"]
    counter.add()
    counter.add(2.5)
    assert list(counter.text())[-1] == "a_total 3.5"


def test_a_counter_counts_each_set_of_labels() -> None:
    counter = Counter("a_total", "What it is.", ("kind", "model"))
    assert list(counter.text())[2:] == []
    counter.add(2, "prompt", "echo")
    counter.add(3, "completion", "echo")
    counter.add(4, "prompt", "echo")
    assert list(counter.text())[2:] == [
        'a_total{kind="prompt",model="echo"} 6',
        'a_total{kind="completion",model="echo"} 3',
    ]


def test_label_values_are_escaped() -> None:
    counter = Counter("a_total", "What it is.", ("model",))
    counter.add(1, 'a"b\\c\nd')
    assert list(counter.text())[2] == 'a_total{model="a\\"b\\\\c\\nd"} 1'


def test_buckets_of_a_histogram_sum_up_and_a_value_on_a_bound_is_below_it() -> None:
    histogram = Histogram("a_seconds", "What it is.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.of().add(value)
    assert list(histogram.text())[2:] == [
        'a_seconds_bucket{le="0.1"} 2',
        'a_seconds_bucket{le="1"} 3',
        'a_seconds_bucket{le="+Inf"} 4',
        "a_seconds_sum 7.65",
        "a_seconds_count 4",
    ]


def test_a_gauge_is_as_it_is_now() -> None:
    assert list(gauge("a", "What it is.", 3, {"version": "1"})) == [
        "# HELP a What it is.",
        "# TYPE a gauge",
        'a{version="1"} 3',
    ]


def test_no_metric_appears_twice() -> None:
    clock: Clock = FakeClock()
    named = [
        line.split()[2]
        for line in Metrics(clock).text(waiting=0, running=0).splitlines()
        if line.startswith("# TYPE")
    ]
    assert len(named) == len(set(named)) > 15


def test_the_time_of_an_id_is_when_it_was_made() -> None:
    assert time_of(new_id("turn", 1_800_000_000.123, Zeros())) == 1_800_000_000.123
    assert time_of("not one of ours") == 0
