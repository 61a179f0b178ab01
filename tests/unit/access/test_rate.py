import pytest

from nanobot.access.rate import RateLimiter, neighbourhood


def test_a_bucket_gives_what_it_holds_and_fills_over_a_minute() -> None:
    buckets = RateLimiter(10)
    for _ in range(3):
        assert buckets.wait_s("a", 3, 100.0) == 0
        buckets.take("a", 3, 100.0)
    assert buckets.wait_s("a", 3, 100.0) == 20
    assert buckets.wait_s("a", 3, 119.0) == pytest.approx(1)
    assert buckets.wait_s("a", 3, 120.0) == 0
    assert buckets.level("a", 3, 1_000.0) == 3
    assert buckets.level("b", 3, 100.0) == 3


def test_what_was_given_back_can_be_taken_again() -> None:
    buckets = RateLimiter(10)
    buckets.take("a", 1, 0.0)
    buckets.give_back("a", 1, 0.0)
    buckets.give_back("a", 1, 0.0)
    assert buckets.level("a", 1, 0.0) == 1


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    buckets = RateLimiter(10)
    buckets.take("a", 2, 100.0)
    assert buckets.level("a", 2, 50.0) == 1


def test_only_so_many_are_remembered_those_used_last() -> None:
    buckets = RateLimiter(2)
    for name in ("a", "b", "a", "c"):
        buckets.take(name, 5, 0.0)
    assert len(buckets) == 2
    assert [buckets.level(name, 5, 0.0) for name in ("a", "b", "c")] == [3, 5, 4]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_one_client_of_ipv6_has_a_whole_network_of_addresses(address: str, shown: str) -> None:
    assert neighbourhood(address) == shown
