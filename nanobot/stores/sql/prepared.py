"""What is computed of large messages before the transaction that writes them: others wait for that one."""

from collections.abc import Mapping, Sequence

import msgspec

from nanobot.core.message import Message, ToolCall
from nanobot.core.visible import START, Place, place_after

encode = msgspec.json.Encoder().encode


class PreparedMessages:
    """The stored form of these messages, and the step that each is in a list. Of any other message that is
    computed when it is asked for.
    """

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        # With the message, so that its id stays its own. What a result answers is known in the transaction.
        self._known = {
            id(message): (
                message,
                encode(message),
                None if message.tool_results else place_after(START, message),
            )
            for message in messages
        }

    def body_of(self, message: Message) -> bytes:
        """Return the stored form of the message."""
        known = self._known.get(id(message))
        return encode(message) if known is None else known[1]

    def place_after(self, place: Place, message: Message, calls: Mapping[str, ToolCall]) -> Place:
        """Do as `core.visible.place_after`."""
        known = self._known.get(id(message))
        if known is None or known[2] is None:
            return place_after(place, message, calls)
        return place.then(known[2])


NONE_PREPARED = PreparedMessages()
