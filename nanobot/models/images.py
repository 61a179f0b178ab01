"""Images that a model does not take: which are new, and what stands for the others."""

from itertools import takewhile

from nanobot.core.message import Image
from nanobot.core.model import ModelRequest

NO_IMAGE_NOTE = "(An image came with this message; you cannot see it.)"
"""Stands for an image where the model takes none."""


def has_new_image(request: ModelRequest) -> bool:
    """Return whether an image is in what the user said last."""
    newest = takewhile(lambda message: message.role != "assistant", reversed(request.messages))
    return any(isinstance(part, Image) for message in newest for part in message.parts)
