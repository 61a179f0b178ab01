import pytest

from nanobot.access.caller import Caller


@pytest.mark.parametrize(
    ("own", "pattern", "sees"),
    [
        ((), "*", True),
        (("wx:dm:*",), "wx:dm:*", True),
        (("wx:dm:*",), "wx:dm:a*", True),
        (("wx:dm:*",), "wx:dm:ann", True),
        (("wx:dm:*",), "wx:*", False),
        (("wx:dm:*",), "*", False),
        (("wx:dm:*", "*"), "wx:*", True),
        (("wx:*:ann",), "wx:*:ann", True),
        (("wx:*:ann",), "wx:dm:*", False),
        (("wx:*:ann",), "wx:dm:ann", True),
        (("wx:dm:\\*",), "wx:dm:*", False),
        (("wx:dm:*",), "wx:d\\m:*", False),
        (("wx:dm:ann",), "wx:dm:*", False),
    ],
)
def test_a_pattern_is_seen_where_all_that_it_means_is(own: tuple[str, ...], pattern: str, sees: bool) -> None:
    assert Caller(patterns=own).sees_pattern(pattern) is sees
