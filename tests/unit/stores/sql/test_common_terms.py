"""Which terms are known to be common."""

from nanobot.stores.sql.common_terms import CommonTerms

THE = hash("the")
HERE = frozenset({(1, "a")})


def test_what_was_common_is_known_until_a_tenth_more_was_said() -> None:
    common = CommonTerms()
    common.of(HERE, 100).add(THE)
    assert common.of(HERE, 110) == {THE}
    assert common.of(HERE, 111) == set()
    assert common.of(HERE, 122) == set()


def test_fewer_messages_are_another_session_of_that_number() -> None:
    common = CommonTerms()
    common.of(HERE, 100).add(THE)
    assert common.of(HERE, 99) == set()


def test_what_is_common_in_one_session_is_not_in_another() -> None:
    common = CommonTerms()
    common.of(HERE, 100).add(THE)
    assert common.of(frozenset({(1, "b")}), 100) == set()
    assert common.of(frozenset({(1, "a"), (2, "b")}), 100) == set()


def test_little_is_known_of_few_sessions() -> None:
    common = CommonTerms()
    for number in range(300):
        common.of(frozenset({(number, "a")}), 100).add(THE)
    assert common.of(frozenset({(299, "a")}), 100) == {THE}
    assert common.of(frozenset({(0, "a")}), 100) == set(), "of the session that was searched longest ago"
    for number in range(128):
        common.of(HERE, 100).add(number)
    assert common.of(HERE, 100) == set()
