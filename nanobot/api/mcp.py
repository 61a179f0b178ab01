"""POST /mcp: the agent as an MCP server (streamable HTTP, without sessions of its own, in both eras of the
protocol). A client asks it with the tool `ask`; conversations are resources.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller, hold_to_patterns
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.lists import encode
from nanobot.api.wire.mcp import (
    ASK_TOOL,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NEW_VERSIONS,
    OLD_VERSIONS,
    SESSION_TEMPLATE,
    AskArguments,
    McpAnswer,
    McpBody,
    McpRefusal,
    McpRequest,
    RpcFailed,
    discovery,
    greeting,
    key_of,
    no_resource,
    read_ask,
    session_contents,
    session_uri,
    tool_text,
    understood,
)
from nanobot.api.wire.session_message import session_message
from nanobot.core.accounts import matches
from nanobot.core.errors import (
    BadSessionKey,
    InvalidRequest,
    MissingSessionKey,
    NanobotError,
    SessionNotFound,
)
from nanobot.core.message import reply_text, user
from nanobot.core.session_keys import parse_key
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.core.turn import Answer, Identity
from nanobot.http.connected import Connected, is_there
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.session_key import SESSION_KEY, KeyReader
from nanobot.http.stream import HEAD, PING
from nanobot.submit.request import TurnRequest
from nanobot.submit.submitter import Submitter

_MOST_LISTED = 100
_MOST_MESSAGES = 100
_MAX_SESSION_BYTES = 1 << 20
_LIST_MS = 60_000
_NO_WORDS = "(The turn ended without an answer.)"
_read_body = msgspec.json.Decoder(McpBody)
_Result = dict[str, Any]


class McpEndpoint:
    """The route."""

    def __init__(self, store: Store, submitter: Submitter, settings: ApiSettings) -> None:
        self._store = store
        self._submitter = submitter
        self._settings = settings
        self._keys = KeyReader(settings.session_headers)
        self._bodies = settings.json_bodies()
        self._methods: dict[str, Callable[[McpRequest, Request], Awaitable[_Result]]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._list_tools,
            "resources/list": self._list_sessions,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_session,
        }

    def operation(self) -> Operation:
        return Operation(
            method="POST",
            path="/mcp",
            run=self.take,
            summary="The agent as an MCP server",
            tag="Chat",
            right="chat",
            parameters=(
                SESSION_KEY,
                Parameter(
                    "mcp-protocol-version",
                    "header",
                    "the version of MCP that the client speaks",
                    {"enum": [*NEW_VERSIONS, *OLD_VERSIONS]},
                ),
                Parameter("mcp-method", "header", "the method of the message, as the body has it"),
            ),
            body=McpBody,
            answers={200: McpAnswer, 202: None, 400: McpRefusal, 404: McpRefusal},
            streams=True,
            errors=(BadSessionKey, SessionNotFound),
        )

    async def take(self, request: Request, send: Send) -> None:
        """POST /mcp"""
        # Whoever may not see the session of the connection is refused whatever the message is.
        self._keys.find(request.headers, request.caller)
        body, _ = await self._bodies.read(request, lambda content: decode(content, _read_body))
        if isinstance(body.method, msgspec.UnsetType) or isinstance(body.id, msgspec.UnsetType):
            # A notification, or an answer to what was never asked: nothing follows from them here.
            _check_version(request)
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        asked = McpRequest(body.id, body.method, {})
        try:
            asked = understood(
                body, _header(request, b"mcp-protocol-version"), _header(request, b"mcp-method")
            )
            if asked.method == "tools/call":
                await self._call(asked, request, send)
                return
            method = self._methods.get(asked.method)
            if method is None:
                raise RpcFailed(METHOD_NOT_FOUND, f"there is no method {asked.method[:80]!r} here")
            result = await method(asked, request)
        except RpcFailed as failed:
            await answer(send, asked.status(failed), encode(McpAnswer(id=asked.id, error=failed.error)))
            return
        await answer(send, 200, encode(McpAnswer(id=asked.id, result=result)))

    # What it is -----------------------------------------------------------------------------------

    async def _initialize(self, asked: McpRequest, request: Request) -> _Result:
        return asked.result(greeting(asked.params))

    async def _discover(self, asked: McpRequest, request: Request) -> _Result:
        if asked.version is None:
            raise RpcFailed(METHOD_NOT_FOUND, "server/discover is of MCP since 2026-07-28")
        return asked.result(discovery(), ttl_ms=_LIST_MS)

    async def _ping(self, asked: McpRequest, request: Request) -> _Result:
        return asked.result({})

    async def _list_tools(self, asked: McpRequest, request: Request) -> _Result:
        _check_no_cursor(asked)
        return asked.result({"tools": [ASK_TOOL]}, ttl_ms=_LIST_MS)

    async def _list_templates(self, asked: McpRequest, request: Request) -> _Result:
        _check_no_cursor(asked)
        return asked.result({"resourceTemplates": [SESSION_TEMPLATE]}, ttl_ms=_LIST_MS)

    # Sessions as resources ------------------------------------------------------------------------

    async def _list_sessions(self, asked: McpRequest, request: Request) -> _Result:
        caller, after = request.caller, asked.params.get("cursor")
        _check_reading(caller)
        if after is not None and not isinstance(after, str):
            raise RpcFailed(INVALID_PARAMS, "cursor must be a text")
        try:
            if after is not None:
                hold_to_patterns(caller, after)
            found = await self._store.sessions(
                limit=_MOST_LISTED + 1, after=after, order="desc", matching=SessionFilter(caller.patterns)
            )
        except SessionNotFound as error:
            raise _not_there() from error
        listed = [
            {
                "uri": session_uri(each.key),
                "name": each.key,
                **({"title": each.title} if each.title else {}),
                "mimeType": "application/json",
            }
            for each in found[:_MOST_LISTED]
        ]
        more = {"nextCursor": found[_MOST_LISTED - 1].key} if len(found) > _MOST_LISTED else {}
        return asked.result({"resources": listed, **more}, ttl_ms=0)

    async def _read_session(self, asked: McpRequest, request: Request) -> _Result:
        _check_reading(request.caller)
        uri = asked.params.get("uri")
        if not isinstance(uri, str):
            raise RpcFailed(INVALID_PARAMS, "uri must be a text")
        try:
            key = parse_key(key_of(uri))
            hold_to_patterns(request.caller, key)
            page = await self._store.message_page(
                key, limit=_MOST_MESSAGES, max_bytes=_MAX_SESSION_BYTES, order="desc"
            )
        except (BadSessionKey, SessionNotFound) as error:
            raise no_resource(asked, uri) from error
        request.session_key = key
        messages = encode(tuple(session_message(row) for row in reversed(page.rows)))
        return asked.result(session_contents(key, messages), ttl_ms=0)

    # Asking ---------------------------------------------------------------------------------------

    async def _call(self, asked: McpRequest, request: Request, send: Send) -> None:
        """Run a turn and send its answer: as JSON, or where it is long in coming and the client takes that,
        as the only event of a stream that is kept awake.
        """
        arguments = read_ask(asked.params)
        reply = _CallReply(send, may_stream=b"text/event-stream" in request.headers.get(b"accept", b""))
        try:
            key = self._session_key(arguments, request)
            request.session_key = key
            submission = await self._submitter.submit(self._turn(arguments, key), request.caller)
        except (BadSessionKey, SessionNotFound) as error:
            raise _not_there() from error
        except NanobotError as error:
            await reply.end(asked, tool_text(error.public_message, is_error=True))
            return
        request.answer_headers += submission.headers
        request.body_is_done()
        follower = self._submitter.follow(submission.admission)
        result: Answer | None = None
        with follower:
            async with Connected(request.receive, reply.keep_awake, self._settings.ping_s):
                result = await follower.end()
        if result is None:
            # The client has gone; what it asked for can be had by the same request_id.
            return
        is_reached = is_there(request.scope, request.receive)
        await reply.end(asked, _said(result))
        if is_reached:
            follower.delivered()

    def _session_key(self, arguments: AskArguments, request: Request) -> str:
        """Return the session that the call names, else that of its connection.

        Raises:
            MissingSessionKey, BadSessionKey, InvalidRequest, SessionNotFound
        """
        key = parse_key(arguments.session or "", "session")
        if key:
            hold_to_patterns(request.caller, key)
            return key
        found = self._keys.find(request.headers, request.caller)
        if found is None:
            raise MissingSessionKey("name the conversation: session is missing", param="session")
        return found

    def _turn(self, arguments: AskArguments, key: str) -> TurnRequest:
        digest = hashlib.blake2b(arguments.message.encode(), digest_size=32).digest()
        dedupe_key = f"mcp {arguments.request_id}" if arguments.request_id else None
        return TurnRequest(
            session_key=key,
            input=(user(arguments.message),),
            origin="api",
            identity=Identity(digest, dedupe_key),
            trace=not any(matches(key, pattern) for pattern in self._settings.ephemeral),
        )


class _CallReply:
    """Sends the answer to a call."""

    def __init__(self, send: Send, *, may_stream: bool) -> None:
        self._send = send
        self._may_stream = may_stream
        self._has_begun = False

    async def keep_awake(self) -> None:
        if not self._may_stream:
            return
        if not self._has_begun:
            self._has_begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(HEAD)})
        await self._send({"type": "http.response.body", "body": PING, "more_body": True})

    async def end(self, asked: McpRequest, result: _Result) -> None:
        body = encode(McpAnswer(id=asked.id, result=asked.result(result)))
        if not self._has_begun:
            await answer(self._send, 200, body)
            return
        await self._send({"type": "http.response.body", "body": b"event: message\ndata: %b\n\n" % body})


def _said(result: Answer) -> _Result:
    error = result.end.error
    if error is not None:
        return tool_text(error.message, is_error=True)
    return tool_text(reply_text(result.messages) or _NO_WORDS)


def _not_there() -> RpcFailed:
    """Return the error for an argument or a cursor that names a session which is not there, or not the
    caller's.
    """
    return RpcFailed(INVALID_PARAMS, "there is no such session", status=SessionNotFound.http_status)


def _check_no_cursor(asked: McpRequest) -> None:
    """Refuse a cursor for a list that has one page: none was given out."""
    if asked.params.get("cursor") is not None:
        raise RpcFailed(INVALID_PARAMS, "this list has one page: there is no such cursor")


def _check_reading(caller: Caller) -> None:
    if "sessions:read" not in caller.rights:
        raise RpcFailed(INVALID_PARAMS, "this API key may not do this: it lacks the right 'sessions:read'")


def _check_version(request: Request) -> None:
    version = _header(request, b"mcp-protocol-version")
    if version is not None and version not in (*NEW_VERSIONS, *OLD_VERSIONS):
        raise InvalidRequest(
            f"the version {version[:40]!r} of MCP is not spoken here",
            param="mcp-protocol-version",
        )


def _header(request: Request, name: bytes) -> str | None:
    value = request.headers.get(name)
    return value.decode("latin-1").strip() if value is not None else None
