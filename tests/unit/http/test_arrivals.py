"""New connections of an address: a few are read at once, a flood of them evenly."""

from nanobot.http.arrivals import MOST_A_SECOND, MOST_AT_ONCE, Arrivals


def test_connections_of_a_page_or_of_a_hundred_clients_do_not_wait() -> None:
    arrivals = Arrivals()
    assert [arrivals.wait_s("a", 0.0) for _ in range(MOST_AT_ONCE)] == [0.0] * MOST_AT_ONCE
    assert [arrivals.wait_s("a", 1 + number / 100) for number in range(500)] == [0.0] * 500


def test_a_flood_of_an_address_is_let_in_evenly_and_others_do_not_wait() -> None:
    arrivals = Arrivals()
    waits = [arrivals.wait_s("flood", 0.0) for _ in range(2_000)]
    assert waits == sorted(waits)
    assert sum(wait <= 0.1 for wait in waits) <= MOST_AT_ONCE + MOST_A_SECOND // 10 + 1
    assert arrivals.wait_s("other", 0.0) == 0.0


def test_nobody_waits_for_long() -> None:
    arrivals = Arrivals()
    assert max(arrivals.wait_s("flood", 0.0) for _ in range(50_000)) == 5.0


def test_what_is_known_of_addresses_is_bounded() -> None:
    arrivals = Arrivals()
    for number in range(30_000):
        arrivals.wait_s(f"a{number}", float(number))
    assert len(arrivals) <= 10_001
