"""What a scripted model is shown, and what it may answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

_SUMMARIES: Final = ("Below is the beginning of your own work", "Below is the beginning of a conversation")


class Call(msgspec.Struct, frozen=True):
    """A call of a tool."""

    name: str
    arguments: dict[str, Any]


Reply = str | Call | Sequence[Call]
"""Text ends the turn; calls are made."""


class Result(msgspec.Struct, frozen=True):
    """What came of a call."""

    name: str
    arguments: dict[str, Any]
    content: str


class Talk:
    """A request to the model. `results`: of the calls since the newest message of the user, oldest first;
    `earlier`: those before. `offered`: the names of the tools.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        messages = body["messages"]
        self.instructions = "\n".join(
            _text(each["content"]) for each in messages if each["role"] in ("system", "developer")
        )
        self.offered = frozenset(str(tool["function"]["name"]) for tool in body.get("tools") or ())
        self.question = ""
        self.shown = "\n".join(_text(each.get("content")) for each in messages)
        self.results: list[Result] = []
        self.earlier: list[Result] = []
        calls: dict[str, Call] = {}
        for message in messages:
            if message["role"] == "user":
                self.question = _text(message["content"])
                self.earlier += self.results
                self.results = []
            for call in message.get("tool_calls") or ():
                function = call["function"]
                calls[call["id"]] = Call(function["name"], msgspec.json.decode(function["arguments"]))
            if message["role"] == "tool":
                made = calls[message["tool_call_id"]]
                self.results.append(Result(made.name, made.arguments, _text(message["content"])))

    @property
    def is_for_summary(self) -> bool:
        return self.instructions.startswith(_SUMMARIES)

    @property
    def last(self) -> str:
        """What the newest result of the turn says; empty before the first."""
        return self.results[-1].content if self.results else ""

    def of(self, name: str) -> list[Result]:
        """Return the results of the turn that are of this tool."""
        return [result for result in self.results if result.name == name]


Script = Callable[[Talk], Reply]
"""Answers as a model would, by what it is shown: asked again after a crash, it answers the same."""


def call(name: str, /, **arguments: Any) -> Call:
    return Call(name, arguments)


def idle(_: Talk) -> Reply:
    """Do nothing, and say that it is done."""
    return "Done."


def parrot(talk: Talk) -> Reply:
    """Do nothing, and say back what the user said."""
    return talk.question or "Done."


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
