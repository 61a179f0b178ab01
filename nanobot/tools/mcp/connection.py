"""One connection to an MCP server, by the SDK: made, kept up, and made again when it breaks."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import CONNECTION_CLOSED, PARSE_ERROR, Implementation

from nanobot import __version__
from nanobot.tools.mcp.answers import MAX_WHY_CHARS, garbled, masked, reason_of
from nanobot.tools.mcp.asking import ServerAsks
from nanobot.tools.mcp.http_client import Failure, HttpClient
from nanobot.tools.mcp.listing import list_offers
from nanobot.tools.mcp.messages import (
    MAX_MESSAGE_BYTES,
    Answer,
    Answered,
    CallTool,
    Event,
    NotDone,
    Order,
    ServerConnected,
    ServerEntry,
    ServerListing,
    ServerLost,
    StdioServer,
)
from nanobot.tools.mcp.oauth import without_secrets
from nanobot.tools.mcp.orders import InputWanted, call_tool, shown_by
from nanobot.tools.mcp.reading import (
    plain,
)
from nanobot.tools.mcp.stdio import StdioTransport

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_STEADY_S = 60.0
"""A connection that has lasted so long was none that fails at once."""
_LIST_PAUSE_S, _LONGEST_LIST_PAUSE_S = 1.0, 60.0
"""How long after its list was read a server's next change of it is looked at: the longer, the more often it
says that it has changed.
"""
# What the SDK says, in errors of its own.
_SESSION_GONE = "Session terminated"
_CLOSED = "Connection closed"
_ERROR_STATUS = "Server returned an error response"
_INPUT_REQUIRED = (
    "the server asks for something that nobody is asked for a resource or a prompt; the call was not"
    " completed"
)
_REFUSALS = {
    401: "it answered 401: it wants a key (set its headers)",
    403: "it answered 403: its key is not allowed to do this",
    404: "it answered 404: there is no MCP server at this URL",
    405: "it answered 405: there is no MCP server by streamable HTTP at this URL",
}
_LOG_IN = "log in with `nanobot mcp login {}`"
_CHANGES = (
    types.ToolListChangedNotification,
    types.PromptListChangedNotification,
    types.ResourceListChangedNotification,
)
Report = Callable[[Event], Awaitable[None]]


class NoConnection(Exception):
    """The server cannot be asked now; the message says why."""


class McpConnection:
    """Keeps one connection to the server of `entry` while `run` runs. `report` is told what the server offers
    and when it is gone; None: nobody is.
    """

    def __init__(self, entry: ServerEntry, report: Report | None) -> None:
        self._entry = entry
        self._report = report
        self._client: Client | None = None
        self._turned = asyncio.Condition()
        self._why = ""
        self._was_up = False
        self._changed = asyncio.Event()
        self._broken = asyncio.Event()
        self._asks = ServerAsks()
        self._http_client: HttpClient | None = None
        self.calls = 0

    # Keeping it up -------------------------------------------------------------------------------

    async def run(self, *, once: bool = False) -> None:
        """Connect, and again when the connection breaks: the first time at once, then with longer and longer
        pauses. `once`: return as soon as the server's list is known, or cannot be had.
        """
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            begun = loop.time()
            self._was_up = False
            why = await self._attend(begun, once=once)
            if once and not why:
                return
            if loop.time() - begun > _STEADY_S:
                pause = 0.0
            if not self._was_up:
                pause = max(pause, _FIRST_PAUSE_S)
            if self._report is not None:
                await self._report(ServerLost(self._entry.name, why))
            if once:
                return
            if pause:
                # Who waits is told; who comes during the pause, too.
                await self._turn(None, why)
                await asyncio.sleep(pause)
                self._why = ""
            pause = min(max(2 * pause, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    async def _attend(self, begun: float, *, once: bool) -> str:
        """Connect and return why the connection is over; empty where `once` and all went well."""
        self._broken.clear()
        stdio: StdioTransport | None = None
        http: HttpClient | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self._entry.connect_timeout_s):
                    transport: Any
                    if isinstance(self._entry.transport, StdioServer):
                        transport = stdio = StdioTransport(self._entry.transport)
                    else:
                        http = self._http_client = HttpClient(self._entry.transport)
                        transport = await self._http(stack, http)
                    client = await stack.enter_async_context(self._new_client(transport))
                    # A pattern of a hostile schema takes forever to match, and all servers with it. Models
                    # read what was answered as text: nothing relies on its shape.
                    client.session.validate_tool_result = _unchecked  # type: ignore[method-assign]
                    listing = await list_offers(client)
                self._was_up = True
                if http is not None:
                    http.client.contains = True
                await self._turn(client)
                if self._report is not None:
                    after_s = asyncio.get_running_loop().time() - begun
                    await self._report(ServerConnected(self._entry.name, listing, after_s))
                if once:
                    return ""
                await self._follow(client, stdio, listing)
        except TimeoutError:
            return self._told(stdio, http, f"it did not answer within {self._entry.connect_timeout_s:g} s")
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the SDK and its libraries raise what they like
            return self._told(stdio, http, reason_of(error))
        finally:
            self._client = None
        return self._told(stdio, http, "it has closed the connection")

    async def _http(self, stack: contextlib.AsyncExitStack, http: HttpClient) -> Any:
        client = await stack.enter_async_context(http.client)
        assert not isinstance(self._entry.transport, StdioServer)  # noqa: S101 - the caller has looked
        return streamable_http_client(
            self._entry.transport.url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES
        )

    def _new_client(self, transport: Any) -> Client:
        return Client(
            transport,
            client_info=Implementation(name="nanobot", version=__version__),
            message_handler=self._notice,
            elicitation_callback=self._asks,
            read_timeout_seconds=None,
            cache=None,
            mode="legacy" if self._entry.is_old else "auto",
        )

    def _told(self, stdio: StdioTransport | None, http: HttpClient | None, why: str) -> str:
        """Return why, by what is known best."""
        if stdio is not None and stdio.ended.is_set():
            why = stdio.why
        elif http is not None and http.auth is not None and http.auth.needs_login:
            why = f"{http.auth.needs_login}: {_LOG_IN.format(self._entry.name)}"
        elif http is not None and http.auth is not None and http.auth.trouble:
            why = http.auth.trouble
        elif http is not None and http.refusal is not None:
            why = _REFUSALS.get(http.refusal, f"it answered {http.refusal}")
        if http is not None and http.auth is not None:
            why = without_secrets(why, http.auth.secrets)
        return plain(" ".join(why.split()))[:MAX_WHY_CHARS]

    async def _follow(self, client: Client, stdio: StdioTransport | None, listing: ServerListing) -> None:
        """Report changes of the server's list until the connection is over."""
        ends = [self._broken] if stdio is None else [self._broken, stdio.ended]
        waiting = {asyncio.ensure_future(each.wait()) for each in (*ends, self._changed)}
        listening = asyncio.create_task(self._listen(client))
        loop = asyncio.get_running_loop()
        pause, read_at = _LIST_PAUSE_S, loop.time()
        try:
            while True:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(each.is_set() for each in ends):
                    return
                self._changed.clear()
                waiting = {each for each in waiting if not each.done()}
                waiting.add(asyncio.ensure_future(self._changed.wait()))
                if loop.time() - read_at > _LONGEST_LIST_PAUSE_S:
                    pause = _LIST_PAUSE_S
                now = await self._list_again(client, listing)
                if now != listing and self._report is not None:
                    listing = now
                    await self._report(ServerConnected(self._entry.name, listing))
                read_at = loop.time()
                await self._wait_for_end(ends, pause)
                pause = min(2 * pause, _LONGEST_LIST_PAUSE_S)
        finally:
            for task in (*waiting, listening):
                task.cancel()
            await asyncio.gather(*waiting, listening, return_exceptions=True)

    async def _list_again(self, client: Client, listing: ServerListing) -> ServerListing:
        """Return what the server offers now; what it offered before where it does not say it in time, or
        says what cannot be read: the calls that are under way go on.
        """
        try:
            async with asyncio.timeout(self._entry.connect_timeout_s):
                return await list_offers(client)
        except (TimeoutError, MCPError, RuntimeError, ValueError):
            return listing

    async def _wait_for_end(self, ends: Sequence[asyncio.Event], within_s: float) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in ends]
        try:
            await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _notice(self, message: object) -> None:
        if isinstance(message, _CHANGES):
            self._changed.set()

    async def _listen(self, client: Client) -> None:
        """Follow the changes of a server that tells of them only to who asks, as servers since 2026-07-28."""
        offers = client.server_capabilities
        if not any(each and each.list_changed for each in (offers.tools, offers.prompts, offers.resources)):
            return
        pause = _FIRST_PAUSE_S
        with contextlib.suppress(ListenNotSupportedError, MCPError):
            while True:
                with contextlib.suppress(SubscriptionLost):
                    async with client.listen(
                        tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
                    ) as changes:
                        # Whatever has happened before is in no stream.
                        pause = _FIRST_PAUSE_S
                        async for _ in changes:
                            self._changed.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                self._changed.set()

    async def _turn(self, client: Client | None, why: str = "") -> None:
        async with self._turned:
            self._client, self._why = client, why
            self._turned.notify_all()

    # Asking --------------------------------------------------------------------------------------

    async def ask(self, order: Order) -> Answer:
        """Return what the server answers. Waits for a connection that is being made."""
        answer = await self._answer(order)
        http = self._http_client
        return answer if http is None or http.auth is None else masked(answer, http.auth.secrets)

    async def _answer(self, order: Order) -> Answer:
        self.calls += 1
        try:
            client = await self._connected()
            if isinstance(order, CallTool):
                return await call_tool(client, order, self._asks)
            shown, is_error = await shown_by(client, order), False
        except NoConnection as error:
            http = self._http_client
            return NotDone(order.id, str(error), needs_login=http is not None and http.needs_login)
        except InputWanted:
            return Answered(order.id, _INPUT_REQUIRED, is_error=True)
        except MCPError as error:
            return self._failed(order, error)
        except Exception as error:  # noqa: BLE001 - of what servers answer, the SDK makes errors of all kinds
            return garbled(order, reason_of(error))
        finally:
            self.calls -= 1
        return Answered(order.id, shown.text, shown.pictures, is_error)

    async def _connected(self) -> Client:
        async with self._turned:
            while self._client is None:
                if self._why:
                    raise NoConnection(self._why)
                await self._turned.wait()
            return self._client

    def _break(self) -> None:
        # At once, so that nobody asks on a connection that is over.
        self._client = None
        self._broken.set()

    def _failed(self, order: Order, error: MCPError) -> Answered | NotDone:
        text = plain(error.error.message)[:MAX_WHY_CHARS]
        http = self._http_client
        failure = http.failure_of(error.error) if http is not None else None
        if failure is not None:
            return self._unanswered(order, failure, text)
        if error.error.code == CONNECTION_CLOSED:
            # Where only this answer broke off, others may still come.
            if error.error.message == _CLOSED:
                self._break()
            return NotDone(order.id, "the connection broke", may_have_run=True)
        if error.error.code == PARSE_ERROR:
            return garbled(order, text)
        if error.error.message == _ERROR_STATUS:
            # Something has answered, perhaps a proxy: it says nothing of the call.
            return NotDone(order.id, text, may_have_run=True)
        if error.error.message == _SESSION_GONE:
            # It has forgotten us, and so has not looked at the call.
            self._break()
            return NotDone(order.id, "the server has closed the session", again=True)
        return Answered(order.id, f"{text} (error {error.error.code})", is_error=True)

    def _unanswered(self, order: Order, failure: Failure, text: str) -> Answered | NotDone:
        """Return what there is to say of a call whose request failed, or whose answer is none."""
        if failure == "garbled":
            return garbled(order, text)
        if failure == "status":
            return NotDone(order.id, f"it answered {text}", may_have_run=True, status=int(text))
        if failure == "broken":
            return NotDone(order.id, text, may_have_run=True)
        # Others that are under way may still be answered. Where there are none, it is connected to again.
        if self.calls == 1:
            self._break()
        return NotDone(order.id, text, needs_login=failure == "login")


async def _unchecked(name: str, result: types.CallToolResult) -> None:
    """Take the result as it is."""
