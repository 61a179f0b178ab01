"""What the settings say of an MCP server."""

from fnmatch import fnmatchcase

import msgspec

from nanobot.tools.mcp.messages import ServerEntry


class McpSettings(msgspec.Struct, frozen=True):
    """A server, who may use it, and how much.

    `sessions`: patterns of the session keys that may. `tools`: patterns of the names that its tools have with
    it; None: all. `timeout_s`: how long a call may take, its wait for others included. `max_calls`: how many
    run at once, of one session half of it. `per_session`: each session has a connection of its own, and to a
    server that is a command, a process. `trust_annotations`: what the server says of its tools, that they
    only read or may be repeated, is believed. `redirect_port`: where a login comes back to; 0: anywhere.
    `place`: its command or URL, without what may be a secret.
    """

    entry: ServerEntry
    sessions: tuple[str, ...]
    tools: tuple[str, ...] | None = None
    timeout_s: float = 60.0
    max_calls: int = 8
    per_session: bool = False
    trust_annotations: bool = False
    redirect_port: int = 0
    place: str = ""

    @property
    def name(self) -> str:
        return self.entry.name

    def offers(self, tool: str) -> bool:
        """Return whether the settings let the server's tool be used."""
        return self.tools is None or any(fnmatchcase(tool, pattern) for pattern in self.tools)
