"""Whom a session key speaks of, and which layers its turns may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import ConfigError
from nanobot.core.scopes import LayerReach, ScopePattern, ScopeRules, Scopes, readable, writable

RULES = ScopeRules()
FURTHER = ScopeRules(
    (
        ScopePattern("{channel}/room/{group}/{user}"),
        ScopePattern("app-{user}", "app"),
        ScopePattern("{channel}:dm:{user}:{rest}"),
    )
)
PARTS = st.text(alphabet="ab:/-%\\*{}=_ é", max_size=5)
KEYS = st.one_of(
    st.text(alphabet="ab:/-%key", min_size=1, max_size=12),
    st.builds("{}:dm:{}".format, PARTS, PARTS),
    st.builds("{}:group:{}:user:{}".format, PARTS, PARTS, PARTS),
    st.builds("key:{}".format, PARTS),
)


def test_a_private_chat_and_a_group_speak_of_the_same_person() -> None:
    assert RULES.of("wx:dm:alice") == Scopes("wx:dm:alice", "wx:alice")
    assert RULES.of("wx:group:g1:user:alice") == Scopes("wx:group:g1:user:alice", "wx:alice", "wx:g1")


@pytest.mark.parametrize(
    "key", ["plain", "wx:dm:", ":dm:alice", "wx:dm:a:b", "wx:group:g:user:victim:user:evil", "wx:group:g1"]
)
def test_a_key_that_no_pattern_fits_is_a_person_of_its_own(key: str) -> None:
    assert RULES.of(key) == Scopes(key, key)


@pytest.mark.parametrize("key", ["wx:alice", "key:wx:alice", "key:key:wx:alice", "key:alice"])
def test_a_key_that_looks_like_the_name_of_a_user_is_not_that_user(key: str) -> None:
    assert RULES.of(key) == Scopes(key, f"key:{key}")


@given(KEYS, KEYS)
def test_two_keys_are_one_person_only_where_channel_and_user_are_the_same(one: str, other: str) -> None:
    def means(key: str) -> tuple[str, ...]:
        match key.split(":"):
            case [channel, "dm", user] if channel and user:
                return channel, user
            case [channel, "group", group, "user", user] if channel and group and user:
                return channel, user
        return (key,)

    assert (RULES.of(one).person == RULES.of(other).person) == (means(one) == means(other))


def test_further_patterns_come_first_and_name_the_channel_that_keys_do_not() -> None:
    assert FURTHER.of("irc/room/g1/alice") == Scopes("irc/room/g1/alice", "irc:alice", "irc:g1")
    assert FURTHER.of("app-bob") == Scopes("app-bob", "app:bob")
    assert FURTHER.of("wx:dm:alice:thread:7").person == FURTHER.of("wx:dm:alice").person == "wx:alice"
    assert FURTHER.of("app-a:b").person == "key:app-a:b"


@pytest.mark.parametrize(
    ("text", "channel", "says"),
    [
        ("{channel}:{nick}", None, "has the placeholder {nick}"),
        ("{channel}:{user}:{user}", None, "has {user} twice"),
        ("{channel}:room:{group}", None, "has no {user}"),
        ("{channel}{user}", None, "nothing stands between {channel} and {user}"),
        ("{channel}:{rest}:{user}", None, "goes on after {rest}"),
        ("app-{user}", None, "name no channel"),
        ("{channel}:{user}", "wx", "leave `channel` out"),
        ("app-{user}", "w:x", "without a colon"),
        ("{channel}:{user}}", None, "brace without its other one"),
        (" ", None, "printable characters"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(text: str, channel: str | None, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ScopeRules((ScopePattern("{channel}/{user}"), ScopePattern(text, channel)))
    assert raised.value.message.startswith("scopes[1]: ")
    assert says in raised.value.message


def test_a_private_chat_reads_all_of_its_person_and_a_group_only_what_is_public() -> None:
    assert readable(RULES.of("wx:dm:alice"), linked=["tg:42", "wx:alice"]) == (
        LayerReach("person", "wx:alice"),
        LayerReach("person", "tg:42"),
        LayerReach("session", "wx:dm:alice"),
    )
    group = RULES.of("wx:group:g1:user:alice")
    assert readable(group) == (
        LayerReach("person", "wx:alice", only_public=True),
        LayerReach("group", "wx:g1"),
        LayerReach("session", group.session),
    )
    assert LayerReach("person", "wx:alice") in readable(group, shows_private_in_groups=True)


def test_what_is_said_in_a_group_is_the_groups_and_in_private_the_persons() -> None:
    private, group = RULES.of("wx:dm:alice"), RULES.of("wx:group:g1:user:alice")
    assert writable(private) == (LayerReach("person", "wx:alice"), LayerReach("session", private.session))
    assert writable(group) == (LayerReach("group", "wx:g1"), LayerReach("session", group.session))
    assert writable(private, promoted_to="wx:g1")[-1] == LayerReach("group", "wx:g1")


@given(KEYS, KEYS)
def test_two_people_share_no_layer_but_that_of_a_group_they_are_both_in(one: str, other: str) -> None:
    first, second = RULES.of(one), RULES.of(other)
    if first.person == second.person:
        return
    written = {(reach.layer, reach.owner) for reach in writable(first)}
    shared = {(reach.layer, reach.owner) for reach in readable(second)} & written
    assert shared <= ({("group", first.group)} if first.group == second.group else set())
