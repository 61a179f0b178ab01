"""Operations: what the door offers, as values.

Routes, rights, the OpenAPI document and the tests of access are made from one list.
"""

from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from nanobot.access.caller import Right
from nanobot.core.errors import MethodNotAllowed, MissingRight, NanobotError, RouteNotFound
from nanobot.http.caller import caller_of

Method = Literal["GET", "POST", "DELETE", "PUT", "PATCH"]


class Parameter(msgspec.Struct, frozen=True):
    """A part of the request besides its body.

    `schema`: a JSON schema of the value. Parameters of the path need not be listed.
    """

    name: str
    where: Literal["query", "header"]
    description: str
    schema: Mapping[str, object] = msgspec.field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    `right`: what the API key must be allowed; None: the route needs no key. `body`: the type that the JSON
    body is decoded into (`body_is_optional`: none means that nothing was wished for); `form`: the type that
    describes a `multipart/form-data` body; its class variable `TOLD` has what only a JSON schema can say of
    the whole. `answers`: the type of the body for each status that is no error (None: none, `bytes`: any
    content, `str`: text). `streams`: the answer may be `text/event-stream`. `errors`: what may be raised
    besides what any route may raise. `media_type`: of an answer that is not JSON. `makes`: parameters of
    other paths that this one's answer tells, each with the OpenAPI runtime expression that finds it
    (`{"file_id": "$response.body#/id"}`).
    """

    method: Method
    path: str
    run: ASGIApp
    summary: str
    tag: str
    right: Right | None
    parameters: tuple[Parameter, ...] = ()
    body: type | None = None
    body_is_optional: bool = False
    form: type | None = None
    answers: Mapping[int, object] = msgspec.field(default_factory=lambda: {200: None})
    streams: bool = False
    errors: tuple[type[NanobotError], ...] = ()
    media_type: str | None = None
    makes: Mapping[str, str] = msgspec.field(default_factory=dict)


class Path:
    """All operations on one path, as the app of its route; `operations` has them by method."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations: dict[str, Operation] = {operation.method: operation for operation in operations}
        if len(self.operations) != len(operations):
            raise ValueError(f"two operations for one method on {operations[0].path}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = self.operations.get(method)
        if operation is None:
            allow = ", ".join(self.operations)
            raise MethodNotAllowed(
                f"{scope['method']} is not allowed on {scope['path']}: it takes {allow}", allow=allow
            )
        scope["operation"] = operation
        right = operation.right
        if right is not None and right not in caller_of(scope).rights:
            raise MissingRight(f"this API key may not do this: it lacks the right {right!r}")
        if scope["path_params"]:
            scope["path_params"] = {name: _decoded(value) for name, value in scope["path_params"].items()}
        await operation.run(scope, receive, send)


class Routes:
    """Where each path leads. It expects the path as it was sent, percent-encoded: a session key may hold a
    slash.

    A path without parameters is looked up; the others are the router's.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        found: dict[str, list[Operation]] = {}
        for operation in operations:
            found.setdefault(operation.path, []).append(operation)
        self.paths = {path: Path(each) for path, each in found.items()}
        self._router = Router([Route(path, app) for path, app in self.paths.items()], redirect_slashes=False)
        self._fixed = {path: app for path, app in self.paths.items() if "{" not in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fixed = self._fixed.get(scope["path"])
        if fixed is None:
            await self._router(scope, receive, send)
            return
        scope["path_params"] = {}
        await fixed(scope, receive, send)


def _decoded(value: str) -> str:
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RouteNotFound(f"{value!r} in the path is not percent-encoded UTF-8") from error
