"""Tools of MCP servers get names that every provider takes, each of one tool."""

import re

from hypothesis import given
from hypothesis import strategies as st

from nanobot.tools.mcp.names import MAX_SERVER_CHARS, SERVER_NAME, may_be_of, tool_names

ANY_NAMES = st.lists(st.text(min_size=1, max_size=100), unique=True, max_size=8)


@given(ANY_NAMES)
def test_every_tool_has_a_name_of_its_own_that_providers_take(tools: list[str]) -> None:
    names = tool_names("a" * MAX_SERVER_CHARS, tools)
    assert list(names.values()) == tools
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


@given(ANY_NAMES)
def test_a_name_does_not_depend_on_the_other_tools(tools: list[str]) -> None:
    together = tool_names("s", tools)
    assert together == {name: tool for each in tools for name, tool in tool_names("s", [each]).items()}


def test_a_plain_name_stays() -> None:
    assert tool_names("git", ["git_log"]) == {"mcp__git__git_log": "git_log"}


def test_two_servers_cannot_have_tools_of_one_name() -> None:
    assert SERVER_NAME.fullmatch("a_b-c") and SERVER_NAME.fullmatch("A1")
    for name in ("a__b", "a_", "_a", "", "a b", "ä"):
        assert not SERVER_NAME.fullmatch(name)


def test_a_name_is_known_to_be_of_a_server_before_its_tools_are() -> None:
    assert may_be_of("mcp__git__anything", ["git"]) and may_be_of("@mcp__git", ["git"])
    assert not may_be_of("mcp__gitlab__x", ["git"]) and not may_be_of("@mcp", ["git"])
