"""The first rule that has something to say of the tool decides; otherwise the tool's own default."""

import msgspec
import pytest

from nanobot.core.policy import Policy, PolicyRule
from nanobot.core.tool import Decision, Tool, ToolContext


class Nothing(msgspec.Struct, frozen=True):
    pass


async def run(arguments: Nothing, context: ToolContext) -> str:
    return ""


def tool(name: str, group: str = "", by_default: Decision = "allow") -> Tool:
    return Tool(name, "", Nothing, run, group=group, by_default=by_default)


FETCH, SEARCH, SHELL = tool("fetch", "web"), tool("search", "web"), tool("shell", by_default="ask")


def decided(policy: Policy, key: str = "k", origin: str = "api") -> list[str]:
    held = policy.of(key, origin)  # type: ignore[arg-type]
    return [held.ruling(each).decision for each in (FETCH, SEARCH, SHELL)]


def test_without_rules_the_defaults_of_the_tools_hold() -> None:
    assert decided(Policy()) == ["allow", "allow", "ask"]
    assert Policy().of("k", "api").ruling(SHELL).rule == "default"


def test_within_a_rule_the_name_goes_before_the_group_and_that_before_all() -> None:
    rule = PolicyRule("policy[0]", {"*": "deny", "@web": "ask", "search": "allow"})
    assert decided(Policy([rule])) == ["ask", "allow", "deny"]


def test_the_first_rule_that_says_something_decides_not_the_most_particular() -> None:
    rules = [PolicyRule("a", {"@web": "ask"}), PolicyRule("b", {"fetch": "deny", "*": "deny"})]
    assert decided(Policy(rules)) == ["ask", "ask", "deny"]
    assert Policy(rules).of("k", "api").ruling(SHELL).rule == "b"


@pytest.mark.parametrize(
    ("key", "origin", "holds"),
    [
        ("wx:group:g:user:ann", "api", True),
        ("wx:group:g", "cli", True),
        ("wx:dm:ann", "api", False),
        ("group", "api", False),
        ("wx:grouped:g", "api", False),
        ("wx:dm:group:x", "api", False),
    ],
)
def test_the_kind_of_a_conversation_is_the_second_part_of_its_key(key: str, origin: str, holds: bool) -> None:
    policy = Policy([PolicyRule("a", {"*": "deny"}, origins=frozenset({"group"}))])
    assert (decided(policy, key, origin) == ["deny"] * 3) is holds


def test_rules_hold_for_their_pattern_and_origin_only() -> None:
    policy = Policy([PolicyRule("a", {"*": "allow"}, "wx:*", frozenset({"cli"}))])
    assert decided(policy, "wx:dm:ann", "cli") == ["allow"] * 3
    assert decided(policy, "wx:dm:ann", "api") == decided(policy, "tg:dm:ann", "cli") == decided(Policy())


def test_what_is_not_denied_is_offered() -> None:
    rule = PolicyRule("a", {"search": "deny", "shell": "ask"})
    assert Policy([rule]).of("k", "api").allowed([FETCH, SEARCH, SHELL]) == frozenset(("fetch", "shell"))
    assert Policy().of("k", "api").allowed([FETCH, SEARCH, SHELL]) is None
