"""Who said what was found in other sessions: by name, and with ids where names do not tell people apart."""

import pytest

from nanobot.core.message import Role
from nanobot.core.recall import Passage
from nanobot.core.speakers import labels, said_by
from tests.other_sessions import GivenSessions

DM, OWN, BOB, EVE = "wx:dm:ann", "wx:group:g:user:ann", "wx:group:g:user:bob", "wx:group:g:user:eve"


def passage(key: str, role: Role = "user", name: str | None = None, at: float = 1.0) -> Passage:
    return Passage(key, 1, None, role, at, "hello", name)


def told(own: str, *passages: Passage, own_name: str | None = None) -> list[str]:
    who = said_by(passages, own, own_name, GivenSessions())
    return [who(each) for each in passages]


def test_in_a_private_chat_it_was_the_same_person_elsewhere() -> None:
    other = "tg:dm:42"
    assert told(DM, passage(DM), passage(DM, "assistant")) == ["I said", "you said"]
    assert told(DM, passage(DM), passage(other), passage(other, "assistant")) == [
        "I said",
        "I said in another chat",
        "you said in another chat",
    ]


def test_in_a_group_members_are_called_by_their_names_or_else_by_their_ids() -> None:
    assert told(OWN, passage(OWN), passage(BOB), passage(EVE, name="Eve"), passage(EVE, "assistant")) == [
        "I said",
        "wx:bob said",
        "Eve said",
        "you said to Eve",
    ]


@pytest.mark.parametrize("own_name", [None, "Alex"])
def test_behind_equal_names_stand_ids(own_name: str | None) -> None:
    said = told(OWN, passage(BOB, name="Alex"), passage(EVE, name="alex "), own_name=own_name)
    assert said == ["Alex (wx:bob) said", "alex (wx:eve) said"]


@pytest.mark.parametrize(
    ("name", "other"),
    [("Al\u200bex", "Alex"), ("\uff21lex", "Alex"), ("Alex\u00a0", "Alex"), ("A\u0301lex", "\u00c1lex")],
)
def test_names_that_look_the_same_are_equal(name: str, other: str) -> None:
    said = told(OWN, passage(BOB, name=other), passage(EVE, name=name))
    assert said[0] == f"{other} (wx:bob) said"
    assert said[1].endswith(" (wx:eve) said") and "\u200b" not in said[1]


def test_a_name_that_could_be_taken_for_somebodys_id_has_the_id_behind_it() -> None:
    said = told(OWN, passage(EVE, name="wx:bob"), passage(BOB, name="Alex (wx:dora)"))
    assert said == ["wx:bob (wx:eve) said", "Alex (wx:dora) (wx:bob) said"]
    assert told(OWN, passage(BOB, name="wx\uff1adora")) == ["wx\uff1adora (wx:bob) said"]


def test_a_member_with_the_name_of_who_asks_is_told_apart() -> None:
    assert told(OWN, passage(BOB, name="Ann"), own_name="Ann") == ["Ann (wx:bob) said"]


def test_nobody_can_take_the_id_of_another_for_a_name() -> None:
    assert labels({"wx:bob": None, "wx:eve": "WX:Bob"}) == {
        "wx:bob": "wx:bob (wx:bob)",
        "wx:eve": "WX:Bob (wx:eve)",
    }


def test_who_changes_their_name_is_called_by_the_newest() -> None:
    assert told(OWN, passage(BOB, name="New", at=2.0), passage(BOB, name="Old", at=1.0)) == [
        "New said",
        "New said",
    ]
