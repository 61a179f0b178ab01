"""Asking an MCP server: within its time limit, fairly between sessions, and never twice what may not be."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Protocol

from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.core.tool import ToolContext
from nanobot.tools.mcp.messages import Answer, Answered, InputRequired, NotDone, Order
from nanobot.tools.mcp.settings import McpSettings
from nanobot.workers.slots import FairSlots

_SALT_BYTES = 16
_UNKNOWN = "whether it was carried out is unknown: check before you repeat it"


class Asks(Protocol):
    """Carries out orders: `McpProcess`."""

    async def ask(self, order: Callable[[int], Order]) -> Answer: ...


class ServerCalls:
    """Asks one server."""

    def __init__(self, settings: McpSettings, process: Asks, randomness: Randomness) -> None:
        self._settings = settings
        self._process = process
        self._slots = FairSlots(settings.max_calls, max(1, settings.max_calls // 2))
        self._salt = randomness.getrandbits(8 * _SALT_BYTES).to_bytes(_SALT_BYTES)

    async def ask(
        self, context: ToolContext, order: Callable[[int, str], Order], *, is_repeatable: bool
    ) -> Answered | InputRequired:
        """Return what the server answers or asks back to the order that `order` makes of an id and an
        instance, for the turn of `context`. Where the connection breaks meanwhile, it is asked once more if
        that `is_repeatable`.

        Raises:
            ToolError: there is no answer; it says whether the server may have done what it was asked.
        """
        settings = self._settings
        instance = self._instance(context.session_key)
        has_begun = False
        try:
            async with asyncio.timeout(settings.timeout_s), self._slots.slot(context.account_key):
                has_begun = True
                answer = await self._process.ask(lambda id_: order(id_, instance))
                if isinstance(answer, NotDone) and (answer.again or (answer.may_have_run and is_repeatable)):
                    answer = await self._process.ask(lambda id_: order(id_, instance))
        except TimeoutError:
            raise ToolError(self._too_late(has_begun=has_begun, is_repeatable=is_repeatable)) from None
        if isinstance(answer, Answered | InputRequired):
            return answer
        if answer.needs_login:
            raise ToolError(
                f"the MCP server {settings.name} wants a login, nothing was done: whoever runs this server"
                f" logs in with `nanobot mcp login {settings.name}`"
            )
        if answer.may_have_run and answer.status is not None and not is_repeatable:
            raise ToolError(
                f"the MCP server {settings.name} answered with the status {answer.status}; {_UNKNOWN}"
            )
        if answer.may_have_run and not is_repeatable:
            raise ToolError(
                f"the connection to the MCP server {settings.name} broke during the call; {_UNKNOWN}"
            )
        raise ToolError(
            f"the MCP server {settings.name} cannot be reached now, nothing was done; whoever runs this"
            " server finds out why with `nanobot mcp check`"
        )

    def _too_late(self, *, has_begun: bool, is_repeatable: bool) -> str:
        settings = self._settings
        if not has_begun:
            return (
                f"the MCP server {settings.name} is busy with other calls, nothing was done: try again later"
            )
        what = "try again later" if is_repeatable else _UNKNOWN
        return (
            f"the MCP server {settings.name} did not answer within {settings.timeout_s:g} s, and the call was"
            f" cancelled; {what}"
        )

    def _instance(self, session_key: str) -> str:
        """Return the name of the connection for the session: it says nothing of the session."""
        if not self._settings.per_session:
            return ""
        return hashlib.blake2b(session_key.encode(), key=self._salt, digest_size=16).hexdigest()
