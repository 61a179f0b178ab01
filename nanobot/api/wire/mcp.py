"""The Model Context Protocol as a server speaks it, in both of its eras: JSON-RPC messages, and what is in
them.

Until 2025-11-25 a client begins with `initialize`; since 2026-07-28 each request says in its `_meta` which
version it speaks.
"""

import json
from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec

from nanobot import __version__
from nanobot.core.errors import SessionNotFound

NEW_VERSIONS = ("2026-07-28",)
OLD_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
RESOURCE_NOT_FOUND, HEADER_MISMATCH, UNSUPPORTED_VERSION = -32002, -32020, -32022
_STATUSES = {METHOD_NOT_FOUND: 404, INVALID_PARAMS: 400, HEADER_MISMATCH: 400, UNSUPPORTED_VERSION: 400}
"""With which status errors are answered since 2026-07-28; before, all are answers."""
_VERSION_FIELD = "io.modelcontextprotocol/protocolVersion"
_SERVER_FIELD = "io.modelcontextprotocol/serverInfo"
_SESSION_URI = "nanobot://sessions/"
_MOST_REQUEST_ID = 200
_MOST_URI = 2_000
_INSTRUCTIONS = "Ask the agent nanobot, which remembers each conversation. Conversations are resources."

RpcId = str | int | float | None


class McpBody(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a client: a request, or a notification where it has no `id`; an answer where it has no
    `method`.
    """

    jsonrpc: Literal["2.0"]
    id: RpcId | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class McpError(msgspec.Struct, frozen=True, omit_defaults=True):
    code: int
    message: str
    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class McpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request: its result, or why there is none."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: RpcId
    result: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    error: McpError | msgspec.UnsetType = msgspec.UNSET


class McpRefusalShown(msgspec.Struct, frozen=True):
    message: str
    code: int | str | None


class McpRefusal(msgspec.Struct, frozen=True):
    """What answers of the statuses 400 and 404 have in common: errors of JSON-RPC, and those of any route."""

    error: McpRefusalShown


class RpcFailed(Exception):
    """A request that is answered with an error of JSON-RPC. `status`: that of HTTP; None: the protocol's."""

    def __init__(
        self, code: int, message: str, data: dict[str, Any] | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = McpError(code, message, msgspec.UNSET if data is None else data)


class AskArguments(msgspec.Struct, frozen=True):
    """The arguments of the tool `ask`. `session`: the key of the conversation. `request_id`: recognises a
    call that is made again.
    """

    message: str
    session: str | None = None
    request_id: str | None = None


class McpRequest(msgspec.Struct, frozen=True):
    """A request as it was understood. `version`: the newer protocol that it speaks; None: an older one."""

    id: RpcId
    method: str
    params: dict[str, Any]
    version: str | None = None

    def status(self, failed: RpcFailed) -> int:
        """Return the status of HTTP with which the error is answered."""
        if failed.status is not None:
            return failed.status
        return 200 if self.version is None else _STATUSES.get(failed.error.code, 200)

    def result(self, fields: dict[str, Any], *, ttl_ms: int | None = None) -> dict[str, Any]:
        """Return a result with what the protocol of the request adds. `ttl_ms`: how long a list is good."""
        if self.version is None:
            return fields
        kept = {} if ttl_ms is None else {"ttlMs": ttl_ms, "cacheScope": "private"}
        meta = {_SERVER_FIELD: SERVER_INFO}
        return {"resultType": "complete", **kept, **fields, "_meta": {**fields.get("_meta", {}), **meta}}


SERVER_INFO = {"name": "nanobot", "version": __version__}
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}}
ASK_TOOL: dict[str, Any] = {
    "name": "ask",
    "title": "Ask nanobot",
    "description": (
        "Ask the agent nanobot. It remembers the conversation, has tools of its own, and may ask back: answer"
        " with another call."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "what to say to it"},
            "session": {
                "type": "string",
                "description": "names the conversation; may be left out where the connection names one",
            },
            "request_id": {
                "type": "string",
                "maxLength": _MOST_REQUEST_ID,
                "description": "of your choice: what is sent again with the same one is answered once",
            },
        },
        "required": ["message"],
    },
    "annotations": {"readOnlyHint": False, "idempotentHint": False, "openWorldHint": True},
}
SESSION_TEMPLATE = {
    "uriTemplate": f"{_SESSION_URI}{{key}}",
    "name": "session",
    "description": "The newest messages of a conversation, by its percent-encoded key",
    "mimeType": "application/json",
}


