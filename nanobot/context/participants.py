"""Names of participants, in the words of the messages: few providers have a field for them, and fewer models
are shown it.
"""

import msgspec

from nanobot.core.message import Message, Text
from nanobot.core.speakers import shown_name


def named(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with the name of who speaks before the words of each that has one.

    A single assistant has no need of its name, and would begin to write it itself.
    """
    for message in messages:
        if message.name is not None:
            break
    else:
        return messages
    assistants = {message.name for message in messages if message.role == "assistant"}
    return tuple(
        with_name(message) if message.role == "user" or len(assistants) > 1 else message
        for message in messages
    )


def with_name(message: Message) -> Message:
    """Return the message with its name before its words; as it is where it has none, or says it itself."""
    name = shown_name(message.name or "")
    if not name or message.role == "tool" or message.text.startswith(f"{name}:"):
        return message
    first = message.parts[0] if message.parts else None
    if isinstance(first, Text):
        spoken = msgspec.structs.replace(first, text=f"{name}: {first.text}")
        return msgspec.structs.replace(message, parts=(spoken, *message.parts[1:]))
    return msgspec.structs.replace(message, parts=(Text(f"{name}:"), *message.parts))
