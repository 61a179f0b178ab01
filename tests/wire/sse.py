"""Reading server-sent events as a client does that keeps what it has."""

import json
from collections.abc import Iterable

from tests.asgi import ServerEvent


def joined_text(events: Iterable[ServerEvent]) -> str:
    """Return the answer's text in the chunks among `events`."""
    texts: list[str] = []
    for event in events:
        if event.name is None and event.content != "[DONE]":
            chunk = json.loads(event.content)
            texts.extend(choice["delta"].get("content", "") for choice in chunk.get("choices", ()))
    return "".join(texts)
