"""What a server offers: its lists, read page by page up to a limit."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp import Client, MCPError

from nanobot.tools.mcp.answers import MAX_WHY_CHARS, reason_of
from nanobot.tools.mcp.messages import ServerListing
from nanobot.tools.mcp.reading import plain, read_prompts, read_tools

_MOST_PAGES = 20
_MOST_ITEMS = 5_000
_MOST_LIST_BYTES = 32 * 1024 * 1024
"""Of all pages of a list."""


async def list_offers(client: Client) -> ServerListing:
    """Return what the server offers.

    Raises:
        MCPError, RuntimeError, ValueError: its tools cannot be listed.
    """
    capabilities = client.server_capabilities
    tools: list[types.Tool] = []
    prompts: list[types.Prompt] = []
    more: list[str] = []
    if capabilities.tools:
        tools = await all_pages(client.list_tools, "tools", more)
    if capabilities.prompts:
        try:
            prompts = await all_pages(client.list_prompts, "prompts", more)
        except (MCPError, RuntimeError, ValueError) as error:
            # Its tools are of use all the same.
            more.append(f"its prompts: {plain(reason_of(error))[:MAX_WHY_CHARS]}")
    offered, left_out = read_tools(tools)
    who = client.server_info
    return ServerListing(
        protocol=client.protocol_version,
        title=plain(f"{who.name} {who.version}")[:100] if who is not None else "",
        tools=offered,
        prompts=read_prompts(prompts),
        has_resources=bool(capabilities.resources) and await _has_resources(client),
        left_out=(*left_out, *more),
    )


async def all_pages(list_page: Callable[..., Awaitable[Any]], field: str, more: list[str]) -> list[Any]:
    """Return what a list has, page by page, up to a limit; `more` gets a line where there is more."""
    items: list[Any] = []
    cursor: str | None = None
    seen: set[str] = set()
    size = 0
    for _ in range(_MOST_PAGES):
        page = await list_page(cursor=cursor)
        items += getattr(page, field)[: _MOST_ITEMS - len(items)]
        cursor = page.next_cursor
        if not cursor:
            if len(items) == _MOST_ITEMS:
                break
            return items
        size += len(page.model_dump_json())
        if cursor in seen or len(items) == _MOST_ITEMS or size > _MOST_LIST_BYTES:
            break
        seen.add(cursor)
    more.append(
        f"the list of {field} goes on: at most {_MOST_PAGES} pages, {_MOST_ITEMS} items and"
        f" {_MOST_LIST_BYTES // 1024 // 1024} MiB of it are read"
    )
    return items


async def list_templates(client: Client) -> list[types.ResourceTemplate]:
    """Return the templates of resources that the server has."""
    # Many servers have none, and some say so by an error.
    with contextlib.suppress(MCPError, RuntimeError, ValueError):
        return await all_pages(client.list_resource_templates, "resource_templates", [])
    return []


async def _has_resources(client: Client) -> bool:
    """Return whether there is a resource, or a template of some: many servers say that they could have
    some, and have none.
    """
    with contextlib.suppress(MCPError, RuntimeError, ValueError):
        return bool((await client.list_resources()).resources or await list_templates(client))
    return False
