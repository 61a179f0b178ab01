"""The MCP servers of the settings: what is known of them, and their tools."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.ids import Randomness
from nanobot.core.tool import Tool
from nanobot.core.unseen import without_unseen
from nanobot.tools.mcp.calls import ServerCalls
from nanobot.tools.mcp.messages import Event, ServerListing, ServerLost
from nanobot.tools.mcp.process import McpProcess
from nanobot.tools.mcp.remembered import RememberedListings
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.mcp.tools import ServerTools

_log = logging.getLogger(__name__)
Follow = Callable[[str, tuple[Tool, ...]], None]
"""Is told the tools that a server has now."""


class ServerState(msgspec.Struct, frozen=True):
    """What is known of a server: what it offers, and whether it is connected to. `why`: why not; empty: it
    is, or is still being tried. `after_s`: how long connecting took.
    """

    listing: ServerListing | None = None
    is_connected: bool = False
    why: str = ""
    after_s: float = 0.0


class McpServers:
    """Connects to the servers, and makes tools of what they offer.

    `data`: the directory where it is remembered what they offered; None: nowhere.
    """

    def __init__(
        self,
        servers: Sequence[McpSettings],
        clock: Clock,
        randomness: Randomness,
        data: Path | None = None,
    ) -> None:
        self.settings = {each.name: each for each in servers}
        self._entries = tuple(each.entry for each in servers)
        self._process = McpProcess(self._entries, clock, self._hear)
        self._makers = {
            each.name: ServerTools(each, ServerCalls(each, self._process, randomness), randomness)
            for each in servers
        }
        self._remembered = RememberedListings(data) if data is not None else None
        self._saving: asyncio.Task[None] | None = None
        self._follow: Follow | None = None
        self.states: dict[str, ServerState] = {each.name: ServerState() for each in servers}
        self._tools: dict[str, tuple[Tool, ...]] = {}
        self._news = asyncio.Event()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools of all servers, as far as they are known."""
        return tuple(tool for name in self.states for tool in self._tools.get(name, ()))

    @property
    def pid(self) -> int | None:
        """The id of the process of the connections while it runs."""
        return self._process.pid

    def follow(self, follow: Follow) -> None:
        """Tell `follow` whenever the tools of a server change."""
        self._follow = follow

    async def load(self) -> None:
        """Take the tools that the servers had when they were last connected to."""
        if self._remembered is None:
            return
        for name, listing in (await asyncio.to_thread(self._remembered.load, self._entries)).items():
            self.states[name] = ServerState(listing)
            self._tools[name] = self._makers[name].of(listing)

    def start(self) -> None:
        """Begin to connect. Nobody has to wait for it."""
        self._process.start()

    async def close(self) -> None:
        """Disconnect, and end the servers that were started."""
        await self._process.close()
        if self._saving is not None:
            await self._saving

    async def tried(self, within_s: float) -> None:
        """Return once each server is connected to, or could not be; after `within_s` in any case."""
        try:
            async with asyncio.timeout(within_s):
                while not all(state.is_connected or state.why for state in self.states.values()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return

    def _hear(self, event: Event) -> None:
        self._news.set()
        before = self.states[event.server]
        if isinstance(event, ServerLost):
            self._note_loss(before, event)
            return
        listing = _as_before(before.listing, event.listing)
        self.states[event.server] = ServerState(listing, True, after_s=event.after_s or before.after_s)
        if listing != before.listing:
            self._take(event.server, listing, before.listing)

    def _note_loss(self, before: ServerState, event: ServerLost) -> None:
        # Its tools stay: a call says that it cannot be reached, or reaches it again.
        self.states[event.server] = msgspec.structs.replace(before, is_connected=False, why=event.why)
        if not before.why or before.is_connected:
            _log.warning("the MCP server %s is not connected: %s", event.server, event.why)

    def _take(self, server: str, listing: ServerListing, before: ServerListing | None) -> None:
        tools = self._tools[server] = self._makers[server].of(listing)
        for line in listing.left_out:
            _log.warning("the MCP server %s: something is left out: %s", server, line)
        if changed := _changed(before, listing):
            _log.warning(
                "the MCP server %s describes tools otherwise than before: %s; what people agreed to for"
                " longer does not hold for them",
                server,
                ", ".join(changed),
            )
        if self._follow is not None:
            self._follow(server, tools)
        if self._remembered is not None and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(self._save(self._remembered))

    async def _save(self, remembered: RememberedListings) -> None:
        saved: dict[str, ServerListing] | None = None
        # Again while they change meanwhile.
        while saved != (listings := self._listings()):
            saved = listings
            try:
                await asyncio.to_thread(remembered.save, self._entries, listings)
            except OSError as error:
                _log.warning("what the MCP servers offer could not be written down: %s", error)
                return

    def _listings(self) -> dict[str, ServerListing]:
        return {name: state.listing for name, state in self.states.items() if state.listing is not None}


def _as_before(before: ServerListing | None, now: ServerListing) -> ServerListing:
    """Return the listing with the tools that were there in their order, and the others behind them: some
    servers list them in another order each time, and prompts should begin as before.
    """
    if before is None:
        return now
    places = {tool.name: place for place, tool in enumerate(before.tools)}
    ordered = sorted(now.tools, key=lambda tool: places.get(tool.name, len(places)))
    return msgspec.structs.replace(now, tools=tuple(ordered))


def _changed(before: ServerListing | None, now: ServerListing) -> list[str]:
    """Return the names of tools that are not described as they were."""
    known = {tool.name: tool for tool in before.tools} if before is not None else {}
    return [
        without_unseen(tool.name) for tool in now.tools if tool.name in known and known[tool.name] != tool
    ]
