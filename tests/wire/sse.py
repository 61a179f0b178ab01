"""Server-sent events as clients read them, lenient ones and strict ones."""

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


def blocks(text: str) -> list[list[tuple[str, str]]]:
    """Return the fields of every event in `text`, in order, comments left out.

    A blank line ends an event even where no field came before it: openai-python reads it so once it has seen
    an id.
    """
    events: list[list[tuple[str, str]]] = [[]]
    for line in text.split("\n")[:-1]:
        if not line:
            events.append([])
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            events[-1].append((name, value))
    assert events.pop() == [], "the last event is not complete"
    return events
