"""What a deletion took away."""

import msgspec


class Purged(msgspec.Struct, frozen=True):
    """Rows, and the bytes of messages and uploads."""

    messages: int = 0
    turns: int = 0
    bytes_: int = 0

    def plus(self, other: "Purged") -> "Purged":
        return Purged(self.messages + other.messages, self.turns + other.turns, self.bytes_ + other.bytes_)
