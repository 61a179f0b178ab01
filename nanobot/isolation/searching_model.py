"""A model that searches for all it can find, and what the audit of people and groups says to it."""

from collections.abc import AsyncGenerator
from typing import get_args

import msgspec

from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.isolation.canaries import secrets_in
from nanobot.tools.history import SEARCH_HISTORY
from nanobot.tools.memory import RECALL, REMEMBER

_ASKED = "who-asks"
QUESTION = "what is the code of the garage door?"
TOLD = "the code of the garage door is "
_PAGES = 3


def question(asker: str) -> str:
    """Return what the session with the key `asker` asks."""
    return f"{QUESTION} {_ASKED} {asker}"


class SearchingModel:
    """A `Model` that notes down what it is told, and searches with every tool for all it can find where it is
    asked; it repeats none of it. `seen`: the secrets that stood in the prompts of whoever asked, by the
    asker's key; `prompts`: how many there were; `recalled`: in how many a tool had found noted facts.
    """

    name = "searching"
    context_tokens = 1_000_000
    abilities: frozenset[Ability] = frozenset(get_args(Ability))

    def __init__(self) -> None:
        self.prompts = 0
        self.recalled = 0
        self.seen: dict[str, set[str]] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.prompts += 1
        asked = next((each.text for each in reversed(request.messages) if each.role == "user"), "")
        asker = asked.rpartition(f"{_ASKED} ")[2]
        if QUESTION in asked:
            prompt = msgspec.json.encode(msgspec.structs.replace(request, audience=None)).decode()
            self.seen.setdefault(asker, set()).update(secrets_in(prompt))
        calls = self._calls(asked, {tool.name for tool in request.tools})
        answered = next(
            (number for number, each in enumerate(reversed(request.messages)) if each.role == "user"), 0
        )
        if answered:
            self.recalled += any(
                "code of the garage door" in result.content and result.call_id == f"call_{RECALL}"
                for result in request.messages[-1].tool_results
            )
        elif calls:
            yield Message("assistant", tuple(calls), "tool_calls", Usage(1, 1), self.name)
            return
        yield TextDelta("ok")
        yield Message("assistant", (Text("ok"),), "stop", Usage(1, 1), self.name)

    def _calls(self, asked: str, offered: set[str]) -> list[ToolCall]:
        """Return what is called: what is told is noted down; what is asked is looked for, page by page."""
        wanted: list[tuple[str, str, dict[str, object]]] = []
        if QUESTION in asked:
            wanted += [
                (f"call_{page}", SEARCH_HISTORY, {"query": "code garage door", "page": page})
                for page in range(1, _PAGES + 1)
            ]
            wanted.append((f"call_{RECALL}", RECALL, {"query": "code of the garage door"}))
        elif TOLD in asked:
            wanted.append(("call_note", REMEMBER, {"fact": asked[asked.index(TOLD) :]}))
        return [
            ToolCall(id_, name, msgspec.json.encode(arguments).decode())
            for id_, name, arguments in wanted
            if name in offered
        ]

    async def check(self) -> None:
        """Always ready."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Holds nothing."""
