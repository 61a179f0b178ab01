"""The loop of the process that makes vectors: one request after another, until there are no more."""

from typing import BinaryIO, Protocol

import msgspec

from nanobot.stores.vectors.messages import LENGTH_BYTES, Failed, Made, Reply, Request, framed

_decode = msgspec.msgpack.Decoder(Request).decode


class Answering(Protocol):
    """What answers requests."""

    def answer(self, request: Request) -> Reply: ...


def serve(requests: BinaryIO, replies: BinaryIO, answering: Answering) -> None:
    """Say that the process is ready, and answer until `requests` is closed."""
    replies.write(framed(Made(b"")))
    replies.flush()
    while head := requests.read(LENGTH_BYTES):
        request: Request = _decode(requests.read(int.from_bytes(head)))
        try:
            reply = answering.answer(request)
        except Exception as error:  # noqa: BLE001 - the next request may work
            # Not what the error says: that may be of a text.
            reply = Failed(type(error).__name__)
        replies.write(framed(reply))
        replies.flush()
