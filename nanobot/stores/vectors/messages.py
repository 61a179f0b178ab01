"""What the server and the process that makes vectors say to each other."""

import msgspec

from nanobot.core.vectors import Near

LENGTH_BYTES = 4


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """Make vectors of these texts."""

    texts: tuple[str, ...]


class FindMessages(msgspec.Struct, frozen=True, tag="messages"):
    """Find the messages that are nearest to the text, of those with ids in the ranges."""

    text: str
    ranges: tuple[tuple[int, int], ...]


class FindFacts(msgspec.Struct, frozen=True, tag="facts"):
    """Find those of the facts that are nearest to the text."""

    text: str
    numbers: tuple[int, ...]


class Made(msgspec.Struct, frozen=True, tag="made"):
    body: bytes


class FoundNear(msgspec.Struct, frozen=True, tag="found"):
    near: tuple[Near, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It did not work; the next request may."""

    reason: str


Request = Embed | FindMessages | FindFacts
Reply = Made | FoundNear | Failed


def framed(message: Request | Reply) -> bytes:
    """Return the message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES) + body
