"""What of a turn is kept."""

from nanobot.core.turn import Turn
from nanobot.stores.sql.turns import decode, encode_turn


def test_a_stored_turn_does_not_say_from_which_address_it_came() -> None:
    stored = encode_turn(Turn("t", "s", (), "api", address="192.0.2.1"))
    assert b"192.0.2.1" not in stored
    assert decode(stored).payer is None
