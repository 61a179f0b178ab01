"""What MCP servers offered when they were last connected to: so that their tools are there at once after a
start, and calls from before it are still known.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from nanobot.tools.mcp.messages import ServerEntry, ServerListing

FILE = "mcp-tools.json"


class _RememberedListing(msgspec.Struct, frozen=True):
    """`of`: which settings of the server it was listed by."""

    of: str
    listing: ServerListing


class RememberedListings:
    """Keeps lists in a file of the data directory. They have nothing secret in them."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE

    def load(self, entries: tuple[ServerEntry, ...]) -> dict[str, ServerListing]:
        """Return the lists of those servers whose settings are still the same. A file that cannot be read is
        as none: the servers are asked anyway.
        """
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, _RememberedListing])
        except (OSError, ValueError, RecursionError):
            return {}
        return {
            entry.name: known[entry.name].listing
            for entry in entries
            if entry.name in known and known[entry.name].of == _fingerprint(entry)
        }

    def save(self, entries: tuple[ServerEntry, ...], listings: dict[str, ServerListing]) -> None:
        """Keep these lists instead of those that were kept.

        Raises:
            OSError
        """
        content = msgspec.json.encode(
            {
                entry.name: _RememberedListing(_fingerprint(entry), listings[entry.name])
                for entry in entries
                if entry.name in listings
            }
        )
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{FILE}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def _fingerprint(entry: ServerEntry) -> str:
    return hashlib.sha256(msgspec.json.encode(entry.transport)).hexdigest()
