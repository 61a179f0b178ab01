"""The policy: which tools may be called in which sessions, which only once a person has agreed, and how
often.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from nanobot.core.accounts import matches
from nanobot.core.tool import Decision, Tool
from nanobot.core.turn import Origin

PolicyOrigin = Literal["api", "cli", "group", "dm"]
"""Where a turn comes from: an entry point, or the kind of conversation that its key names."""
ANY_TOOL = "*"
GROUP_SIGN = "@"
"""What begins the name of a group of tools."""
_KEY_PARTS = 3


class PolicyRule(msgspec.Struct, frozen=True):
    """What holds in the sessions whose key matches `pattern`, for turns from `origins` (empty: from
    anywhere).

    `tools`: a decision for each name of a tool, `@group` of tools, or `*` for all. `calls_per_turn`: how
    often each tool that the rule decides on may be called in one turn; None: no limit. `name`: how the audit
    log calls the rule.
    """

    name: str
    tools: Mapping[str, Decision]
    pattern: str = "*"
    origins: frozenset[PolicyOrigin] = frozenset()
    calls_per_turn: int | None = None

    def decision(self, tool: Tool) -> Decision | None:
        """Return what the rule says of the tool: by its name, else by its group, else of all; None where it
        says nothing.
        """
        for name in (tool.name, f"{GROUP_SIGN}{tool.group}", ANY_TOOL):
            if name in self.tools:
                return self.tools[name]
        return None


class Ruling(msgspec.Struct, frozen=True):
    """What the policy says of a tool in one turn. `rule`: the name of the rule that says it."""

    decision: Decision
    rule: str = "default"
    calls_per_turn: int | None = None


_DEFAULTS: dict[Decision, Ruling] = {
    "allow": Ruling("allow"),
    "ask": Ruling("ask"),
    "deny": Ruling("deny"),
}


_NOT_HERE = Ruling("deny", "sessions")


class TurnPolicy:
    """The rules that hold in one turn of the session, in order."""

    def __init__(self, session_key: str, rules: Sequence[PolicyRule] = ()) -> None:
        self._session_key = session_key
        self._rules = tuple(rules)

    @property
    def has_rules(self) -> bool:
        """Whether there are any; otherwise each tool's default holds, and the sessions that it is for."""
        return bool(self._rules)

    def ruling(self, tool: Tool) -> Ruling:
        """Return what the first rule says that has anything to say of the tool; otherwise its default. A tool
        that is for other sessions is denied.
        """
        if not self._is_for(tool):
            return _NOT_HERE
        for rule in self._rules:
            decision = rule.decision(tool)
            if decision is not None:
                return Ruling(decision, rule.name, rule.calls_per_turn)
        return _DEFAULTS[tool.by_default]

    def allowed(self, tools: Iterable[Tool]) -> frozenset[str] | None:
        """Return the names of the tools that are not denied; None: none of them is."""
        tools = tuple(tools)
        names = frozenset(tool.name for tool in tools if self.ruling(tool).decision != "deny")
        return None if len(names) == len(tools) else names

    def _is_for(self, tool: Tool) -> bool:
        return tool.sessions is None or any(matches(self._session_key, each) for each in tool.sessions)


class Policy:
    """The rules of a server. The first that matches the session and the origin, and has something to say of
    the tool, decides; where none does, the tool's own default holds.

    `set` changes them all at once; turns that run already keep theirs.
    """

    def __init__(self, rules: Sequence[PolicyRule] = ()) -> None:
        self.set(rules)

    def set(self, rules: Sequence[PolicyRule]) -> None:
        """Decide by these rules from now on."""
        self._rules = tuple(rules)

    def of(self, session_key: str, origin: Origin) -> TurnPolicy:
        """Return what holds in a turn of the session."""
        if not self._rules:
            return TurnPolicy(session_key)
        origins = {origin, _kind_of(session_key)}
        return TurnPolicy(
            session_key,
            [
                rule
                for rule in self._rules
                if matches(session_key, rule.pattern) and (not rule.origins or rule.origins & origins)
            ],
        )


def _kind_of(session_key: str) -> str:
    """Return the kind of conversation that the key names by its second part, `group` or `dm`; empty where
    it names none.
    """
    parts = session_key.split(":", _KEY_PARTS - 1)
    return parts[1] if len(parts) == _KEY_PARTS and parts[1] in ("group", "dm") else ""
