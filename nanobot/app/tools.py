"""The tools that every agent has."""

from nanobot.core.clock import Clock
from nanobot.core.tool import Tool
from nanobot.tools.facts import calculate, current_time


def own_tools(clock: Clock) -> tuple[Tool, ...]:
    """Return the server's own tools."""
    return (current_time(clock), calculate())
