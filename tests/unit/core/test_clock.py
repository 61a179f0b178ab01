"""What ends by itself is tried again."""

from itertools import islice

from nanobot.core.clock import retries


def test_tries_stay_a_second_apart_and_the_log_is_told_ever_less_of_them() -> None:
    first = list(islice(retries(), 3_600))
    assert {each.wait_s for each in first} == {0.5, 1.0} and first[0].wait_s == 0.5
    told = [number for number, each in enumerate(first, 1) if each.is_told]
    assert told == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048]
