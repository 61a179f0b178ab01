"""What the tools of MCP servers are called: `mcp__SERVER__TOOL`."""

import hashlib
from collections.abc import Iterable

from nanobot.core.late_pattern import LatePattern
from nanobot.core.tool import PASSING_PREFIX

SERVER_NAME = LatePattern(r"[A-Za-z0-9](?:_?[A-Za-z0-9-])*")
"""What a server may be called: so that no two servers have tools of one name."""
MAX_SERVER_CHARS = 24
MAX_NAME_CHARS = 64
"""The longest name of a tool that the providers of models take."""
_HASH_CHARS = 6
_NOT_IN_NAMES = LatePattern(r"[^A-Za-z0-9_-]")


def group_of(server: str) -> str:
    """Return the group of the server's tools."""
    return f"{PASSING_PREFIX}{server}"


def may_be_of(name: str, servers: Iterable[str]) -> bool:
    """Return whether the tool or the `@group` of that name may be of one of `servers`."""
    return any(name == f"@{group_of(each)}" or name.startswith(f"{group_of(each)}__") for each in servers)


def tool_names(server: str, tools: Iterable[str]) -> dict[str, str]:
    """Return the server's `tools` by the names under which they are offered. These have only characters that
    all providers take, are at most 64 long, and each stands for one tool, whatever the others are called.
    """
    names: dict[str, str] = {}
    for tool in tools:
        plain = f"{group_of(server)}__{_NOT_IN_NAMES.sub('_', tool)}"
        is_exact = plain.endswith(f"__{tool}") and len(plain) <= MAX_NAME_CHARS
        # The hash is of the name alone, so that it does not depend on which others there are.
        name = plain if is_exact else _with_hash(plain, tool)
        if name not in names:
            names[name] = tool
    return names


def _with_hash(name: str, tool: str) -> str:
    digest = hashlib.blake2b(tool.encode("utf-8", "replace"), digest_size=_HASH_CHARS // 2).hexdigest()
    return f"{name[: MAX_NAME_CHARS - _HASH_CHARS - 1]}_{digest}"