def understood(body: McpBody, version_header: str | None, method_header: str | None) -> McpRequest:
    """Return the request, whose body has an id and a method.

    Raises:
        RpcFailed: it speaks a version that is not known, or its headers say something else.
    """
    assert isinstance(body.method, str) and not isinstance(body.id, msgspec.UnsetType)  # noqa: S101
    params = {} if isinstance(body.params, msgspec.UnsetType) else body.params
    meta = params.get("_meta")
    version = meta.get(_VERSION_FIELD) if isinstance(meta, dict) else None
    if version is None and version_header in NEW_VERSIONS:
        version = version_header
    request = McpRequest(body.id, body.method, params, version if isinstance(version, str) else None)
    asked = request.version if request.version is not None else version_header
    known = NEW_VERSIONS if request.version is not None else OLD_VERSIONS
    if asked is not None and asked not in known:
        supported = [*NEW_VERSIONS, *OLD_VERSIONS]
        raise RpcFailed(
            UNSUPPORTED_VERSION,
            f"the version {asked[:40]!r} of MCP is not spoken here",
            {"supported": supported, "requested": asked[:40]},
            status=_STATUSES[UNSUPPORTED_VERSION],
        )
    if request.version is not None and (
        version_header not in (None, request.version) or method_header not in (None, request.method)
    ):
        raise RpcFailed(
            HEADER_MISMATCH,
            "the headers of the request say something else than its body",
            status=_STATUSES[HEADER_MISMATCH],
        )
    return request


def greeting(params: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to `initialize`: in the version that the client asks for, if that is known."""
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in OLD_VERSIONS else OLD_VERSIONS[0],
        "capabilities": CAPABILITIES,
        "serverInfo": SERVER_INFO,
        "instructions": _INSTRUCTIONS,
    }


def discovery() -> dict[str, Any]:
    """Return the answer to `server/discover`."""
    return {
        "supportedVersions": list(NEW_VERSIONS),
        "capabilities": CAPABILITIES,
        "instructions": _INSTRUCTIONS,
    }


def read_ask(params: dict[str, Any]) -> AskArguments:
    """Return the arguments of a call of `ask`.

    Raises:
        RpcFailed: it is a call of something else, or has no such arguments.
    """
    if params.get("name") != ASK_TOOL["name"]:
        raise RpcFailed(INVALID_PARAMS, f"there is no tool {str(params.get('name'))[:80]!r}: there is ask")
    try:
        arguments = msgspec.convert(params.get("arguments", {}), AskArguments)
    except msgspec.ValidationError as error:
        raise RpcFailed(INVALID_PARAMS, f"the arguments of ask do not fit: {error}") from error
    if not arguments.message.strip():
        raise RpcFailed(INVALID_PARAMS, "the message is empty")
    if len(arguments.request_id or "") > _MOST_REQUEST_ID:
        raise RpcFailed(INVALID_PARAMS, f"request_id is longer than {_MOST_REQUEST_ID} characters")
    return arguments


def tool_text(text: str, *, is_error: bool = False) -> dict[str, Any]:
    """Return the result of a call."""
    content = [{"type": "text", "text": text}]
    return {"content": content, "isError": True} if is_error else {"content": content}


def session_uri(key: str) -> str:
    """Return the URI of a session."""
    return _SESSION_URI + quote(key, safe="")


def key_of(uri: str) -> str:
    """Return the key in the URI of a session, as it stands there.

    Raises:
        SessionNotFound: no session has such a URI.
    """
    if not uri.startswith(_SESSION_URI):
        raise SessionNotFound(f"the URIs of sessions begin with {_SESSION_URI}")
    try:
        return unquote(uri.removeprefix(_SESSION_URI), errors="strict")
    except UnicodeDecodeError as error:
        raise SessionNotFound("the URIs of sessions are percent-encoded UTF-8") from error


def no_resource(asked: McpRequest, uri: str) -> RpcFailed:
    """Return the error for a resource that is not there, or not the caller's, with the code of the protocol:
    until 2025-11-25 one of its own, since then that of parameters which do not fit.
    """
    code = RESOURCE_NOT_FOUND if asked.version is None else INVALID_PARAMS
    data = {"uri": uri[:_MOST_URI]}
    return RpcFailed(code, "there is no such session", data, status=SessionNotFound.http_status)


def session_contents(key: str, messages: bytes) -> dict[str, Any]:
    """Return a session that was read: its `messages` as a JSON list."""
    text = '{"session":' + json.dumps(key, ensure_ascii=False) + ',"messages":' + messages.decode() + "}"
    return {"contents": [{"uri": session_uri(key), "mimeType": "application/json", "text": text}]}
