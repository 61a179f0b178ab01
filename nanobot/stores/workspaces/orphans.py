"""Workspaces whose session is gone: what a crash left, or a call that ended after its session was deleted."""

import asyncio

from nanobot.core.workspace import Identities
from nanobot.stores.workspaces.folder import WorkspaceFolder

_AT_ONCE = 256


async def delete_orphans(folder: WorkspaceFolder, sessions: Identities) -> int:
    """Delete the workspaces whose sessions are gone; return how many went."""
    numbers = await asyncio.to_thread(folder.numbers)
    gone = 0
    for first in range(0, len(numbers), _AT_ONCE):
        some = numbers[first : first + _AT_ONCE]
        gone += await asyncio.to_thread(folder.sweep, frozenset(some), await sessions.identities(some))
    return gone
