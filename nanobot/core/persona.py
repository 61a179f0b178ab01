"""Who answers in which sessions: the agent's name, its instructions, its model and its tools."""

from collections.abc import Sequence

import msgspec

from nanobot.core.accounts import matches
from nanobot.core.tool import ToolSpec

DEFAULT_NAME = "nanobot"


class Persona(msgspec.Struct, frozen=True):
    """The agent as it answers in some sessions.

    `instructions` go below the server's own prompt, above those of the session and of the client. `language`:
    the one to answer in unless a user asks for another. `model`: the preset that answers where neither the
    request nor the session names one. `tools`: the names of the server's tools that it is offered (None:
    all). `skills`: the names of the operator's skills that it has (None: all), `skills_index` what a model is
    told of them. `remembers`: whether it is told what is remembered, and may note down more.
    `may_instruct`, `may_choose_model`: whether a session may have instructions and a model of its own.
    """

    name: str = DEFAULT_NAME
    instructions: str = ""
    language: str | None = None
    model: str | None = None
    tools: frozenset[str] | None = None
    skills: frozenset[str] | None = None
    skills_index: str = ""
    remembers: bool = True
    may_instruct: bool = True
    may_choose_model: bool = True

    def offered(self, tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
        """Return those of the server's tools that the persona has."""
        if self.tools is None:
            return tools
        return tuple(tool for tool in tools if tool.name in self.tools)


PLAIN = Persona()
"""The agent where the settings say nothing about it."""


Rule = tuple[str, Persona]
"""A pattern of session keys, and who answers there."""


class Personas:
    """Finds the persona of a session: the first whose pattern the key matches, else the default one.

    `set` changes them all at once; turns that run already keep theirs.
    """

    def __init__(self, default: Persona = PLAIN, rules: Sequence[Rule] = ()) -> None:
        self.set(default, rules)

    def set(self, default: Persona, rules: Sequence[Rule]) -> None:
        """Answer so from now on."""
        self._default, self._rules = default, tuple(rules)

    def of(self, session_key: str) -> Persona:
        """Return who answers in the session."""
        for pattern, persona in self._rules:
            if matches(session_key, pattern):
                return persona
        return self._default
